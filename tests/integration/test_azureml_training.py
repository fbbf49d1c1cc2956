"""Trainings that really run in the local workspace, and its faults at them, as the app's adapter sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from service.faults.orders import Fault
from shared.adapters.azureml.failures import reason_of
from shared.adapters.azureml.training import WorkspaceTraining
from shared.adapters.azureml.workspace import Workspace
from shared.domain.azureml import AzureMLTraining, ChampionScored, ScoredOutput
from shared.domain.jobs import Model
from shared.domain.ports import BesJob, BlobReference, Cancelled, Failed, Finished, NotStarted, Running
from shared.domain.values import WorkspaceId
from tests.support.aml import Here
from tests.support.aml_jobs import PYTHON, store
from tests.support.aml_session import workspace_of
from tests.support.mlflow import asked
from tests.support.waiting import until

STORE = "https://account.blob.core.windows.net/"
DATA = BlobReference(STORE, "batches/in/rows.csv")
CHAMPION = Model(sha256="c" * 64, size=1, folder=True)
WANTED = frozenset({"roc_auc"})
TRAIN = "cp ${{inputs.data}} ${{outputs.model}}/model.txt && cp ${{inputs.data}} ${{outputs.scored}}/scored.csv"


@pytest.fixture
def workspace(here: Here) -> Workspace:
    return workspace_of(here)[0]


def training(
    here: Here,
    workspace: Workspace,
    command: str = TRAIN,
    wanted: frozenset[str] = frozenset(),
    champion: ChampionScored | None = None,
) -> WorkspaceTraining:
    """Return the trainings by a component with this command, whose metrics are waited for."""
    specification = {
        "name": "train",
        "version": "1",
        "type": "command",
        "command": command,
        "environment": f"azureml:{here.workspace.id}/environments/python/versions/1",
        "inputs": {"data": {"type": "uri_file"}, **({champion.input: {"type": "custom_model"}} if champion else {})},
        "outputs": {
            "model": {"type": "custom_model"},
            "scored": {"type": "uri_folder"},
            **({champion.scored: {"type": "uri_folder"}} if champion else {}),
        },
    }
    assert here.put("components/train/versions/1", componentSpec=specification).status == 201
    configured = AzureMLTraining(
        workspace=WorkspaceId(workspace.id),
        component="train:1",
        compute="cpu-cluster",
        datastore="workspaceblobstore",
        scored=ScoredOutput(),
        champion=champion,
    )
    return WorkspaceTraining(
        workspace, configured, "income", store=STORE, is_complete=lambda logged: wanted <= logged.keys()
    )


def ended(service: WorkspaceTraining, name: str = "one") -> BesJob:
    seen: list[BesJob] = []

    def is_over() -> bool:
        seen.append(service.status(name))
        return not isinstance(seen[-1], NotStarted | Running)

    until(is_over, lambda: seen[-1])
    return seen[-1]


def log_metric(here: Here, value: float) -> None:
    """Log a metric as the command of the pipeline's step would."""
    experiment = asked(here, "GET", "runs/get", run_id="one")["run"]["info"]["experiment_id"]
    body = {"experiment_ids": [experiment], "filter": "tags.mlflow.parentRunId = 'one'"}
    found: list[dict[str, Any]] = []

    def begun() -> bool:
        found[:] = asked(here, "POST", "runs/search", body).get("runs", [])
        return bool(found)

    until(begun, "the step of the pipeline begins")
    [child] = found
    body = {"run_id": child["info"]["run_id"], "key": "roc_auc", "value": value, "timestamp": 1}
    asked(here, "POST", "runs/log-metric", body)


def test_a_component_trains_and_its_outputs_are_where_they_were_ordered(
    here: Here, workspace: Workspace, blobs: BlobServiceClient
) -> None:
    service = training(here, workspace, wanted=WANTED)
    service.submit("one", DATA, {})
    until(lambda: here.call("GET", "jobs/one").json["properties"]["status"] == "Completed", "the job does not end")
    assert service.status("one") == Running()
    log_metric(here, 0.9)
    found = ended(service)
    assert isinstance(found, Finished) and found.metrics == {"roc_auc": "0.9"}
    container = blobs.get_container_client(store(here))
    scored = found.results["scored"].relative.removeprefix("batches/")
    assert container.download_blob(scored).readall() == b"a,b\n1,2\n"
    model = found.results["model"].relative.removeprefix("batches/")
    assert [each.name for each in container.list_blobs(name_starts_with=model)] == [f"{model}model.txt"]


