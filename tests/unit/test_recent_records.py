"""A process relies on what it has written last, and another process has written since."""

from __future__ import annotations

import msgspec
import pytest

from shared.base.errors import RecordChanged
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.ports import Running
from shared.store import Records, recent
from shared.store.recent import Recent
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    world = World()
    world.accepted("first.csv")
    world.run(lambda: not world.records.jobs.active())
    return world


@pytest.fixture
def other(world: World) -> Records:
    """The records as another process sees them."""
    return Records(world.documents)


def ended_by(other: Records, world: World, job_id: str) -> None:
    stored = other.jobs.require(job_id)
    other.jobs.save(stored, stored.record.end(JobState.CANCELLED, world.clock.now(), "by hand"))


def promote(world: World, job_id: str) -> None:
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")


def test_a_training_that_another_process_has_cancelled_gives_no_verdict(world: World, other: Records) -> None:
    finished, world.service.answer = world.service.answer, Running()
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    ended_by(other, world, job_id)  # and this process dies before it takes the mark off
    world.service.answer = finished
    assert world.flows.training.poll() == []
    assert world.flows.training.poll() == []
    assert world.records.jobs.active() == []
    assert other.jobs.require(job_id).record.state is JobState.CANCELLED


def test_a_job_that_another_process_has_cancelled_is_not_promoted(world: World, other: Records) -> None:
    job_id = world.accepted("b.csv")
    updates = [endpoint.updates for endpoint in world.endpoints.values()]
    ended_by(other, world, job_id)
    with pytest.raises(RecordChanged):
        promote(world, job_id)
    promote(world, job_id)
    assert [endpoint.updates for endpoint in world.endpoints.values()] == updates
    assert other.champions.load("income").change is None
    assert other.jobs.require(job_id).record.state is JobState.CANCELLED


def test_a_promotion_reads_the_champion_that_another_process_has_written(world: World, other: Records) -> None:
    job_id = world.accepted("b.csv")
    with other.champions.hold(other.champions.look("income"), world.clock.now) as held:
        fence = held.champion.fence + 5
        held.save(held.champion.replace(fence=fence))
    with pytest.raises(RecordChanged):
        promote(world, job_id)
    promote(world, job_id)
    assert other.jobs.require(job_id).record.state is JobState.PROMOTED
    assert other.champions.load("income").fence > fence


def test_a_change_by_hand_is_judged_by_the_champion_as_it_is_recorded(world: World, other: Records) -> None:
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, to=1, by="ann"), "m1")
    with other.champions.hold(other.champions.look("income"), world.clock.now) as held:
        assert held.champion.live
        held.save(other.champions.append(held.champion, held.champion.live))
    last = other.champions.load("income").last
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, to=2, live=last, by="ann"), "m2")
    assert other.champions.load("income").last == last + 1


def test_a_batch_is_closed_once_the_one_of_another_process_was_read(world: World, other: Records) -> None:
    stored = other.arrivals.batches("income")
    other.arrivals.save_batches(stored, msgspec.structs.replace(stored.record, scheduled=world.clock.now()))
    world.flows.intake.see(world.put("a.csv"))
    assert world.take_up() == []
    assert len(world.take_up()) == 1
    assert other.arrivals.batches("income").record.scheduled is not None


def test_recent_records_are_kept_only_up_to_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "BYTES", 100)
    kept: Recent[str] = Recent()
    for name in ("a", "b", "a"):
        kept.keep(name, f"record {name}", 40)
    kept.keep("c", "record c", 40)
    assert [kept.get(name) for name in "abc"] == ["record a", None, "record c"]
    kept.keep("large", "record", 101)
    assert [kept.get(name) for name in ("a", "c", "large")] == ["record a", "record c", None]
    kept.keep("d", "record d", 100)
    assert kept.get("d") == "record d"
    kept.forget("d")
    assert kept.get("d") is None
