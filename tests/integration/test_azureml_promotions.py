"""The flow with Azure Machine Learning v2: the right model has all calls at the end, whatever the service does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import requests

from aml.faults import Faults
from local.azureml import AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv, with_shuffled_labels
from shared.adapters.azureml import online
from shared.cli.place import DONE, FAILED
from shared.domain.champions import Action
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, place_of
from tests.support.commands import CommandLine
from tests.support.waiting import PATIENCE, until

ROWS = count(300, 3)  #: of the next data set: each gives another model


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory)


@pytest.fixture(autouse=True)
def no_fault_stays(azureml: AzureMLPlace) -> Iterator[None]:
    yield
    requests.delete(f"{azureml.workspace.control}/faults", timeout=PATIENCE)


@pytest.fixture
def flow(azureml: AzureMLPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLFlow:
    """A flow whose gate passes nearly every model. The local workspace is read late for a moment only."""
    monkeypatch.setattr(online, "SETTLING", 2.5)
    return AzureMLFlow(azureml, configured(tmp_path, *PASSING))


def retrained(flow: AzureMLFlow) -> RetrainingJob:
    """Drop a data set like no other and return its job once it is final."""
    return flow.finish(flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)])))


def said(job: RetrainingJob) -> str:
    return "\n".join([*(step.note for step in job.steps), job.reason or ""])


def test_a_model_that_the_gate_refuses_is_never_deployed(azureml: AzureMLPlace, tmp_path: Path) -> None:
    strict = AzureMLFlow(azureml, configured(tmp_path, *PASSING[2:]))
    before = strict.deployments()
    job = strict.finish(strict.drop("shuffled.csv", as_csv(azureml.header, with_shuffled_labels(azureml.rows))))
    assert job.state is JobState.REJECTED, job.reason
    assert strict.deployments() == before


def test_a_rollback_is_one_write_while_the_former_model_is_deployed_and_else_deploys_it_first(
    flow: AzureMLFlow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = retrained(flow), retrained(flow)
    assert first.state is second.state is JobState.PROMOTED, (first.reason, second.reason)
    assert first.model is not None
    for _ in range(2):  # the second time the former model's deployment is gone
        flow.requests.append(Request(pipeline=second.pipeline, action=Command.ROLLBACK, by="ann"))
        flow.finish(second)
        live = flow.champion.live
        assert live is not None
        assert live.action is Action.ROLLED_BACK
        flow.assert_right(second)
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    commands = CommandLine(settings, tmp_path, capsys)
    assert commands.run("verify", second.pipeline)[0] == DONE
    give(flow, {})  # by somebody else, after the promotion
    code, _, err = commands.run("verify", second.pipeline)
    assert (code, f"rollback {second.pipeline} --to {live.number}" in err) == (FAILED, True), err
    flow.requests.append(Request(pipeline=second.pipeline, action=Command.ROLLBACK, by="ann", to=live.number))
    until(lambda: later(flow).champion.last > live.number, lambda: (flow.champion.repair, flow.troubles[-3:]))
    assert flow.champion.live is not None
    assert flow.champion.live.action is Action.REVERTED
    flow.assert_right(second)


#: faults that pass, by what they are of; each kind with its options
PASSING_FAULTS = {
    "connections": [
        *[("lost answer", {"operation": f"arm.{name}.put"}) for name in ("jobs", "deployments", "onlineEndpoints")],
        *[("reset", {"operation": f"arm.{name}"}) for name in ("jobs.put", "deployments.put")],
        *[(kind, {"operation": "score"}) for kind in ("reset", "truncated")],
        ("truncated", {"operation": "arm.onlineEndpoints.put"}),
        ("slow", {"operation": "arm.onlineEndpoints.put", "seconds": 1}),
        ("slow", {"operation": "score", "seconds": 1}),
    ],
    "refusals": [
        ("throttled", {"operation": "arm.jobs.put", "count": 2}),
        ("unavailable", {"operation": "arm.deployments.put", "count": 2}),
        ("throttled", {"operation": "arm.onlineEndpoints.put", "count": 2}),
        ("expired token", {"operation": "arm.deployments.put"}),
        ("expired token", {"operation": "score"}),
    ],
    "writes": [("updating", {"count": 2}), ("late", {"seconds": 2}), ("model error", {})],
    "the job": [("not responding", {}), ("unknown status", {}), ("late metrics", {"seconds": 1})],
}


@pytest.mark.parametrize("of", PASSING_FAULTS)
def test_trouble_that_passes_changes_nothing_of_the_outcome(flow: AzureMLFlow, of: str) -> None:
    for kind, options in PASSING_FAULTS[of]:
        flow.order(kind, **{"count": 1, **options})
    job = retrained(flow)
    assert job.state is JobState.PROMOTED, said(job)
    orders = requests.get(f"{flow.workspace.control}/faults", timeout=PATIENCE).json()
    assert [(each["kind"], each.get("operation")) for each in orders if not each.get("struck")] == []
    flow.assert_right(job)


#: kind and options of a fault of a training, the state of its job, and what its record says
OF_TRAININGS = [
    ("failed job", {}, JobState.FAILED, "failed on order"),
    ("canceled job", {}, JobState.CANCELLED, "was cancelled"),
    ("stuck", {"state": "Queued"}, JobState.TIMED_OUT, "waited"),
    ("stuck", {"state": "Running"}, JobState.TIMED_OUT, "ran"),
    ("missing output", {}, JobState.FAILED, "does not exist"),
    ("empty output", {}, JobState.FAILED, "scored"),
    ("nan metrics", {}, JobState.REJECTED, "AUC"),
]


@pytest.mark.parametrize(("kind", "options", "state", "says"), OF_TRAININGS)
def test_a_training_that_goes_wrong_ends_its_job_with_the_reason_and_deploys_nothing(
    flow: AzureMLFlow, kind: str, options: dict[str, object], state: JobState, says: str
) -> None:
    before = (flow.traffic(), flow.deployments())
    flow.order(kind, **{"count": 1000, **options})
    if kind == "stuck":
        flow.looking = lambda: flow.pass_time(timedelta(hours=1))
    job = retrained(flow)
    assert job.state is state, said(job)
    assert says in said(job)
    assert flow.trainings(job) == 1
    assert (flow.traffic(), flow.deployments()) == before


#: kind and options of a fault of the endpoint, the state of the job, and what its record says
OF_PROMOTIONS = [
    ("failing operation", {}, JobState.FAILED, "nobody was served"),
    ("out of quota", {}, JobState.FAILED, "OutOfQuota"),
    ("deaf", {}, JobState.FAILED, "nobody was served"),
    ("deaf", {"endpoint": "breast-cancer", "count": 1000}, JobState.REVERTED, "former model"),
    ("no effect", {"count": 1000}, JobState.REVERTED, "former model"),
]


@pytest.mark.parametrize(("kind", "options", "state", "says"), OF_PROMOTIONS)
def test_a_promotion_that_goes_wrong_leaves_all_calls_and_nothing_but_the_former_model(
    flow: AzureMLFlow, kind: str, options: dict[str, object], state: JobState, says: str
) -> None:
    before = flow.answered()
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))

    def order_once_it_is_its_turn() -> None:
        found = flow.job(job.id)
        # The first write is that of the deployment; those of the endpoint follow once it is proven.
        if not options or (found.stage and found.stage.proven_at):
            flow.order(kind, **{"count": 1, **options})
            # What passes all looks is taken back only after its time.
            flow.looking = lambda: flow.pass_time(timedelta(minutes=1 if options else 0))

    flow.looking = order_once_it_is_its_turn
    order_once_it_is_its_turn()
    ended = flow.finish(job)
    assert ended.state is state, said(ended)
    assert says in said(ended)
    requests.delete(f"{flow.workspace.control}/faults", timeout=PATIENCE)
    assert flow.answered() == before
    flow.assert_right(ended)


def when_it_has_its_first_calls(flow: AzureMLFlow, job: RetrainingJob, kind: str, **options: object) -> None:
    """Order the fault, with the name of the new deployment, once that has a share of the calls."""

    def look() -> None:
        candidate = flow.job(job.id).model
        if candidate and 0 < flow.traffic().get(f"m{candidate.sha256[:12]}", 0) < 100:
            flow.order(kind, **{"endpoint": f"m{candidate.sha256[:12]}", **options})
            flow.looking = lambda: None

    flow.looking = look


def test_a_model_that_fails_at_its_first_step_is_taken_back_with_one_write(flow: AzureMLFlow) -> None:
    before = flow.answered()
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))
    when_it_has_its_first_calls(flow, job, "model error", count=1000)
    ended = flow.finish(job)
    assert ended.state is JobState.REVERTED, said(ended)
    assert flow.answered() == before
    flow.assert_right(ended)


@pytest.mark.parametrize("kind", ["dropped traffic", "other writer"])
def test_shares_that_somebody_drops_or_changes_during_a_step_are_given_again(flow: AzureMLFlow, kind: str) -> None:
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))
    when_it_has_its_first_calls(flow, job, kind, endpoint="breast-cancer", count=1)
    ended = flow.finish(job)
    assert ended.state is JobState.PROMOTED, said(ended)
    flow.assert_right(ended)


def test_a_promotion_waits_for_somebody_who_took_all_calls_from_the_endpoint(flow: AzureMLFlow) -> None:
    [serving] = flow.traffic()
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))
    give(flow, {})
    until(lambda: bool(flow.advance() or flow.job(job.id).trouble), lambda: flow.job(job.id))
    assert "no deployment with traffic" in str(flow.job(job.id).trouble)
    give(flow, {serving: 100})
    ended = flow.finish(job)
    assert ended.state is JobState.PROMOTED, said(ended)
    flow.assert_right(ended)


def later(flow: AzureMLFlow) -> AzureMLFlow:
    """Return the flow after one more poll, some time later."""
    flow.advance()
    flow.pass_time(timedelta(seconds=10))
    return flow


def test_each_fault_of_the_workspace_is_tried_with_the_whole_flow() -> None:
    passing = {kind for faults in PASSING_FAULTS.values() for kind, _ in faults}
    lasting = {kind for kind, *_ in [*OF_TRAININGS, *OF_PROMOTIONS]}
    others = {
        "model error",
        "dropped traffic",
        "other writer",
        "endless operation",
    }  # above, and in test_azureml_endless
    # The app asks for no logged models; programs with MLflow 3 do.
    assert Faults.KINDS.keys() - passing - lasting - others == {"no logged models"}


def give(flow: AzureMLFlow, traffic: dict[str, int]) -> None:
    """Write the traffic as a person does."""
    endpoint = flow.resource("onlineEndpoints/breast-cancer")
    endpoint["properties"]["traffic"] = traffic
    flow.workspace.remote.put("onlineEndpoints/breast-cancer", endpoint)
