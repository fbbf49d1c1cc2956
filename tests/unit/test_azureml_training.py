"""Trainings as jobs of a workspace: what is sent, how each state is read, and what many jobs cost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from aml.state.records import Job
from service.faults.orders import Fault
from shared.adapters.azureml.training import LAG, WorkspaceTraining
from shared.base.errors import BadConfiguration, ServiceRefused, ServiceUnavailable, UnexpectedAnswer
from shared.domain.azureml import ChampionScored, ModelOutput, ScoredOutput
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, Cancelled, Finished, NotStarted, Running
from tests.support import aml_models
from tests.support.aml import Here
from tests.support.aml_session import Wire
from tests.support.mlflow import asked
from tests.support.trainings import (
    DATA,
    SPECIFICATION,
    STORE,
    pass_to,
    publish,
    training,
    with_component,
)

SENT = json.loads((Path(__file__).parents[1] / "support" / "azureml_jobs_sent.json").read_text("utf-8"))

RECORDED = aml_models.FOLDER / "mlclient-recorded"

CHAMPION = Model(sha256="c" * 64, size=1, folder=True)

JOB_FILE = """
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
command: python train.py ${{inputs.data}} ${{outputs.model}}
environment: azureml:env:1
environment_variables: {A: "1"}
inputs: {data: {type: uri_file}, c: 0.5}
outputs: {model: {type: mlflow_model}}
"""

#: the states of the service and what they mean here
STATES = {
    **dict.fromkeys(("NotStarted", "Starting", "Provisioning", "Preparing", "Queued"), NotStarted()),
    **dict.fromkeys(("Running", "Finalizing", "CancelRequested", "NotResponding", "Paused", "Unknown"), Running()),
    "Canceled": Cancelled(),
}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return with_component(Here(tmp_path / "aml"))


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A workspace for tests that make no job, or one with its own name."""
    return with_component(Here(tmp_path_factory.mktemp("common") / "aml"))


def job_of(here: Here, name: str) -> Job:
    job = here.workspace.records.find(Job, f"jobs/{name}")
    assert job is not None
    return job


def with_child(here: Here, name: str, **metrics: float | str) -> str:
    """Give a pipeline job the run of its step, which logged these metrics."""
    experiment = asked(here, "GET", "runs/get", run_id=name)["run"]["info"]["experiment_id"]
    tags = [{"key": "mlflow.parentRunId", "value": name}]
    made = asked(here, "POST", "runs/create", {"experiment_id": experiment, "tags": tags})
    child = str(made["run"]["info"]["run_id"])
    for key, value in metrics.items():
        asked(here, "POST", "runs/log-metric", {"run_id": child, "key": key, "value": value, "timestamp": 1})
    return child


def comparable(body: Any, here: Here) -> Any:
    """Return a body without what is the caller's own, its node by one name and its outputs without their places."""
    text = json.dumps(body).replace(here.workspace.id, "{workspace}")
    properties = json.loads(re.sub(r"paths/[\w/.-]+", "paths/", text))["properties"]
    own = {"tags", "properties", "displayName", "description"}
    found = {name: value for name, value in properties.items() if name not in own}
    if "jobs" in found:
        [node] = found["jobs"].values()
        found["jobs"] = {name: value for name, value in node.items() if name not in ("name", "_source", "limits")}
        found["settings"] = {
            name: value for name, value in found["settings"].items() if name not in ("_source", "force_rerun")
        }
    found.pop("limits", None)  # compared by itself
    if "resources" in found:
        found["resources"].pop("properties", None)
    return found


