"""A run that is stopped between its check and its write, and goes on when others have gone on without it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.base.errors import Busy
from shared.domain.champions import Action, Change
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from tests.support.fakes import World
from tests.unit.test_promotion import promote, promoted, served, state, trained

CHAMPION = "champions/income.json"


@pytest.fixture
def world() -> World:
    return World()


def overtaken_by(world: World, job_id: str) -> None:
    """Another run takes the record over, whose holder does not answer any more, and promotes a newer model."""
    world.documents.expire(CHAMPION)
    promote(world, job_id, message="other")
    assert state(world, job_id) is JobState.PROMOTED


def test_a_worker_that_was_stopped_between_check_and_write_never_overwrites_a_newer_model(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    world.endpoints["two"].stopped = lambda: overtaken_by(world, newer)
    with pytest.raises(Busy):
        promote(world, older)
    # Its write came late: endpoint two has the older model now, and its message comes once more.
    assert trained(world, older) in served(world)
    promote(world, older)
    assert served(world) == {trained(world, newer)}
    live = world.records.champions.load("income").live
    assert live is not None
    assert (live.action, live.job) == (Action.REVERTED, newer)
    assert "by a run that had been overtaken" in live.reason


def test_the_late_write_is_repaired_also_when_its_worker_dies_of_it(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    world.endpoints["two"].stopped = lambda: overtaken_by(world, newer)
    with pytest.raises(Busy):
        promote(world, older)
    watch = world.records.watches.load("income")
    assert watch is not None
    assert watch.record.until > world.clock.now() + timedelta(minutes=50)
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.RESUME), "m")
    assert served(world) == {trained(world, newer)}


def test_a_worker_that_was_stopped_before_its_check_writes_nothing(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    # The run is stopped while it reads what is live: the check comes after that.
    first = world.endpoints["one"]
    model = first.model

    def stopped() -> object:
        first.model = model  # type: ignore[method-assign]
        overtaken_by(world, newer)
        return model()

    first.model = stopped  # type: ignore[method-assign, assignment]
    updates = first.updates
    with pytest.raises(Busy):
        promote(world, older)
    assert first.updates == updates + 1  # the newer one's
    promote(world, older)
    assert state(world, older) is JobState.SUPERSEDED
    assert served(world) == {trained(world, newer)}
    assert [entry.action.value for entry, _ in world.records.champions.entries("income")] == ["found", "promoted"]


def test_a_model_that_somebody_else_deployed_is_not_a_late_write(world: World) -> None:
    promoted(world, "a.csv")
    stranger = world.models.link(world.models.keep(iter([b"by hand"])))
    for endpoint in world.endpoints.values():
        endpoint.named = endpoint.serves = stranger
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.RESUME), "m")
    assert served(world) == {"by hand"}


def test_a_run_that_ends_in_order_is_not_reckoned_with_later(world: World) -> None:
    world.endpoints["one"].loses = 1
    job_id = world.accepted()
    with pytest.raises(Exception, match="PATCH got no answer"):
        promote(world, job_id)
    promote(world, job_id)
    assert state(world, job_id) is JobState.PROMOTED
    champion = world.records.champions.load("income")
    assert champion.late_writes == ()
    assert world.records.watches.load("income") is None


def test_each_run_that_holds_the_record_has_a_higher_fence_and_its_entries_say_so(world: World) -> None:
    promoted(world, "a.csv")
    promoted(world, "b.csv")
    fences = [entry.fence for entry, _ in world.records.champions.entries("income")]
    assert fences == sorted(fences)
    assert len(set(fences)) == 2  # what was found live and the first promotion are of one run


def test_a_change_that_was_cancelled_before_any_endpoint_was_touched_is_forgotten(world: World) -> None:
    job_id = world.accepted()
    saved = world.records.jobs.save

    def cancelled_first(stored: object, job: object) -> object:
        world.records.jobs.save = saved  # type: ignore[method-assign]
        cancel = Request(pipeline="income", action=Command.CANCEL, job=job_id, by="ann")
        world.flows.decisions.decide(cancel, "c")
        return saved(stored, job)  # type: ignore[arg-type]

    world.records.jobs.save = cancelled_first  # type: ignore[method-assign, assignment]
    with pytest.raises(Exception, match=job_id):
        promote(world, job_id)
    assert isinstance(world.records.champions.load("income").change, Change)
    promote(world, job_id)
    assert state(world, job_id) is JobState.CANCELLED
    assert world.records.champions.load("income").change is None
    assert [endpoint.updates for endpoint in world.endpoints.values()] == [0, 0]
