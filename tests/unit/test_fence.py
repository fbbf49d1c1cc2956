"""A run that is stopped between its check and its write, and goes on when others have gone on without it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from shared.base.errors import Busy, ServiceUnavailable
from shared.domain.champions import Action, Champion, Change
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.rows import Rows
from tests.support.fake_storage import FakeLease
from tests.support.fakes import World
from tests.support.waiting import PATIENCE
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


def late_write(world: World, seconds: float) -> str:
    """Return the newer job, once a run with an older one has written late; an update takes effect so late."""
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    world.endpoints["two"].stopped = lambda: overtaken_by(world, newer)
    with pytest.raises(Busy):
        promote(world, older)
    world.endpoints["two"].late = seconds
    world.clock.sleep(60)
    return newer


def repaired(world: World, message: str = "m") -> Champion:
    """Take the repair one look further; return the champion's record."""
    begun = world.clock.now()
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.RESUME), message)
    assert world.clock.now() == begun  # nothing was waited for
    return world.records.champions.load("income")


def test_a_repair_waits_in_no_call_and_is_proven_by_a_later_look(world: World) -> None:
    newer = late_write(world, 300.0)
    last, updates = world.records.champions.load("income").last, world.endpoints["two"].updates
    for _ in range(3):
        champion = repaired(world)
        assert champion.repair is not None and champion.repair.targets == ("two",)
        assert champion.last == last
        world.clock.sleep(60)
    assert world.endpoints["two"].updates == updates + 1
    world.run(lambda: world.records.champions.load("income").repair is None)
    assert served(world) == {trained(world, newer)}
    champion = world.records.champions.load("income")
    assert champion.live is not None and champion.live.action is Action.REVERTED
    assert champion.last == last + 1
    world.run(lambda: not world.records.marks().changes)
    assert not world.records.marks().changes


def test_a_repair_whose_run_died_goes_on(world: World) -> None:
    newer = late_write(world, 0.0)
    world.endpoints["two"].loses = 1
    with pytest.raises(ServiceUnavailable):
        repaired(world)
    last = world.records.champions.load("income").last
    world.run(lambda: world.records.champions.load("income").last > last)
    assert served(world) == {trained(world, newer)}
    live = world.records.champions.load("income").live
    assert live is not None and live.action is Action.REVERTED


def test_what_a_person_asks_for_during_a_repair_is_done_after_it(world: World) -> None:
    late_write(world, 60.0)
    repaired(world)
    rollback = Request(pipeline="income", action=Command.ROLLBACK, by="ann")
    for _ in range(2):
        world.flows.requests.carry_out(rollback, "m1")
    with pytest.raises(Busy, match="A repair is finished"):
        world.flows.requests.carry_out(rollback, "m2")
    outcome = world.records.requests.outcome
    assert outcome("m1") == "under way: a repair is finished first"
    assert world.records.requests.load("m1")["by"] == "ann"
    world.endpoints["two"].late = 0.0
    world.run(lambda: (outcome("m1") or "").startswith("done"))
    actions = [entry.action for entry, _ in world.records.champions.entries("income")]
    assert actions[-2:] == [Action.REVERTED, Action.ROLLED_BACK]
    assert world.records.requests.load("m1")["by"] == "ann"
    assert served(world) == {"results/bes-1.ilearner"}  # of the older job


def test_a_repair_that_does_not_prove_itself_ends_and_the_history_says_so(world: World) -> None:
    late_write(world, 0.0)
    world.endpoints["two"].deaf = 1
    assert repaired(world).repair is not None
    world.clock.sleep(30 * 60)
    champion = repaired(world)
    assert champion.repair is None and champion.live is not None
    assert "not proven after 0:30:00: two: the answers to the kept rows" in champion.live.reason


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


@pytest.mark.parametrize("renewed", [False, True], ids=["before its renewal", "after its renewal"])
def test_a_worker_that_was_stopped_in_the_last_look_of_its_proof_writes_no_entry(
    renewed: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look and the renewal are of two threads, and a worker that is stopped is so in both."""
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    last, leases = world.endpoints["two"], list[FakeLease]()
    score, renew = last.score, FakeLease.renew
    has_renewed, goes_on = Event(), Event()
    last.stopped = lambda: leases.append(world.documents.leased[CHAMPION])

    def stopped(rows: Rows) -> Rows:
        answers = score(rows)
        if leases:
            last.score = score  # type: ignore[method-assign]
            assert not renewed or has_renewed.wait(PATIENCE)
            world.clock.sleep(60)  # the lease's
            overtaken_by(world, newer)
            goes_on.set()
        return answers

    def renewing(lease: FakeLease) -> None:
        looks = lease in leases and not goes_on.is_set()
        assert not looks or renewed or goes_on.wait(PATIENCE)
        renew(lease)
        if looks:
            has_renewed.set()

    last.score = stopped  # type: ignore[method-assign]
    monkeypatch.setattr(FakeLease, "renew", renewing)
    with pytest.raises(Busy):
        promote(world, older)
    assert has_renewed.is_set() == renewed
    # The older one's entry is of the run that took its change over.
    assert [entry.job for entry, _ in world.records.champions.entries("income")] == [None, older, newer]


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