@pytest.mark.parametrize(
    ("sent", "component", "place"),
    [
        ("component on a cluster", "train:1", {"compute": "cpu-cluster"}),
        ("component on serverless compute", "train:1", {"compute": None, "serverless": "Standard_DS3_v2"}),
        ("command on a cluster", None, {"compute": "cpu-cluster"}),
        ("command on serverless compute", None, {"compute": None, "serverless": "Standard_DS3_v2"}),
    ],
)
def test_a_job_is_what_the_services_own_client_sends_for_the_same(
    here: Here, tmp_path: Path, sent: str, component: str | None, place: dict[str, Any]
) -> None:
    file = tmp_path / "job.yml"
    file.write_text(JOB_FILE, encoding="utf-8")
    scored = ScoredOutput() if component else None
    service, wire = training(
        here, file, component=component, job="job.yml", scored=scored, experiment="income", **place
    )
    service.submit("j-1", DATA, {"c": "0.5"})
    [put] = [each for each in wire.calls if each.method == "PUT"]
    assert comparable(put.body, here) == comparable(SENT[sent], here)
    timed = put.body["properties"]["jobs"]["train"] if component else put.body["properties"]
    assert timed["limits"]["timeout"] == "PT15000S"  # 4 h and 10 min


@pytest.mark.skipif(not RECORDED.exists(), reason=f"{RECORDED} is not there, so no recorded client is compared with")
@pytest.mark.parametrize(
    ("recorded", "component"), [("01-put-jobs*.json", None), ("20-put-pipeline-job.json", "train:1")]
)
def test_a_job_has_no_member_that_a_recorded_client_does_not_send(
    here: Here, tmp_path: Path, recorded: str, component: str | None
) -> None:
    file = tmp_path / "job.yml"
    file.write_text(JOB_FILE, encoding="utf-8")
    service, wire = training(here, file, component=component, job="job.yml", scored=None)
    if component:
        publish(here, "2", outputs={"model": {"type": "mlflow_model"}}, command="echo ${{inputs.data}}")
        service, wire = training(here, component="train:2", scored=None)
    service.submit("j-1", DATA, {"c": "0.5"})
    [put] = [each for each in wire.calls if each.method == "PUT"]
    [their] = RECORDED.glob(recorded)
    mine, theirs = put.body["properties"], json.loads(their.read_text("utf-8"))["body"]["properties"]
    # `limits` is the client's too, where a job has a timeout.
    assert set(mine) - set(theirs) <= {"description", "limits"}
    assert component is None or ("x-azureml-token" in put.headers and put.headers["x-azureml-token"].count(".") == 2)


def test_a_job_names_its_data_outputs_and_whose_it_is(here: Here) -> None:
    service, wire = training(here)
    assert service.submit("j-1", DATA, {"c": "0.5"}) == "j-1"
    service.start("j-1")
    body = wire.calls[-1].body["properties"]
    assert body["inputs"]["data"]["uri"] == "azureml://datastores/workspaceblobstore/paths/income/j-1.csv"
    assert body["outputs"]["scored"]["uri"] == "azureml://datastores/workspaceblobstore/paths/income/j-1/scored/"
    marks = {"relearn.job": "j-1", "relearn.pipeline": "income", "relearn.data": "income/j-1.csv"}
    assert body["tags"] == {"relearn": "job", **marks} and body["properties"] == marks
    assert body["settings"]["force_rerun"] is True


