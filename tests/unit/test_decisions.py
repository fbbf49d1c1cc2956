"""What people decide about a job, bound to what they saw."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.base.errors import BadMessage
from shared.domain.jobs import Approval, JobState
from shared.domain.messages import Command, Request
from shared.domain.ports import Running
from shared.domain.services import ApprovalSettings
from tests.support.fakes import World
from tests.unit.test_promotion import promote, promoted, served, state, trained


@pytest.fixture
def world() -> World:
    return World(rules=("AUC >= champion - 0.01",), approval=ApprovalSettings(required=True))


def asked(world: World, job_id: str) -> Approval:
    approval = world.records.jobs.require(job_id).record.approval
    assert approval is not None
    return approval


def decide(
    world: World, action: Command, job_id: str, seen: str | None = None, message: str = "a", by: str = "ann"
) -> str:
    return world.flows.decisions.decide(
        Request(pipeline="income", action=action, job=job_id, by=by, seen=seen, reason="looks well"), message
    )


def approve(world: World, job_id: str, message: str = "a") -> None:
    decide(world, Command.APPROVE, job_id, asked(world, job_id).seen, message)


def test_a_model_that_the_gate_passed_waits_for_its_approval_and_is_then_promoted(world: World) -> None:
    job_id = world.accepted()
    assert state(world, job_id) is JobState.AWAITING
    assert world.flows.training.poll() == []
    approve(world, job_id)
    [request] = world.flows.training.poll()
    world.flows.requests.carry_out(request, "m")
    assert served(world) == {trained(world, job_id)}
    live = world.records.champions.load("income").live
    assert live is not None
    assert live.approval is not None
    assert (live.by, live.approval.by, live.approval.comment) == ("ann", "ann", "looks well")


def test_a_rejected_model_is_not_promoted_and_says_who_rejected_it(world: World) -> None:
    job_id = world.accepted()
    decide(world, Command.REJECT, job_id, asked(world, job_id).seen)
    job = world.records.jobs.require(job_id).record
    assert (job.state, job.reason) == (JobState.REJECTED, "rejected by ann: looks well")
    assert world.records.jobs.active() == []


def test_an_approval_holds_for_the_numbers_that_were_seen_alone(world: World) -> None:
    job_id = world.accepted()
    with pytest.raises(BadMessage, match=f"its record has seen {asked(world, job_id).seen}"):
        decide(world, Command.APPROVE, job_id, "0123456789abcdef")
    assert state(world, job_id) is JobState.AWAITING


def test_an_approval_is_void_when_the_champion_and_with_it_the_numbers_change(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    approve(world, newer)
    # Another model is promoted meanwhile: what the approval was given for holds no longer.
    approve(world, older)
    promote(world, older)
    promote(world, newer)
    assert state(world, newer) is JobState.JUDGING
    world.flows.training.poll()
    job = world.records.jobs.require(newer).record
    assert job.state is JobState.AWAITING
    assert "The approval of ann is void" in job.steps[-1].note
    assert asked(world, newer).approved is None
    assert served(world) == {trained(world, older)}


def test_an_approval_that_nobody_gives_in_time_ends_the_job(world: World) -> None:
    job_id = world.accepted()
    seen = asked(world, job_id).seen
    world.clock.sleep(timedelta(days=7, seconds=1).total_seconds())
    with pytest.raises(BadMessage, match="was possible until 2026-12-01"):
        decide(world, Command.APPROVE, job_id, seen)
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TIMED_OUT
    assert world.records.jobs.active() == []


def test_a_job_that_waits_while_newer_data_is_promoted_is_superseded(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    approve(world, newer)
    promote(world, newer)
    world.flows.training.poll()
    assert state(world, older) is JobState.SUPERSEDED


def test_a_decision_that_is_delivered_twice_counts_once(world: World) -> None:
    job_id = world.accepted()
    seen = asked(world, job_id).seen
    decide(world, Command.APPROVE, job_id, seen, "m")
    steps = world.records.jobs.require(job_id).record.steps
    assert decide(world, Command.APPROVE, job_id, seen, "m") == f"job {job_id} is accepted"
    assert world.records.jobs.require(job_id).record.steps == steps
    with pytest.raises(BadMessage, match="does not await an approval"):
        decide(world, Command.REJECT, job_id, seen, "another")


def test_a_training_that_is_cancelled_is_cancelled_at_the_service_too(world: World) -> None:
    world.service.answer = Running()
    job_id = world.drop("a.csv")
    assert decide(world, Command.CANCEL, job_id) == f"job {job_id} is cancelled"
    assert world.service.cancelled == [world.records.jobs.require(job_id).record.bes_job]
    assert decide(world, Command.CANCEL, job_id, message="again") == f"job {job_id} is cancelled"
    assert world.records.jobs.active() == []


def test_a_promoted_job_cannot_be_cancelled_and_the_refusal_names_the_rollback() -> None:
    world = World()
    job_id = promoted(world, "a.csv")
    with pytest.raises(BadMessage, match="is promoted and cannot be cancelled; roll back instead"):
        decide(world, Command.CANCEL, job_id)


def test_a_promotion_by_hand_does_not_get_around_an_approval(world: World) -> None:
    job_id = world.accepted()
    with pytest.raises(BadMessage, match="is awaiting approval; approve it instead"):
        promote(world, job_id, by="bob")
    assert world.records.champions.load("income").last == 0


@pytest.mark.parametrize("action", [Command.APPROVE, Command.REJECT, Command.CANCEL])
def test_wherever_a_run_dies_the_decision_is_carried_out_once_by_its_next_delivery(action: Command) -> None:
    for writes in range(10):
        world = World(approval=ApprovalSettings(required=True))
        job_id = world.accepted()
        seen = asked(world, job_id).seen if action is not Command.CANCEL else None
        world.documents.die_after = writes
        died = False
        try:
            decide(world, action, job_id, seen, "m")
        except KeyboardInterrupt:
            died = True
        world.documents.die_after = None
        decide(world, action, job_id, seen, "m")
        for request in world.flows.training.poll():
            world.flows.requests.carry_out(request, "p")
        job = world.records.jobs.require(job_id).record
        wanted = {
            Command.APPROVE: JobState.PROMOTED,
            Command.REJECT: JobState.REJECTED,
            Command.CANCEL: JobState.CANCELLED,
        }
        assert job.state is wanted[action], writes
        assert sum("by ann" in step.note for step in job.steps) == 1, writes
        world.flows.training.poll()
        assert world.records.jobs.active() == []
        if not died:
            break
    assert 0 < writes < 9
