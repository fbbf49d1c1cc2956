"""How often the records are read and written: counts that a change of a flow must not raise unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.base.errors import ServiceUnavailable
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.ports import Running
from tests.support.fakes import World


@contextmanager
def counted(world: World) -> Iterator[Counter[str]]:
    """Count the calls of the store of documents by method."""
    calls: Counter[str] = Counter()
    documents, own = world.documents, {}
    for method in ("read", "create", "replace", "delete", "names", "lease"):
        own[method] = getattr(documents, method)

        def counting(*arguments: Any, _method: str = method, **options: Any) -> Any:
            calls[_method] += 1
            return own[_method](*arguments, **options)

        setattr(documents, method, counting)
    try:
        yield calls
    finally:
        for method in own:
            delattr(documents, method)


def test_an_arrival_becomes_a_started_job_with_so_many_reads_and_writes() -> None:
    world = World()
    world.drop("first.csv")  # makes what is made once
    path = world.put("a.csv")
    with counted(world) as calls:
        world.flows.intake.see(path)
        world.take_up()
    # mark, its content, mark of the job, arrival as taken, job | batch | all marks
    assert calls == {"create": 5, "replace": 1, "delete": 1, "names": 1}


def calls_for_a_batch(files: int) -> Counter[str]:
    """Return the calls that take up this many files of a marker's folder as one training. One event in two was lost."""
    world = World()
    world.drop("first.csv")
    batched = msgspec.structs.replace(world.alone["income"].arriving, batch="marker", at_most=3600.0)
    world.alone["income"] = msgspec.structs.replace(world.alone["income"], arriving=batched, blobs="income/*")
    paths = [world.put(f"{number}.csv") for number in range(files)]
    with counted(world) as calls:
        for path in [*paths[::2], world.put("_SUCCESS", b"")]:
            world.flows.intake.see(path)
        jobs: list[str] = []
        while not jobs:
            jobs = world.take_up()
            world.clock.sleep(1)
    [job_id] = jobs
    assert sorted(part.dataset.path for part in world.records.jobs.require(job_id).record.parts) == sorted(paths)
    return calls


def test_four_times_the_files_of_a_batch_cost_at_most_four_times_the_calls() -> None:
    few, many = calls_for_a_batch(30), calls_for_a_batch(120)
    assert {method: (count, few[method]) for method, count in many.items() if count > 4 * few[method]} == {}


def test_an_idle_take_up_and_an_idle_poll_cost_one_list() -> None:
    world = World()
    world.accepted()
    world.run(lambda: not world.records.jobs.active())
    with counted(world) as calls:
        world.take_up()
    assert calls == {"names": 1}
    with counted(world) as calls:
        world.flows.training.poll()
    assert calls == {"names": 1}


def test_an_idle_poll_beside_a_million_jobs_that_have_ended_lists_what_is_active_and_nothing_else() -> None:
    world = World()
    world.accepted()
    world.run(lambda: not world.records.jobs.active())
    [job_id] = world.records.jobs.ids()
    ended = world.documents.contents[f"jobs/{job_id}.json"]
    world.documents.contents |= dict.fromkeys((f"jobs/income-{number:07}.json" for number in range(1_000_000)), ended)
    listed: list[str] = []
    names = world.documents.names

    def noting(prefix: str) -> Iterator[str]:
        for name in names(prefix):
            listed.append(name)
            yield name

    world.documents.names = noting  # type: ignore[method-assign]
    with counted(world) as calls:
        assert world.flows.poll() == []
    # The time of the poll is noted, as it is once in five minutes.
    assert (calls["names"], listed) == (1, [])
    assert calls.total() <= 3


def test_a_poll_takes_a_finished_training_to_its_promotion_message_with_one_write_of_the_job() -> None:
    world = World()
    job_id = world.drop("a.csv")
    with counted(world) as calls:
        [request] = world.flows.training.poll()
    assert request == Request(pipeline="income", action=Command.PROMOTE, job=job_id)
    assert calls == {"names": 1, "read": 1, "replace": 1}  # the champion is read


def test_a_promotion_reads_nothing_that_this_process_wrote_last_and_writes_each_outcome_once() -> None:
    world = World()
    world.accepted("first.csv")
    world.run(lambda: not world.records.jobs.active())
    job_id = world.accepted("b.csv")
    renewals = world.documents.renewals
    with counted(world) as calls:
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED
    # Written are the change and what is live; the job promoting and promoted; the entry of the history; the job's mark.
    assert world.documents.renewals - renewals == 1  # with the proof of the last target
    assert calls == {"lease": 1, "replace": 4, "create": 1, "delete": 1}


def test_a_rollback_reads_the_champion_once() -> None:
    world = World()
    for name in ("first.csv", "b.csv"):
        world.accepted(name)
        world.run(lambda: not world.records.jobs.active())
    with counted(world) as calls:
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, to=2, by="ann"), "m")
    assert world.records.champions.load("income").last == 4
    # Read are the champion, and the entry before and once the record is held. Written are the mark, the change and
    # what is live, the new entry, and the outcome.
    assert calls == {"read": 3, "lease": 1, "replace": 2, "create": 3, "delete": 1}