@pytest.mark.parametrize("kind", ["mlflow_model", "custom_model", "uri_folder"])
@pytest.mark.parametrize("by", ["component", "job"])
def test_a_job_gets_the_champion_as_an_input_and_gives_what_it_answers(
    here: Here, tmp_path: Path, by: str, kind: str
) -> None:
    inputs = {**SPECIFICATION["inputs"], "champion": {"type": kind}}
    outputs = {**SPECIFICATION["outputs"], "champion_scored": {"type": "uri_folder"}}
    publish(here, "2", inputs=inputs, outputs=outputs)
    job = {**yaml.safe_load(JOB_FILE), "inputs": {"data": {"type": "uri_file"}, "champion": {"type": kind}}}
    (tmp_path / "job.yml").write_text(yaml.safe_dump({**job, "outputs": outputs}), encoding="utf-8")
    changes = {"component": "train:2"} if by == "component" else {"component": None, "job": "job.yml"}
    service, wire = training(here, tmp_path / "job.yml", champion=ChampionScored(datastore="models"), **changes)
    for _ in range(2):
        service.submit("j-1", DATA, {}, CHAMPION)
    [put] = [each for each in wire.calls if each.method == "PUT"]
    body = put.body["properties"]
    address = f"azureml://datastores/models/paths/{CHAMPION.sha256}/"
    assert body["inputs"]["champion"] == {"jobInputType": kind, "uri": address}
    place = "azureml://datastores/workspaceblobstore/paths/income/j-1/champion_scored/"
    assert body["outputs"]["champion_scored"] == {"jobOutputType": "uri_folder", "uri": place}
    if by == "component":
        assert body["jobs"]["train"]["inputs"]["champion"]["value"] == "${{parent.inputs.champion}}"
    pass_to(here, "j-1", "Completed", datetime.now(UTC) - timedelta(seconds=LAG + 1))
    found = service.status("j-1")
    assert isinstance(found, Finished)
    assert found.results["champion_scored"].relative == "batches/income/j-1/champion_scored/scored.csv"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("live", "no input 'live'; it has: data, c"),
        ("c", "input 'c' of type number; for the champion it can be: mlflow_model, custom_model, uri_folder"),
    ],
)
def test_an_input_that_cannot_get_the_champion_is_for_a_human(common: Here, name: str, message: str) -> None:
    service, wire = training(common, champion=ChampionScored(input=name, datastore="models"))
    with pytest.raises(BadConfiguration, match=re.escape(message)):
        service.submit("j-1", DATA, {}, CHAMPION)
    assert not [each for each in wire.calls if each.method == "PUT"]


def test_a_file_input_that_nobody_gives_a_path_is_for_a_human(here: Here, tmp_path: Path) -> None:
    job = {**yaml.safe_load(JOB_FILE), "inputs": {"data": {"type": "uri_file"}, "more": {"type": "uri_folder"}}}
    (tmp_path / "job.yml").write_text(yaml.safe_dump(job), encoding="utf-8")
    service, _ = training(here, tmp_path / "job.yml", component=None, job="job.yml", scored=None)
    with pytest.raises(BadConfiguration, match="the input 'more' has no path, and no job gets one for it"):
        service.submit("j-1", DATA, {})


def test_an_output_that_is_one_file_gets_its_name(here: Here) -> None:
    publish(here, "2", outputs={"model": {"type": "uri_file"}, "scored": {"type": "uri_file"}})
    service, wire = training(here, component="azureml:train:2")
    service.submit("j-1", DATA, {})
    outputs = wire.calls[-1].body["properties"]["outputs"]
    assert outputs["scored"]["uri"].endswith("paths/income/j-1/scored/scored.csv")
    assert outputs["model"]["uri"].endswith("paths/income/j-1/model/model")


def test_a_lost_answer_to_submit_starts_no_second_training(here: Here) -> None:
    service, wire = training(here)
    wire.lost = "PUT jobs/"
    with pytest.raises(ServiceUnavailable):
        service.submit("j-1", DATA, {})
    assert service.submit("j-1", DATA, {}) == "j-1"
    assert [each.path for each in wire.calls if each.method == "PUT"] == ["jobs/j-1"]
    assert here.names("jobs") == ["j-1"]


def test_a_job_of_somebody_else_is_refused_and_not_changed(here: Here) -> None:
    environment = f"{here.workspace.id}/environments/env/versions/1"
    here.put("jobs/j-1", jobType="Command", command="true", environmentId=environment, tags={"a": "b"})
    service, wire = training(here)
    with pytest.raises(ServiceRefused, match="did not make"):
        service.submit("j-1", DATA, {})
    assert not [each for each in wire.calls if each.method == "PUT"]
    assert here.call("GET", "jobs/j-1").json["properties"]["tags"] == {"a": "b"}


def test_a_job_whose_tags_somebody_removed_is_still_ours(here: Here) -> None:
    service, _ = training(here)
    service.submit("j-1", DATA, {})
    body = here.call("GET", "jobs/j-1").json["properties"]
    here.put("jobs/j-1", **{**body, "tags": {}})
    assert service.submit("j-1", DATA, {}) == "j-1"


