"""What a page of runs, values or versions costs: records that are read, with more and more of them behind the page."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aml.state.assets import find_or_make_asset
from aml.state.records import Job, Version, invoked_mark, make
from aml.state.runs import Point, Run, experiment_of, log
from tests.support.aml import MODEL, Here
from tests.support.mlflow import asked
from tests.support.reads import counting

SIZES = (100, 1_000, 10_000)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    return counting(monkeypatch)


def runs(here: Here, first: int, end: int) -> None:
    """Make runs of two experiments; each tenth one has the tag `rare`."""
    records = here.workspace.records
    parents = [experiment_of(records, name).id for name in ("a", "b")]
    records.put(
        *(
            Run(
                id=f"run{index}",
                parent=parents[index % 2],
                name=f"run{index}",
                title="a",
                started=index,
                tags={"rare": str(index % 10 == 0)},
                metrics={"auc": Point(value=index % 5, timestamp=1)},
            )
            for index in range(first, end)
        )
    )


@pytest.mark.parametrize("condition", ["", "tags.rare = 'True'", "metrics.auc > 3 AND tags.rare = 'False'"])
def test_a_page_of_runs_costs_the_same_with_a_hundred_times_as_many(
    here: Here, read: Callable[[Callable[[], Any]], int], condition: str
) -> None:
    body = {"experiment_ids": ["1", "2"], "filter": condition, "max_results": 5}
    costs = []
    for before, size in itertools.pairwise((0, *SIZES)):
        runs(here, before, size)
        costs.append(read(lambda: len(asked(here, "POST", "runs/search", body)["runs"])))
    assert costs[0] == costs[1] == costs[2] <= 100


def test_pages_have_every_run_once_and_the_newest_first(here: Here) -> None:
    runs(here, 0, 50)
    found, token = [], ""
    while True:
        page = asked(here, "POST", "runs/search", {"max_results": 7, "page_token": token})
        found += [int(each["info"]["run_id"][3:]) for each in page["runs"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert found == list(reversed(range(50)))
    body = {"order_by": ["metrics.auc DESC", "attributes.start_time ASC"], "max_results": 8}
    best = asked(here, "POST", "runs/search", body)
    rest = asked(here, "POST", "runs/search", {**body, "page_token": best["next_page_token"]})
    ordered = sorted(range(50), key=lambda index: (-(index % 5), index))
    assert [int(each["info"]["run_id"][3:]) for each in [*best["runs"], *rest["runs"]]] == ordered[:16]


def test_a_page_of_a_metrics_history_costs_the_same_with_more_values(
    here: Here, read: Callable[[Callable[[], Any]], int]
) -> None:
    runs(here, 0, 1)
    costs = []
    query = {"run_id": "run0", "metric_key": "loss", "max_results": "10"}
    for before, size in itertools.pairwise((0, 100, 3_000)):
        values = [("loss", Point(value=step, timestamp=step, step=step)) for step in range(before, size)]
        log(here.workspace.records, "run0", values)
        costs.append(read(lambda: asked(here, "GET", "metrics/get-history", **query)))
    assert costs[0] == costs[1] <= 20
    page = asked(here, "GET", "metrics/get-history", **query)
    following = asked(here, "GET", "metrics/get-history", **query, page_token=page["next_page_token"])
    assert [each["step"] for each in [*page["metrics"], *following["metrics"]]] == list(range(20))


def test_a_page_of_versions_costs_the_same_with_more_versions(
    here: Here, read: Callable[[Callable[[], Any]], int]
) -> None:
    find_or_make_asset(here.workspace.records, "models/income")
    costs = []
    query = {"filter": "name = 'income'", "max_results": "10"}
    for before, size in itertools.pairwise((0, *SIZES)):
        made = (make(Version, f"models/income/versions/{number}", dict(MODEL)) for number in range(before, size))
        here.workspace.records.put(*made)
        costs.append(read(lambda: asked(here, "GET", "model-versions/search", **query)))
    assert costs[0] == costs[1] == costs[2] <= 30


def jobs(here: Here, first: int, end: int) -> None:
    """Make jobs. Each fiftieth one is tagged, and a call of a batch endpoint made it."""
    made = []
    for number in range(first, end):
        rare = number % 50 == 0
        tags = {"sort": "rare" if rare else "common", "of": "all"}
        properties = {"jobType": "Pipeline" if rare else "Command", "tags": tags}
        place = f"batchendpoints/calls/deployments/{'first' if number % 100 else 'first2'}" if rare else ""
        job = {**properties, "displayName": "a", "experimentName": "a", "inputs": {}, "outputs": {}, "properties": {}}
        made.append(make(Job, f"jobs/job{number}", job, invoked=place))
    here.workspace.records.put(*made)


@pytest.mark.parametrize(
    "query",
    [
        {"tag": "sort=rare"},
        {"jobType": "Pipeline"},
        {"tag": "of=all,sort=rare"},
        {"tag": "of,sort=rare", "jobType": "Pipeline"},
    ],
)
def test_a_list_of_jobs_by_tag_or_type_reads_what_it_shows(
    here: Here, read: Callable[[Callable[[], Any]], int], query: dict[str, str]
) -> None:
    jobs(here, 0, 100)
    first = read(lambda: here.call("GET", "jobs", **query))
    jobs(here, 100, 1_000)
    names: list[str] = []
    cost = read(lambda: names.extend(each["name"] for each in here.call("GET", "jobs", **query).json["value"]))
    assert names == [f"job{number}" for number in range(950, -1, -50)]
    assert cost - first == 20 - 2


def test_the_jobs_of_a_batch_deployment_are_its_own(here: Here) -> None:
    jobs(here, 0, 200)
    records = here.workspace.records

    def listed(place: str) -> list[str]:
        found, _ = records.page(Job, "jobs", lambda _: True, 0, None, marks=[invoked_mark(f"batchendpoints/{place}")])
        return [each.name for each in found]

    assert listed("calls") == ["job0", "job50", "job100", "job150"]
    assert listed("calls/deployments/first") == ["job50", "job150"]  # not those of `first2`


def test_a_list_follows_a_changed_tag_and_has_the_records_of_an_earlier_version(here: Here) -> None:
    jobs(here, 0, 51)
    records = here.workspace.records
    with sqlite3.connect(here.workspace.folder / records.FILE) as database:
        database.execute("DROP TABLE marks")
        database.execute("DROP TRIGGER unmarked")
    later = Here(here.workspace.folder)
    assert later.names("jobs", tag="sort=rare") == ["job50", "job0"]
    untagged = records.find(Job, "jobs/job50")
    assert untagged is not None
    records.put(msgspec.structs.replace(untagged, properties={**untagged.properties, "tags": {"other": "a"}}))
    assert later.names("jobs", tag="sort=rare") == ["job0"]
    assert later.names("jobs", tag="other") == ["job50"]
    records.delete(untagged)
    assert later.names("jobs", tag="other") == []