def test_arrivals_that_wait_for_their_batch_are_looked_at_by_one_list() -> None:
    world = World()
    pipeline = world.pipelines["income"]
    waiting = msgspec.structs.replace(pipeline.arriving, batch="marker")
    world.alone["income"] = msgspec.structs.replace(pipeline, arriving=waiting)
    for name in ("a.csv", "b.csv", "c.csv"):
        world.flows.intake.see(world.put(name))
    assert world.take_up() == []
    with counted(world) as calls:
        assert world.take_up() == []
    assert calls == {"names": 1}


def test_a_duplicate_of_an_event_leaves_no_mark_of_what_is_done_with() -> None:
    world = World()
    world.drop("a.csv")
    world.flows.intake.see("income/a.csv")
    with counted(world) as calls:
        assert world.take_up() == []
    assert list(world.documents.names("active/arrivals/")) == []
    # the record, which has ended | all marks
    assert calls == {"read": 1, "delete": 1, "names": 1}


def test_an_event_that_comes_again_after_the_next_batch_begins_no_check() -> None:
    world = World()
    world.drop("a.csv")
    world.drop("b.csv")
    world.data.unreadable["income/a.csv"] = AssertionError("it is read again")
    world.flows.intake.see("income/a.csv")
    with counted(world) as calls:
        assert world.take_up() == []
    assert list(world.documents.names("active/arrivals/")) == []
    # the record, which is there | and has ended | all marks
    assert calls == {"create": 1, "read": 1, "delete": 1, "names": 1}


def test_arrivals_that_were_just_seen_are_taken_up_by_one_list() -> None:
    world = World()
    world.drop("first.csv")
    for name in ("a.csv", "b.csv", "c.csv"):
        world.flows.intake.see(world.put(name))
    with counted(world) as calls:
        world.flows.intake.take_up()
    assert calls["read"] == 0
    assert calls["names"] == 1


def test_a_batch_whose_run_died_once_it_was_written_is_finished_without_another_check() -> None:
    world = World()
    world.flows.intake.see(world.put("a.csv"))
    world.documents.die_after = 2  # an empty batch, the content; then the batch is written
    with pytest.raises(KeyboardInterrupt):
        world.flows.intake.take_up()
    world.documents.die_after = None
    world.data.unreadable["income/a.csv"] = AssertionError("it is read again")
    assert world.flows.intake.take_up() == []
    [job_id] = world.records.jobs.ids()
    job = world.records.jobs.require(job_id).record
    [(pipeline, arrival_id)] = world.records.arrivals.ids()
    arrival = world.records.arrivals.require(pipeline, arrival_id).record
    assert (arrival.state, arrival.job, arrival.sha256) == (ArrivalState.TAKEN, job_id, job.parts[0].sha256)
    world.clock.sleep(60)
    world.flows.training.poll()
    assert world.service.started == ["bes-1"]


@pytest.mark.parametrize("files", [3, 30])
def test_a_sweep_lists_what_is_recorded_by_the_hour_however_much_that_is(files: int) -> None:
    world = World()
    for number in range(files):
        world.flows.intake.see(world.put(f"{number}.csv"))
    world.flows.intake.sweep("training-data")
    with counted(world) as calls:
        assert world.flows.intake.sweep("training-data") == 0
    # How far the last sweep went is read twice: before it, and to be replaced.
    assert calls == {"names": 2, "read": 2, "create": 1, "replace": 1}


def test_a_sweep_finds_blobs_without_an_event_in_each_hour() -> None:
    world = World()
    world.flows.intake.see(world.put("a.csv"))
    world.data.modified += timedelta(hours=1)
    world.put("b.csv")
    assert world.flows.intake.sweep("training-data") == 1
    assert len(world.records.arrivals.active("income")) == 2


def test_the_states_of_many_jobs_of_one_service_are_asked_for_at_once() -> None:
    world = World()
    world.service.answer = Running()
    for number in range(5):
        world.drop(f"{number}.csv")
    world.flows.training.poll()
    assert [sorted(asked) for asked in world.service.asked] == [[f"bes-{number}" for number in range(1, 6)]]
    assert {world.records.jobs.require(each).record.state for each in world.records.jobs.ids()} == {JobState.TRAINING}


def test_a_state_that_cannot_be_given_holds_up_no_other_job() -> None:
    world = World()
    one, other = world.drop("a.csv"), world.drop("b.csv")
    world.service.fails = [ServiceUnavailable("503")]
    requests = world.flows.training.poll()
    states = {world.records.jobs.require(each).record.state for each in (one, other)}
    assert states == {JobState.SUBMITTED, JobState.ACCEPTED}
    assert len(requests) == 1