@pytest.mark.parametrize(("status", "meaning"), STATES.items())
def test_each_state_that_does_not_end_a_job_is_read(common: Here, status: str, meaning: object) -> None:
    service, _ = training(common)
    service.submit(status, DATA, {})
    pass_to(common, status.lower(), status)
    assert service.status(status) == meaning


def test_all_states_of_the_service_are_known() -> None:
    if not aml_models.there():
        pytest.skip(aml_models.MISSING)
    words = json.loads((aml_models.FOLDER / f"enums-{aml_models.VERSION}.json").read_text("utf-8"))["JobStatus"]
    assert set(words) == {*STATES, "Completed", "Failed"}


def test_a_state_of_a_later_version_ends_nothing(here: Here) -> None:
    service, _ = training(Here(here.workspace.folder, typed=False))
    service.submit("j-1", DATA, {})
    pass_to(here, "j-1", "Hibernating")
    with pytest.raises(UnexpectedAnswer, match="Hibernating"):
        service.status("j-1")


def test_a_missing_job_is_never_asked_for_again(common: Here) -> None:
    with pytest.raises(ServiceRefused, match="j-2"):
        training(common)[0].status("j-2")


def test_a_finished_job_has_its_steps_metrics_and_results_in_our_storage(here: Here) -> None:
    service, _ = training(here)
    service.submit("j-1", DATA, {})
    with_child(here, "j-1", roc_auc=0.9, loss="NaN", worst="Infinity")
    pass_to(here, "j-1", "Completed", datetime.now(UTC))
    found = service.status("j-1")
    assert isinstance(found, Finished)
    assert found.metrics == {"roc_auc": "0.9", "loss": "NaN", "worst": "Infinity"}
    assert found.results == {
        "model": BlobReference(STORE, "batches/income/j-1/model/"),
        "scored": BlobReference(STORE, "batches/income/j-1/scored/scored.csv"),
    }


def test_metrics_that_lag_the_end_are_waited_for_and_not_for_ever(here: Here) -> None:
    service, _ = training(here)
    service.submit("j-1", DATA, {})
    child = with_child(here, "j-1", loss=0.1)
    pass_to(here, "j-1", "Completed", datetime.now(UTC))
    assert service.status("j-1") == Running()
    asked(here, "POST", "runs/log-metric", {"run_id": child, "key": "roc_auc", "value": 0.9, "timestamp": 2})
    assert isinstance(service.status("j-1"), Finished)

    service.submit("j-2", DATA, {})
    pass_to(here, "j-2", "Completed", datetime.now(UTC) - timedelta(seconds=LAG + 1))
    found = service.status("j-2")
    assert isinstance(found, Finished) and found.metrics == {}


def test_a_job_is_cancelled_and_one_that_has_ended_or_is_unknown_is_left(here: Here) -> None:
    service, _ = training(here)
    service.submit("j-1", DATA, {})
    for name in ("j-1", "j-1", "j-2"):
        service.cancel(name)
    assert service.status("j-1") == Cancelled()


def test_a_token_that_expires_on_the_way_costs_nothing(here: Here) -> None:
    service, _ = training(here)
    here.faults.order(Fault(kind="expired token", operation="arm.jobs.put", count=1))
    assert service.submit("j-1", DATA, {}) == "j-1"


@pytest.mark.parametrize(
    ("changes", "parameters", "message"),
    [
        ({"component": "train:9"}, {}, "has no component train:9"),
        ({"component": "train"}, {}, "write NAME:VERSION"),
        ({"data": "Data"}, {}, "no input 'Data'; 'data' differs in case only"),
        ({"data": "c"}, {}, "input 'c' of type number; it must be a uri_file"),
        ({}, {"depth": "3"}, "no input 'depth'; it has: data, c"),
        ({"model": ModelOutput(output="Model")}, {}, "no output 'Model'; 'model' differs in case only"),
        ({"scored": ScoredOutput(output="rows")}, {}, "no output 'rows'; it has: model, scored"),
    ],
)
def test_a_component_that_does_not_fit_is_for_a_human(
    common: Here, changes: dict[str, Any], parameters: dict[str, str], message: str
) -> None:
    service, wire = training(common, **changes)
    with pytest.raises(BadConfiguration, match=re.escape(message)):
        service.submit("j-1", DATA, parameters)
    assert not [each for each in wire.calls if each.method == "PUT"]