def test_a_training_reads_the_champion_and_its_rows_are_where_they_were_ordered(
    here: Here, workspace: Workspace, blobs: BlobServiceClient
) -> None:
    rows = b"y,Scored Labels\n1,0\n"
    blobs.get_blob_client(store(here), f"{CHAMPION.sha256}/rows.csv").upload_blob(rows)
    champion = ChampionScored(datastore="workspaceblobstore")
    command = f"{TRAIN} && cp ${{{{inputs.champion}}}}/rows.csv ${{{{outputs.champion_scored}}}}/scored.csv"
    service = training(here, workspace, command, champion=champion)
    assert service.submit("one", DATA, {}, CHAMPION) == service.submit("one", DATA, {}, CHAMPION)
    found = ended(service)
    assert isinstance(found, Finished)
    place = found.results["champion_scored"].relative.removeprefix("batches/")
    assert blobs.get_blob_client(store(here), place).download_blob().readall() == rows


def test_a_training_that_fails_says_what_it_printed_last(here: Here, workspace: Workspace) -> None:
    script = "import sys; print('reading'); sys.exit('KeyError: no column age')"
    service = training(here, workspace, f'{PYTHON} -c "{script}" ${{{{inputs.data}}}}')
    service.submit("one", DATA, {})
    found = ended(service)
    assert isinstance(found, Failed) and not found.interrupted
    assert "exited with status code 1" in found.details
    assert "its log ends with: reading | KeyError: no column age" in found.details
    assert "sig=" not in found.details


def test_a_job_that_ran_when_the_service_stopped_is_interrupted(
    here: Here, workspace: Workspace, tmp_path: Path
) -> None:
    service = training(here, workspace, f"touch {tmp_path / 'begun'}; sleep 600")
    service.submit("one", DATA, {})
    until(lambda: (tmp_path / "begun").exists(), lambda: service.status("one"))
    here.jobs.stop()
    found = service.status("one")
    assert isinstance(found, Failed) and found.interrupted


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [("failed job", Failed), ("canceled job", Cancelled), ("missing output", Finished), ("empty output", Finished)],
)
def test_a_job_ends_in_another_way_than_its_command(
    here: Here, workspace: Workspace, kind: str, meaning: type[BesJob]
) -> None:
    here.faults.order(Fault(kind=kind, endpoint="one"))
    service = training(here, workspace)
    service.submit("one", DATA, {})
    found = ended(service)
    assert isinstance(found, meaning)
    if isinstance(found, Failed):
        assert "failed on order" in found.details


def test_states_that_are_not_the_jobs_own_end_nothing(here: Here, workspace: Workspace, tmp_path: Path) -> None:
    command = f"while [ ! -e {tmp_path / 'go'} ]; do sleep 0.1; done"
    service = training(here, workspace, command, WANTED)
    service.submit("one", DATA, {})
    until(lambda: service.status("one") == Running(), lambda: service.status("one"))
    for kind in ("not responding", "unknown status"):
        here.faults.order(Fault(kind=kind, endpoint="one", count=1))
        assert [service.status("one") for _ in range(2)] == [Running(), Running()]
    log_metric(here, 0.9)
    here.faults.order(Fault(kind="late metrics", endpoint="one", seconds=0.5))
    here.faults.order(Fault(kind="nan metrics"))
    (tmp_path / "go").touch()
    found = ended(service)
    assert isinstance(found, Finished) and found.metrics == {"roc_auc": "NaN"}


def test_a_job_that_is_cancelled_while_it_runs_ends(here: Here, workspace: Workspace, tmp_path: Path) -> None:
    service = training(here, workspace, f"touch {tmp_path / 'begun'}; sleep 600")
    service.submit("one", DATA, {})
    until(lambda: (tmp_path / "begun").exists(), lambda: service.status("one"))
    service.cancel("one")
    service.cancel("one")
    assert ended(service) == Cancelled()
    service.cancel("one")


def test_a_log_of_another_host_is_not_read(workspace: Workspace) -> None:
    details = {
        "error": {"error": {"code": "UserError", "message": "exited with 1"}},
        "logFiles": {"user_logs/std_log.txt": "https://evil.example/std_log.txt?sig=S3CRET"},
    }
    assert reason_of(workspace, details) == "UserError: exited with 1"
