"""A record that cannot be read stops neither the poll nor the sweep of the others, and it is named for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec
import msgspec.inspect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.app import App
from shared.base.errors import BadConfiguration
from shared.cli.status import active_jobs
from shared.domain.arrivals import Arrival
from shared.domain.champions import Champion, HistoryEntry, Watch
from shared.domain.deployments import Deployments
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command
from shared.domain.rollouts import Rollout
from shared.store.arrivals import Batches, Moved, Sweep
from shared.store.champions import ChangeMark
from shared.store.damage import damaged
from shared.store.history_check import verify
from shared.store.polls import Poll
from shared.store.shelf import decode
from tests.support.fakes import World

CONTENTS = {
    "empty": b"",
    "object": b"{}",
    "list": b"[]",
    "deep": b'{"x":' * 100_000,
    "not UTF-8": b'{"pipeline":"\xff\xfe","not_before":"\xff","until":"\xff","number":"\xff"}',
    "no zone": b'{"not_before":"2026-01-01T00:00:00","until":"2026-01-01T00:00:00","pipeline":"income"}',
    "infinite": b'{"fence": 1e999, "pipeline": "income"}',
    "huge": b'{"fence": ' + b"9" * 5000 + b', "pipeline": "income"}',
}
RECORDS = (
    *(Arrival, Batches, Champion, ChangeMark, Deployments, HistoryEntry, Moved),
    *(Poll, RetrainingJob, Rollout, Sweep, Watch),
)
NAMED = [
    "active/jobs/garbage.json",
    "active/jobs/income-20261126T000000-0000000000.json",
    "active/arrivals/income/garbage.json",
    "active/changes/garbage.json",
    "active/changes/income.json",
    "active/watches/garbage.json",
    "active/watches/income.json",
    "active/deployments/income.json",
    "champions/income.json",
    "champions/garbage.json",
    "batches/income.json",
    "sweeps/training-data.json",
    "rollouts/garbage/000001.json",
    "polls/last.json",
    "jobs/{job}.json",
    "arrivals/income/{arrival}.json",
]
UNNAMED = [
    "active/arrivals/x",
    "active/rollouts/garbage.json",
    "parked/x/garbage.json",
    "history/income/000001.json",
    "history/income/abc.json",
    "contents/income/" + "0" * 64 + ".json",
    "retention/garbage.json",
    "profiles/income.json",
]


@pytest.fixture
def world() -> World:
    """A world with a job and an open arrival of `income`, and with new data of `other`."""
    world = World()
    world.alone["other"] = msgspec.structs.replace(world.alone["income"], name="other", blobs="other/*.csv")
    world.drop("a.csv")
    world.flows.intake.see(world.put("b.csv"))
    world.data.put("other/new.csv", b"age\n1234\n")
    return world


def put(world: World, name: str, content: bytes) -> str:
    names = list(world.documents.names(""))
    job = next(each for each in names if each.startswith("jobs/")).split("/")[-1]
    arrival = next((each for each in names if each.startswith("active/arrivals/income/")), "").split("/")[-1]
    name = name.replace("{job}.json", job).replace("{arrival}.json", arrival)
    world.documents.contents[name] = content
    world.documents.versions.setdefault(name, 1)
    return name


def states(world: World, pipeline: str) -> list[JobState]:
    found = (world.records.jobs.require(job_id) for job_id in world.records.jobs.ids(pipeline))
    return [each.record.state for each in found]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", [*NAMED, *UNNAMED])
def test_a_damaged_record_stops_no_other_pipeline(world: World, name: str, content: bytes) -> None:
    put(world, name, content)
    world.flows.intake.sweep("training-data")
    world.flows.take_up()
    requests = world.flows.poll()
    assert states(world, "other") == [JobState.ACCEPTED]
    assert [each.action for each in requests if each.pipeline == "other"] == [Command.PROMOTE]
    assert [each for each in requests if each.pipeline == "garbage"] == []


@pytest.mark.parametrize("name", [*NAMED[:3], *UNNAMED])
def test_a_mark_of_nothing_does_not_hold_up_the_data_of_its_pipeline(world: World, name: str) -> None:
    world.alone["income"] = msgspec.structs.replace(
        world.alone["income"], arriving=msgspec.structs.replace(world.alone["income"].arriving, jobs=2)
    )
    put(world, name, b"\xff")
    put(world, "active/jobs/income-20261126T000000-0000000001.json", b"\xff")
    before = len(world.records.jobs.ids("income"))
    world.flows.take_up()
    assert len(world.records.jobs.ids("income")) == before + 1


@pytest.mark.parametrize("name", NAMED)
def test_a_damaged_record_is_named_for_a_person(world: World, name: str) -> None:
    assert damaged(world.documents) == []
    name = put(world, name, b"\xff")
    [line] = damaged(world.documents)
    assert name in line


@pytest.mark.parametrize("name", ["active/jobs/garbage.json", "jobs/{job}.json"])
def test_status_names_a_job_that_cannot_be_read_and_shows_the_others(world: World, name: str) -> None:
    world.flows.intake.see("other/new.csv")
    world.take_up()
    shown: list[str] = []
    before = active_jobs(cast("App", world), shown)
    name = put(world, name, b"\xff")
    after = active_jobs(cast("App", world), shown)
    assert len(before) > 1
    assert len(after) == len(before) - name.startswith("jobs/")
    [line] = shown
    assert name in line


def test_a_change_whose_mark_is_damaged_is_finished_now(world: World) -> None:
    put(world, "active/changes/income.json", b"\xff")
    assert [each.action for each in world.flows.training.poll() if each.pipeline == "income"][-1:] == [Command.RESUME]
    assert damaged(world.documents) == []


def test_a_sweep_whose_record_is_damaged_looks_at_everything(world: World) -> None:
    put(world, "sweeps/training-data.json", b"\xff")
    assert world.flows.intake.sweep("training-data") == 1
    assert damaged(world.documents) == []


def test_a_stranger_among_the_entries_of_a_history_is_named() -> None:
    found = verify([("history/income/abc.json", b"{}")], Champion(pipeline="income"))
    assert found.faults == ["history/income/abc.json is not an entry; somebody put it there"]


KINDS = (RetrainingJob, Arrival, Champion, HistoryEntry, Watch, Rollout, ChangeMark, Batches, Moved, Sweep)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), st.data())
def test_any_content_of_a_record_is_read_or_refused_by_its_name(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    members = st.sampled_from([field.encode_name for field in msgspec.structs.fields(kind)])
    content = data.draw(st.binary() | st.dictionaries(members, VALUES).map(msgspec.json.encode))
    try:
        decode(content, kind, "some/record.json")
    except BadConfiguration as error:
        assert str(error).startswith("The record some/record.json cannot be read")


@pytest.mark.parametrize(
    "kind", [Arrival, Batches, Champion, ChangeMark, HistoryEntry, Moved, Poll, RetrainingJob, Rollout, Sweep, Watch]
)
def test_every_time_of_a_record_needs_a_zone(kind: type) -> None:
    assert [place for place, said in times_of(msgspec.inspect.type_info(kind)) if said.tz is not True] == []


def times_of(said: msgspec.inspect.Type, place: str = "") -> Iterator[tuple[str, msgspec.inspect.DateTimeType]]:
    match said:
        case msgspec.inspect.DateTimeType():
            yield place, said
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from times_of(field.type, f"{place}.{field.encode_name}")
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from times_of(each, place)
        case msgspec.inspect.DictType(value_type=inner):
            yield from times_of(inner, f"{place}[]")
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            yield from times_of(inner, f"{place}[]")


def test_status_names_a_job_whose_times_have_no_zone(world: World) -> None:
    name = next(each for each in world.documents.names("") if each.startswith("jobs/"))
    put(world, name, re.sub(rb"(T[0-9:.]+)(?:Z|\+00:00)", rb"\1", world.documents.contents[name]))
    shown: list[str] = []
    active_jobs(cast("App", world), shown)
    [line] = shown
    assert name in line
