"""What the states of many trainings in a workspace cost at a poll."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aml.state.records import Job
from service.faults.orders import Fault
from shared.adapters.azureml.runs import FEW, Runs
from shared.adapters.http import Answer
from shared.app import App
from shared.base.errors import ServiceUnavailable
from shared.base.settings import Settings
from shared.domain.evaluation import Kind
from shared.domain.logged_metrics import are_there
from shared.domain.ports import NotStarted, Running
from tests.support.aml import Here
from tests.support.trainings import (
    DATA,
    pass_to,
    training,
    with_component,
)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return with_component(Here(tmp_path / "aml"))


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A workspace for tests that make no job, or one with its own name."""
    return with_component(Here(tmp_path_factory.mktemp("common") / "aml"))


def test_the_states_of_many_jobs_are_few_calls(here: Here) -> None:
    service, wire = training(here)
    names = [f"j-{number}" for number in range(12)]
    for name in names:
        service.submit(name, DATA, {})
    pass_to(here, "j-1", "Running")
    pass_to(here, "j-2", "Completed", datetime.now(UTC))
    here.workspace.records.change(Job, "jobs/j-1", lambda job: msgspec.structs.replace(job, begun=datetime.now(UTC)))
    wire.calls.clear()
    found = service.statuses(names[:9])
    assert found == {name: Running() if name == "j-1" else NotStarted() for name in names[:9] if name != "j-2"}
    assert [each.path.rpartition("/mlflow/")[2] for each in wire.calls] == ["", "experiments/search", "runs/search"]
    assert service.statuses(names[9:]) and len(wire.calls) == 3  # the next group of the same poll
    pass_to(here, "j-1", "Completed", datetime.now(UTC))
    assert "j-1" not in service.statuses(names)  # the next poll, however soon it comes


def test_few_jobs_are_left_to_be_asked_for_each_by_itself(common: Here) -> None:
    service, wire = training(common)
    assert service.statuses([f"j-{number}" for number in range(FEW)]) == {}
    assert not wire.calls


def test_a_search_that_fails_is_not_made_for_each_group(here: Here) -> None:
    service, wire = training(here)
    here.faults.order(Fault(kind="unavailable", operation="mlflow.runs", seconds=60))
    names = [f"j-{number}" for number in range(30)]
    for _ in range(3):
        assert all(isinstance(each, ServiceUnavailable) for each in service.statuses(names).values())
    assert len([each for each in wire.calls if each.path.endswith("runs/search")]) == 1


class Many:
    """MLflow with so many runs, of which the newest come first, as it answers a search."""

    def __init__(self, active: int, ended_after: int = 0) -> None:
        self.runs = [self._run(f"e-{number}", "FINISHED") for number in range(ended_after)]
        self.runs += [self._run(f"j-{number}", "RUNNING") for number in range(active)]
        self.calls = 0

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        assert (method, query) == ("POST", {})
        self.calls += 1
        if path == "experiments/search":
            return self._answer({"experiments": [{"experiment_id": "1"}]})
        assert (body["experiment_ids"], body["filter"], body["max_results"]) == (["1"], "tags.relearn = 'job'", 1000)
        begin = int(body.get("page_token", 0))
        end = begin + 1000
        following = {"next_page_token": str(end)} if end < len(self.runs) else {}
        return self._answer({"runs": self.runs[begin:end], **following})

    def _answer(self, body: Mapping[str, Any]) -> Answer:
        return Answer("runs", 200, {}, msgspec.json.encode(body))

    def _run(self, name: str, status: str) -> dict[str, Any]:
        return {"info": {"run_id": name, "experiment_id": "1", "status": status}, "data": {}}


def groups(names: list[str], size: int = 100) -> Iterator[list[str]]:
    return (names[begin : begin + size] for begin in range(0, len(names), size))


@pytest.mark.parametrize("order", [list, lambda names: names[::-1], sorted], ids=["newest", "oldest", "mixed"])
def test_ten_thousand_active_jobs_are_at_most_twenty_calls_a_poll(order: Callable[[list[str]], list[str]]) -> None:
    names, now = [f"j-{number}" for number in range(10_000)], 0.0
    service = Many(10_000)
    runs = Runs(service, lambda: now)
    alone = 0
    for group in groups(order(names)):
        now += 1.0  # a poll of so many takes its time
        found = runs.states(group)
        alone += len(group) - len(found)
        assert set(found.values()) == {"RUNNING"}
    assert service.calls + alone <= 20
    before = service.calls
    now += 600.0
    assert runs.states(names) and service.calls > before  # the next poll sees the states of then


def test_many_small_groups_are_few_calls_too() -> None:
    service, names = Many(900), [f"j-{number}" for number in range(900)]
    runs = Runs(service, lambda: 0.0)
    found = [runs.states(group) for group in groups(names, size=3)]
    assert service.calls + len(names) - sum(map(len, found)) <= 20


def test_groups_at_the_same_time_share_one_search() -> None:
    service, names = Many(800), [f"j-{number}" for number in range(800)]
    runs = Runs(service, lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        assert sum(map(len, pool.map(runs.states, groups(names)))) == 800
    assert service.calls == 2


def test_metrics_that_the_gate_needs_are_waited_for_without_a_name_in_the_configuration() -> None:
    needed = ["AUC"]
    assert not are_there({"loss": "0.1"}, {}, needed, Kind.TWO_CLASS)
    assert are_there({"roc_auc": "0.9"}, {}, needed, Kind.TWO_CLASS)
    assert not are_there({"roc_auc": "0.9"}, {"Accuracy": "acc"}, needed, Kind.TWO_CLASS)
    assert are_there({}, {}, [], Kind.TWO_CLASS)  # nothing is read of the run


def test_the_pipelines_of_one_workspace_share_what_is_known_of_it(common: Here) -> None:
    app = App(Settings({}))
    upper = common.workspace.id.replace("resourceGroups", "RESOURCEGROUPS")
    assert app._workspace_of("https://management.azure.com", common.workspace.id) is app._workspace_of(
        "https://management.azure.com", upper
    )


def test_an_old_job_behind_many_that_ended_is_not_searched_for() -> None:
    service = Many(3, ended_after=15_000)
    assert Runs(service, lambda: 0.0).states(["j-0", "j-1", "j-2"]) == {}
    assert service.calls == 0
    service = Many(300, ended_after=15_000)
    runs = Runs(service, lambda: 0.0)
    for group in groups([f"j-{number}" for number in range(300)]):
        assert runs.states(group) == {}
    assert service.calls <= 20
