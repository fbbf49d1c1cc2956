"""The whole flow with the sample as it is: its scikit-learn training, and a deployment without a scoring script."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.azureml import SAMPLE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.adapters.azureml import online
from shared.cli.place import DONE
from shared.domain.jobs import JobState, RetrainingJob
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, place_of
from tests.support.commands import CommandLine
from tests.support.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory, SAMPLE)


@pytest.fixture(autouse=True)
def soon_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local workspace is read late for a moment only."""
    monkeypatch.setattr(online, "SETTLING", 2.5)


@pytest.fixture
def flow(azureml: AzureMLPlace, tmp_path: Path) -> AzureMLFlow:
    return AzureMLFlow(azureml, configured(tmp_path, *PASSING))


def test_a_new_model_is_proven_before_its_first_call_and_gets_its_share_step_by_step(flow: AzureMLFlow) -> None:
    job = flow.finish(flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:300])))
    assert job.state is JobState.PROMOTED, job.reason
    states = list(dict.fromkeys(step.state for step in job.steps))
    assert states == [
        JobState.RECEIVED,
        JobState.SUBMITTED,
        JobState.TRAINING,
        JobState.JUDGING,
        JobState.ACCEPTED,
        JobState.STAGING,
        JobState.PROMOTING,
        JobState.PROMOTED,
    ]
    live = flow.champion.live
    assert live is not None
    assert live.proof["online"].proven
    assert [step.share for step in live.traffic] == [10, 50, 100]
    assert job.verdict is not None
    assert job.verdict.same_rows
    flow.assert_right(job)


def test_a_training_that_scores_the_champion_too_is_judged_without_a_call_of_the_endpoint(
    azureml: AzureMLPlace, tmp_path: Path
) -> None:
    flow = AzureMLFlow(azureml, configured(tmp_path, *PASSING, ("# champion: {}", "champion: {}")))
    first = promoted_without_a_call_while_judged(flow, rows=303)
    second = promoted_without_a_call_while_judged(flow, rows=306)
    assert first.model is not None and second.champion is not None
    assert second.champion.sha256 == first.model.sha256
    flow.assert_right(second)


def promoted_without_a_call_while_judged(flow: AzureMLFlow, rows: int) -> RetrainingJob:
    """Return the job of new data, whose training scored the champion as scikit-learn itself does."""
    [live] = flow.traffic()
    flow.order("model error", endpoint=live)
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:rows]))
    flow.let_trainings_end()

    def judged() -> bool:
        flow.poll()
        return flow.job(job.id).verdict is not None

    until(judged, lambda: flow.job(job.id))
    requests.delete(f"{flow.workspace.control}/faults", timeout=PATIENCE)
    job = flow.finish(job)
    assert job.state is JobState.PROMOTED, job.reason
    assert job.verdict is not None
    assert job.verdict.same_rows
    assert job.champion is not None
    header, *scored = scored_by_the_training(flow, job)
    features = [[float(row[header.index(name)]) for name in flow.features()[0]] for row in scored]
    expected = [each[-1] for each in flow.predicted(job.champion.sha256, features)]
    assert [float(row[header.index("probability")]) for row in scored] == pytest.approx(expected)
    return job


def scored_by_the_training(flow: AzureMLFlow, job: RetrainingJob) -> list[list[str]]:
    """Return the lines of the file in which the training put the rows as the champion scores them."""
    container = flow.place.blobs.get_container_client("batches")
    end = f"{job.id}/champion_scored/scored.csv"
    [name] = [name for name in container.list_blob_names() if name.endswith(end)]
    return list(csv.reader(container.download_blob(name, encoding="utf-8").readall().splitlines()))


def test_the_doctor_finds_nothing_wrong_in_the_workspace_and_changes_nothing(
    flow: AzureMLFlow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (flow.traffic(), flow.deployments(), len(list(flow.workspace.remote.listed("jobs"))))
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    code, out, _ = CommandLine(settings, tmp_path, capsys).run("doctor", "--json")
    findings = {each["what"]: each for each in json.loads(out)}
    assert {what for what, each in findings.items() if each["health"] != "ok"} == {"timers of the app"}, findings
    assert code == DONE
    for part in ("training.workspace", "training.component", "targets (online)"):
        assert any(what.endswith(part) for what in findings), list(findings)
    assert (flow.traffic(), flow.deployments(), len(list(flow.workspace.remote.listed("jobs")))) == before