def test_an_input_without_a_value_is_named(here: Here) -> None:
    more = {"depth": {"type": "integer"}, "seed": {"type": "integer", "optional": True}}
    publish(here, "2", inputs={**SPECIFICATION["inputs"], **more})
    with pytest.raises(BadConfiguration, match=r"needs a value for: depth; add it to training\.parameters"):
        training(here, component="train:2")[0].submit("j-1", DATA, {})


def of_file(here: Here, folder: Path, text: str, **changes: Any) -> tuple[WorkspaceTraining, Wire]:
    file = folder / "job.yml"
    file.write_text(text, encoding="utf-8")
    return training(here, file, **{"component": None, "job": "job.yml", "scored": None, **changes})


def test_an_environment_that_a_job_file_describes_is_made_once(here: Here, tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.12]\n", encoding="utf-8")
    described = "environment: {image: 'python:3.12', conda_file: conda.yml}"
    service, wire = of_file(here, tmp_path, JOB_FILE.replace("environment: azureml:env:1", described))
    service.submit("j-1", DATA, {})
    service.submit("j-2", DATA, {})
    made = {each.path for each in wire.calls if each.path.startswith("environments/")}
    assert len(made) == 1
    environment = here.call("GET", made.pop()).json
    assert environment["properties"]["condaFile"] == "dependencies: [python=3.12]\n"
    assert wire.calls[-1].body["properties"]["environmentId"] == environment["id"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("command: ", "code: src\ncommand: ", "'code' is 'src', and the app uploads no file"),
        ("environment: azureml:env:1", "environment: azureml:env@latest", "write azureml:NAME:VERSION"),
        ("environment: azureml:env:1", "", "'environment' is missing"),
        ("environment: azureml:env:1", "environment: {build: {path: .}}", "'environment' has 'build'"),
        ("c: 0.5", "c: [1]", "the input 'c' must be a value"),
        ("c: 0.5", "c: {type: uri_file, path: ./x.csv}", "'inputs.c.path' is './x.csv', and the app uploads no file"),
        ("command: ", "type: sweep\ncommand: ", "'type' is 'sweep'; it can be command"),
        ("command: ", "distribution: {type: mpi}\ncommand: ", "'distribution' is not a key that is read here"),
        ("command: ", "enviroment: x\ncommand: ", "did you mean 'environment'?"),
        ("{type: mlflow_model}", "{type: mlflow_model, mode: fast}", "'mode' of 'model' is 'fast'; it can be:"),
        ("command: ", "command: x\ncommand: ", "stands twice"),
        ("data: {type: uri_file}, ", "", "has no input 'data'"),
        ("model: {type: mlflow_model}", "", "has no output 'model'"),
    ],
)
def test_a_job_file_that_cannot_be_run_says_why(common: Here, tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in JOB_FILE
    service, wire = of_file(common, tmp_path, JOB_FILE.replace(old, new, 1))
    with pytest.raises(BadConfiguration, match=re.escape(message)):
        service.submit("j-1", DATA, {})
    assert not [each for each in wire.calls if each.method == "PUT"]


def test_a_job_file_that_names_no_compute_says_so(common: Here, tmp_path: Path) -> None:
    service, _ = of_file(common, tmp_path, JOB_FILE, compute=None)
    with pytest.raises(BadConfiguration, match="does not name a compute"):
        service.submit("j-1", DATA, {})
    (tmp_path / "job.yml").unlink()
    with pytest.raises(BadConfiguration, match=r"does not exist; training\.job names a file"):
        service.submit("j-1", DATA, {})
