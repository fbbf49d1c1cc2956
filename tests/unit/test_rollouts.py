"""A fleet goes live, and back, in waves that stop at a failure limit, whatever dies or comes twice meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shared.base.errors import AskHuman, BadMessage, ServiceUnavailable
from shared.cli.output import Brief
from shared.cli.plans import rollout_of
from shared.cli.views import member_rows
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.rollouts import MemberState, Plan, RolloutState, share_of
from tests.support.fake_services import refused
from tests.support.fleets import FleetWorld

PROMOTE, ROLLBACK, RESUME, CANCEL = Command.PROMOTE, Command.ROLLBACK, Command.RESUME, Command.CANCEL
FEW = ["01", "02", "03", "04"]
MANY = [f"{number:02}" for number in range(1, 31)]


def ready(locations: list[str], **plan: object) -> FleetWorld:
    """Return a fleet whose members each have an accepted job."""
    fleet = FleetWorld(locations, plan)
    fleet.drop()
    return fleet


def test_a_wave_goes_as_far_as_the_plan_says_and_the_last_one_to_the_end() -> None:
    assert Plan().reaches(1000) == (1, 100, 1000)
    assert Plan().reaches(5) == (1, 5)
    assert Plan(waves=[3]).reaches(2) == (2,)
    assert Plan(waves=["5%"]).reaches(1000) == (50, 1000)
    assert share_of("2.5 %", 1000) == 25


@pytest.mark.parametrize("value", ["ten", "-1%", -1, "101%", "10"])
def test_a_malformed_share_is_named(value: int | str) -> None:
    with pytest.raises(ValueError, match="is not a share of a fleet"):
        share_of(value, 1000)


def test_accepted_jobs_wait_for_a_rollout_and_cost_a_poll_nothing_meanwhile() -> None:
    fleet = ready(FEW)
    assert {job.state for member in fleet.members for job in fleet.jobs(member)} == {JobState.ACCEPTED}
    assert fleet.world.records.jobs.active() == []
    before = fleet.world.documents.reads
    fleet.poll()
    assert fleet.world.documents.reads == before
    assert {fleet.served(member) for member in fleet.members} == {"first.ilearner"}


def test_a_rollout_promotes_each_member_s_own_model_one_wave_after_the_other() -> None:
    fleet = ready(MANY)
    fleet.ask(PROMOTE, "m1")
    sizes = []
    while fleet.rollout.state is RolloutState.RUNNING:
        fleet.poll()
        sizes.append(len(fleet.standing(MemberState.PROMOTED)))
    assert [size for size in sizes if size] == sorted(size for size in sizes if size)
    assert {1, 3, 30} <= set(sizes)
    assert fleet.rollout.state is RolloutState.DONE
    for member in fleet.members:
        assert fleet.served(member) == fleet.trained(member)
        live = fleet.world.records.champions.load(member).live
        assert live is not None
        assert live.job == fleet.jobs(member)[0].id
    assert len({fleet.served(member) for member in fleet.members}) == len(MANY)
    assert [name for name in fleet.world.documents.contents if name.startswith(("active/", "parked/"))] == []


def test_at_most_as_many_members_are_under_way_as_the_plan_says() -> None:
    fleet = ready(MANY, at_once=4)
    fleet.ask(PROMOTE, "m1")
    while fleet.rollout.state is RolloutState.RUNNING:
        fleet.world.flows.rollouts.advance()
        assert len(fleet.rollout.asked) <= 4
        fleet.poll()
    assert fleet.rollout.state is RolloutState.DONE


def test_a_canary_that_fails_stops_the_rollout_and_nobody_else_is_touched() -> None:
    fleet = ready(MANY)
    fleet.endpoint("bike-01").deaf = 1
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    assert fleet.rollout.state is RolloutState.STOPPED
    assert fleet.rollout.stop_reason.startswith("1 of 30 failed, and at most 0 may; bike-01: After 180 s the answers")
    assert fleet.standing(MemberState.ROLLED_BACK) == ["bike-01"]
    assert [fleet.endpoint(member).updates for member in fleet.members[1:]] == [0] * 29
    assert fleet.served("bike-01") == "first.ilearner"
    app: Any = SimpleNamespace(records=fleet.world.records)
    assert ("forgiven", "bike-01") in rollout_of(app, fleet.rollout.fleet, RESUME).facts
    canary, second, *_ = member_rows(fleet.rollout.members)
    job = fleet.jobs("bike-02")[0].id
    assert canary[:2] == ("bike-01", ("rolled back", "yellow"))
    assert second == ("bike-02", ("waiting", "dim"), Brief(job, job[-10:]), "")


def test_a_large_wave_stops_soon_after_the_limit_and_what_is_promoted_stays_live() -> None:
    fleet = ready(MANY, waves=["100%"], failures_at_most="10%", at_once=2)
    for member in fleet.members[4:]:
        fleet.endpoint(member).deaf = 1
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    assert fleet.rollout.state is RolloutState.STOPPED
    assert fleet.standing(MemberState.PROMOTED) == fleet.members[:4]
    assert 4 <= len(fleet.standing(MemberState.ROLLED_BACK)) <= 5
    assert len(fleet.standing(MemberState.WAITING)) >= 21
    for member in fleet.members[:4]:
        assert fleet.served(member) == fleet.trained(member)


def test_a_stopped_rollout_goes_on_when_it_is_resumed_and_failures_of_before_are_forgiven() -> None:
    fleet = ready(MANY)
    fleet.endpoint("bike-01").deaf = 1
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    assert fleet.ask(RESUME, "m2").startswith("rollout 1 of bike (promote) is running")
    fleet.finish()
    assert fleet.rollout.state is RolloutState.DONE
    assert fleet.standing(MemberState.PROMOTED) == fleet.members[1:]
    assert fleet.ask(RESUME, "m2").startswith("rollout 1 of bike (promote) is done")  # the same message again
    with pytest.raises(BadMessage, match="no rollout to go on with"):
        fleet.ask(RESUME, "m3")


def test_a_person_may_stop_a_rollout_and_those_under_way_come_to_their_end() -> None:
    fleet = ready(FEW, waves=[1, 3])
    fleet.ask(PROMOTE, "m1")
    fleet.world.flows.rollouts.advance()
    fleet.ask(CANCEL, "m2")
    fleet.finish()
    assert fleet.rollout.state is RolloutState.STOPPED
    assert fleet.rollout.stop_reason == "stopped by ann"
    assert fleet.standing(MemberState.PROMOTED) == ["bike-01"]
    with pytest.raises(BadMessage, match="No rollout of bike is running"):
        fleet.ask(CANCEL, "m3")


def test_the_same_message_twice_makes_one_rollout_and_another_one_has_to_wait() -> None:
    fleet = ready(FEW)
    assert fleet.ask(PROMOTE, "m1") == fleet.ask(PROMOTE, "m1")
    with pytest.raises(BadMessage, match="let it end, or stop it"):
        fleet.ask(PROMOTE, "m2")
    fleet.finish()
    assert fleet.rollout.number == 1
    with pytest.raises(BadMessage, match="no accepted job that waits"):
        fleet.ask(PROMOTE, "m3")


def test_of_two_accepted_jobs_of_a_member_the_newer_goes_live_and_the_older_is_superseded() -> None:
    fleet = ready(FEW)
    fleet.drop("b.csv")
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    for member in fleet.members:
        older, newer = sorted(fleet.jobs(member), key=lambda job: job.order)
        assert (older.state, newer.state) == (JobState.SUPERSEDED, JobState.PROMOTED)
        assert fleet.served(member) == fleet.trained(member)


def test_a_job_that_was_promoted_or_cancelled_by_hand_is_not_rolled_out_again() -> None:
    fleet = ready(FEW)
    [by_hand], [cancelled] = fleet.jobs("bike-01"), fleet.jobs("bike-02")
    request = Request(pipeline="bike-01", action=PROMOTE, job=by_hand.id, by="ann")
    fleet.world.flows.requests.carry_out(request, "m0")
    request = Request(pipeline="bike-02", action=CANCEL, job=cancelled.id, by="ann")
    fleet.world.flows.decisions.decide(request, "m1")
    fleet.ask(PROMOTE, "m2")
    fleet.finish()
    assert fleet.standing(MemberState.PROMOTED) == ["bike-03", "bike-04"]
    assert fleet.served("bike-01") == fleet.trained("bike-01")
    assert fleet.world.records.champions.load("bike-02").last == 0


def test_a_member_without_an_outcome_in_time_counts_as_failed_and_is_taken_back() -> None:
    fleet = ready(FEW)
    fleet.endpoint("bike-01").model = _forbidden  # type: ignore[method-assign]
    fleet.ask(PROMOTE, "m1")
    for _ in range(400):
        try:
            fleet.poll()
        except AskHuman:
            fleet.world.clock.sleep(60)
        if fleet.rollout.state is not RolloutState.RUNNING:
            break
    assert fleet.rollout.state is RolloutState.STOPPED
    assert "no outcome within 3600 s; the key is wrong" in fleet.rollout.stop_reason
    fleet.poll()
    [job] = fleet.jobs("bike-01")
    assert (job.state, job.rollout) == (JobState.ACCEPTED, None)
    assert job.id in fleet.world.records.jobs.parked("bike")
    # What was asked before, and comes late, finds that it was taken back.
    del fleet.endpoint("bike-01").model
    fleet.world.flows.requests.carry_out(Request(pipeline="bike-01", action=PROMOTE, job=job.id), "late")
    assert fleet.endpoint("bike-01").updates == 0


def _forbidden() -> None:
    raise AskHuman("the key is wrong")


def test_a_rollback_of_the_fleet_brings_back_what_the_last_rollout_replaced_and_nothing_else() -> None:
    fleet = ready(FEW)
    fleet.endpoint("bike-03").deaf = 1
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    fleet.ask(RESUME, "m2")
    fleet.finish()
    assert fleet.standing(MemberState.PROMOTED) == ["bike-01", "bike-02", "bike-04"]
    fleet.ask(ROLLBACK, "m3")
    fleet.finish()
    assert fleet.rollout.state is RolloutState.DONE
    assert fleet.standing(MemberState.ROLLED_BACK) == ["bike-01", "bike-02", "bike-04"]
    assert {fleet.served(member) for member in fleet.members} == {"first.ilearner"}
    live = fleet.world.records.champions.load("bike-01").live
    assert live is not None
    assert live.reason == "back to entry 1; asked for by ann"
    with pytest.raises(BadMessage, match="no member with a model to go back to"):
        fleet.ask(ROLLBACK, "m4")


def test_a_rollback_of_the_fleet_leaves_a_member_alone_that_was_given_another_model_since() -> None:
    fleet = ready(FEW)
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    fleet.drop("b.csv")
    newer = max(fleet.jobs("bike-01"), key=lambda job: job.order)
    request = Request(pipeline="bike-01", action=PROMOTE, job=newer.id, by="bob")
    fleet.world.flows.requests.carry_out(request, "by-hand")
    fleet.ask(ROLLBACK, "m2")
    fleet.finish()
    assert fleet.standing(MemberState.ROLLED_BACK) == fleet.members[1:]
    assert fleet.served("bike-01") == fleet.trained("bike-01")


def test_a_promotion_under_way_is_waited_for_however_long_a_member_may_take() -> None:
    fleet = ready(FEW[:1], within=10.0)
    fleet.endpoint("bike-01").refuses = [ServiceUnavailable("503")] * 2
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    member = fleet.rollout.members[0]
    assert member.state is MemberState.PROMOTED
    assert member.asked_at is not None
    assert (fleet.world.clock.now() - member.asked_at).total_seconds() > fleet.rollout.within


def test_a_rollback_that_fails_or_is_refused_says_so_in_its_line() -> None:
    fleet = ready(FEW, failures_at_most=4)
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    fleet.endpoint("bike-02").deaf = 1
    fleet.ask(ROLLBACK, "m2")
    fleet.world.flows.requests.carry_out(Request(pipeline="bike-03", action=ROLLBACK, by="bob"), "by-hand")
    while fleet.rollout.state is RolloutState.RUNNING:
        try:
            fleet.poll()
        except BadMessage:
            continue
    lines = {member.pipeline: member for member in fleet.rollout.members}
    assert lines["bike-02"].state is lines["bike-03"].state is MemberState.FAILED
    assert lines["bike-02"].reason.startswith("After 180 s the answers")
    assert lines["bike-03"].reason == "Entry 2 is not live any more, entry 3 is"
    assert fleet.standing(MemberState.ROLLED_BACK) == ["bike-01", "bike-04"]
    assert fleet.served("bike-02") == fleet.trained("bike-02")


def test_without_a_rollout_key_each_member_promotes_by_itself_and_all_can_be_rolled_back() -> None:
    fleet = FleetWorld(FEW, {"waits": False})
    fleet.drop()
    fleet.poll()
    assert [fleet.served(member) for member in fleet.members] == [fleet.trained(member) for member in fleet.members]
    fleet.ask(ROLLBACK, "m1")
    fleet.finish()
    assert {fleet.served(member) for member in fleet.members} == {"first.ilearner"}


def test_an_update_that_is_refused_is_a_failure_with_the_service_s_words() -> None:
    fleet = ready(FEW)
    fleet.endpoint("bike-01").refuses = [refused(), refused()]
    fleet.ask(PROMOTE, "m1")
    fleet.finish()
    assert "PATCH answered 400" in fleet.rollout.stop_reason


@pytest.mark.parametrize("action", [PROMOTE, ROLLBACK])
def test_a_run_that_dies_after_any_write_loses_no_member_and_changes_none_twice(action: Command) -> None:
    writes = 0
    for die_after in range(1000):
        fleet = ready(FEW[:3])
        if action is ROLLBACK:
            fleet.ask(PROMOTE, "m0")
            fleet.finish()
        fleet.world.documents.die_after = die_after
        try:
            fleet.ask(action, "m1")
            fleet.finish()
            died = False
        except KeyboardInterrupt:
            died = True
        fleet.world.documents.die_after = None
        fleet.world.clock.sleep(200)  # after which leases have run out, and what got no answer is asked again
        fleet.ask(action, "m1")  # its second delivery
        fleet.finish()
        fleet.world.clock.sleep(16 * 60)  # after which a change that nobody finished is finished
        fleet.poll(3)
        for member in fleet.members:
            last = fleet.world.records.champions.load(member).last
            if action is PROMOTE:
                assert (fleet.served(member), last) == (fleet.trained(member), 2), f"died after write {die_after}"
            else:
                assert (fleet.served(member), last) == ("first.ilearner", 3), f"died after write {die_after}"
        assert fleet.rollout.state is RolloutState.DONE, f"died after write {die_after}: {fleet.rollout.text}"
        marks = [name for name in fleet.world.documents.contents if name.startswith(("active/", "parked/"))]
        open_marks = [name for name in marks if not name.startswith("active/watches/")]
        assert open_marks == [], f"died after write {die_after}"
        if not died:
            writes = die_after
            break
    assert writes > 20


def test_two_runs_of_the_poll_at_once_ask_no_member_twice() -> None:
    fleet = ready(FEW)
    fleet.ask(PROMOTE, "m1")
    one, other = fleet.world.flows.rollouts, fleet.world.flows.rollouts
    one.advance()
    other.advance()
    assert [member.pipeline for member in fleet.rollout.asked] == ["bike-01"]
    fleet.finish()
    assert [fleet.endpoint(member).updates for member in fleet.members] == [1] * 4


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.TIMED_OUT])
def test_a_member_whose_job_failed_counts_as_a_failure_of_the_rollout(state: JobState) -> None:
    fleet = FleetWorld(["01", "02"])
    fleet.drop()
    fleet.ask(Command.PROMOTE, "m1")
    fleet.world.flows.rollouts.advance()
    [member] = fleet.rollout.asked
    stored = fleet.world.records.jobs.require(member.job or "")
    fleet.world.records.jobs.save(stored, stored.record.end(state, fleet.world.clock.now(), "no model"))
    fleet.world.flows.rollouts.advance()
    assert fleet.standing(MemberState.FAILED) == [member.pipeline]
    assert fleet.standing(MemberState.LEFT_OUT) == []
