"""A model gets its share of the calls step by step, and both models are scored before the next step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from shared.base.errors import ServiceRefused, ServiceUnavailable
from shared.cli.changes import _outcome
from shared.cli.place import DONE, WAITING
from shared.cli.plans import rollback_of
from shared.cli.views import change_text, entry_facts, status_row
from shared.domain.azureml import ShareSettings
from shared.domain.champions import Action, LateWrite, Phase, Portion
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import JobState, Model, Telling
from shared.domain.messages import Command, Request
from shared.domain.ports import Pending, Ready, Refused
from shared.domain.rollouts import RolloutState
from shared.domain.rows import Rows
from shared.domain.services import BakeSettings
from shared.domain.sharing import ALL, plan_of, shares_with
from shared.domain.values import Duration
from tests.support.fakes import World
from tests.support.fleets import FleetWorld
from tests.support.staged import KEEP_FORMER, MINUTES, SHARE, StagedWorld

if TYPE_CHECKING:
    from shared.app import App

FIRST = "first.ilearner"


@pytest.mark.parametrize(
    ("former", "share", "shares"),
    [
        ({"old": 100}, 10, {"old": 90, "new": 10}),
        ({"old": 100}, 100, {"new": 100}),
        ({"old": 100, "idle": 0}, 50, {"old": 50, "new": 50}),
        ({"a": 50, "b": 50}, 33, {"a": 34, "b": 33, "new": 33}),
        ({"a": 80, "b": 20}, 10, {"a": 72, "b": 18, "new": 10}),
        ({"a": 99, "b": 1}, 99, {"a": 1, "new": 99}),
        ({}, 10, {"new": 100}),
    ],
)
def test_the_new_model_gets_its_share_and_the_others_keep_their_proportions(
    former: dict[str, int], share: int, shares: dict[str, int]
) -> None:
    assert shares_with(former, "new", Portion(share=share)) == shares
    assert sum(shares.values()) == 100


def test_a_copy_of_the_calls_changes_nobodys_share() -> None:
    assert shares_with({"old": 100}, "new", Portion(share=20, mirrored=True)) == {"old": 100}


def test_a_promotion_takes_its_steps_and_a_rollback_one_write() -> None:
    settings = ShareSettings(steps=[10, 50], mirror=20)
    steps = [(each.share, each.mirrored) for each in plan_of(settings, Action.PROMOTED)]
    assert steps == [(20, True), (10, False), (50, False), (100, False)]
    assert plan_of(settings, Action.ROLLED_BACK) == plan_of(None, Action.PROMOTED) == (ALL,)


@pytest.fixture
def staged() -> StagedWorld:
    return StagedWorld()


def test_a_promotion_goes_through_its_steps_and_the_history_says_when(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    live = staged.champion.live
    assert live is not None
    assert (live.action, live.job, live.number) == (Action.PROMOTED, job_id, 2)
    assert [(step.share, step.mirrored) for step in live.traffic] == [(10, False), (50, False), (100, False)]
    assert live.at == live.traffic[-1].at
    waits = [(b.at - a.at).total_seconds() for a, b in zip(live.traffic, live.traffic[1:], strict=False)]
    assert all(10 * MINUTES <= wait <= 12 * MINUTES for wait in waits)
    assert live.served_by["one"] == {"endpoint": "income", "deployment": f"m{staged.sha256(job_id)[:12]}"}
    notes = staged.notes(job_id)
    assert [note for note in notes if note.endswith("of the calls")] == [f"{n} % of the calls" for n in (10, 50, 100)]
    assert live.proof["two"].proven
    assert staged.shares() == {staged.content(job_id): 100}
    assert [call for call in staged.endpoint().calls if call == "share"] == ["share"] * 3


def test_the_record_is_held_by_nobody_between_the_looks(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(10, job_id)
    assert staged.world.documents.leased == {}
    change = staged.champion.change
    assert change is not None
    assert change.phase is Phase.SHARING
    assert staged.job(job_id).state is JobState.PROMOTING


def test_the_former_model_stays_deployed_for_its_time_and_is_dropped_then(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    begun = staged.world.clock.now()
    assert staged.endpoint().contents() == {FIRST, staged.content(job_id)}
    staged.run(lambda: staged.endpoint().contents() == {staged.content(job_id)})
    assert (staged.world.clock.now() - begun).total_seconds() >= KEEP_FORMER
    staged.run(staged.settled)
    staged.check()


def test_without_steps_all_calls_are_given_at_once() -> None:
    staged = StagedWorld(share=None)
    job_id = staged.promoted()
    live = staged.champion.live
    assert live is not None
    assert [step.share for step in live.traffic] == [100]
    assert staged.shares("two") == {staged.content(job_id): 100}


def test_a_copy_of_the_calls_comes_before_the_first_share() -> None:
    staged = StagedWorld(share=ShareSettings(steps=[50, 100], bake=Duration(5 * MINUTES), mirror=20))
    job_id = staged.world.drop("a.csv")
    staged.run(lambda: staged.endpoint().mirrored)
    assert staged.shares() == {FIRST: 100}
    staged.run(lambda: staged.job(job_id).final)
    live = staged.champion.live
    assert live is not None
    assert [(step.share, step.mirrored) for step in live.traffic] == [(20, True), (50, False), (100, False)]
    staged.run(staged.settled)
    staged.check()


def fails(staged: StagedWorld, content: str) -> None:
    staged.endpoint("two").broken.add(content)


def answers_otherwise(staged: StagedWorld, content: str) -> None:
    staged.endpoint("two").wrong.add(content)


def is_slow(staged: StagedWorld, content: str) -> None:
    staged.endpoint("one").slow_models[content] = 3.0


def is_slower_still(staged: StagedWorld, content: str) -> None:
    staged.endpoint("one").slow_models[content] = 10.0


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (fails, "3 looks in a row failed, the last because two: POST score answered 424"),
        (answers_otherwise, "the answers of two to the kept rows are not those of the model any more"),
        (is_slow, "it answers 30.0 times as slowly as the former model at the same time"),
    ],
)
@pytest.mark.parametrize("share", [10, 50])
def test_a_model_that_does_badly_beside_the_former_one_is_taken_back_with_one_write(
    staged: StagedWorld, trouble: Callable[[StagedWorld, str], None], why: str, share: int
) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(share, job_id)
    writes = staged.endpoint().calls.count("share")
    trouble(staged, staged.content(job_id))
    staged.run(lambda: staged.job(job_id).final)
    job = staged.job(job_id)
    assert job.state is JobState.REVERTED
    assert f"With {share} % of the calls" in (job.reason or "")
    assert why in (job.reason or "")
    assert "the former model is live again, and that is proven" in (job.reason or "")
    assert staged.shares() == staged.shares("two") == {FIRST: 100}
    assert staged.endpoint().calls.count("share") == writes + 1
    staged.run(staged.settled)
    staged.check()


def test_a_service_that_answers_for_neither_model_says_nothing_about_the_new_one(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(10, job_id)
    staged.endpoint().broken |= {FIRST, staged.content(job_id)}
    for _ in range(60):
        staged.once()
    assert staged.shares() == {FIRST: 90, staged.content(job_id): 10}
    staged.endpoint().broken.clear()
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.PROMOTED


def test_shares_that_take_effect_late_are_waited_for(staged: StagedWorld) -> None:
    for endpoint in staged.both:
        endpoint.late_shares = 3
    job_id = staged.promoted()
    assert staged.endpoint().calls.count("share") == 3
    assert staged.shares() == {staged.content(job_id): 100}


def test_shares_that_are_never_taken_are_given_up(staged: StagedWorld) -> None:
    staged.endpoint("two").deaf = 10_000
    job_id = staged.world.drop("a.csv")
    staged.run(lambda: staged.job(job_id).final)
    assert "The shares of step 1 were not taken within 0:15:00" in (staged.job(job_id).reason or "")
    assert staged.shares() == staged.shares("two") == {FIRST: 100}
    staged.run(staged.settled)
    staged.check()


@pytest.mark.parametrize("call", ["stage", "share", "drop"])
def test_a_lost_answer_is_found_out_and_the_call_is_not_made_twice(staged: StagedWorld, call: str) -> None:
    staged.endpoint().lose = [call]
    job_id = staged.promoted()
    staged.run(staged.settled)
    assert staged.endpoint().calls.count("share") == 3
    assert [each for each in staged.endpoint().calls if each in ("stage", "drop")] == ["stage", "drop"]
    assert staged.shares() == {staged.content(job_id): 100}
    staged.check()


def test_a_refused_share_puts_the_former_ones_back(staged: StagedWorld) -> None:
    staged.endpoint("two").errors["share"] = [ServiceRefused("PUT answered 400: BadArgument", 400)]
    job_id = staged.world.drop("a.csv")
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.REVERTED
    assert "BadArgument" in (staged.job(job_id).reason or "")
    staged.run(staged.settled)
    staged.check()


def test_shares_that_somebody_else_gives_are_overwritten_once(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    endpoint = staged.endpoint()
    endpoint.put_by_others({"blue": 40, staged.sha256(job_id): 60})
    staged.until_shared(10, job_id)
    assert any("somebody else gave one other shares" in note for note in staged.notes(job_id))
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.PROMOTED
    live = staged.champion.live
    assert live is not None
    assert [step.note[:13] for step in live.traffic] == ["", "somebody else", "", "", ""]


def test_nobody_is_fought_over_the_shares_for_ever(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(10, job_id)
    for _ in range(2000):
        if staged.job(job_id).final:
            break
        staged.endpoint().put_by_others({"blue": 40, staged.sha256(job_id): 60})
        staged.once()
        if staged.champion.change and staged.champion.change.phase is Phase.REVERTING:
            break
    staged.run(lambda: staged.job(job_id).final)
    assert "for the second time" in (staged.job(job_id).reason or "")
    assert staged.shares() == {FIRST: 100}


def test_who_gives_all_calls_back_to_the_former_model_has_ended_the_change(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(50, job_id)
    staged.endpoint("two").put_by_others({"blue": 100})
    staged.run(lambda: staged.job(job_id).final)
    assert "Somebody else gave two other shares: 100 % " in (staged.job(job_id).reason or "")
    assert staged.shares() == staged.shares("two") == {FIRST: 100}


def test_a_rollback_is_one_write_while_the_former_model_is_deployed(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    writes = staged.endpoint().calls.count("share")
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == staged.shares("two") == {FIRST: 100}
    assert staged.endpoint().calls.count("share") == writes + 1
    assert staged.endpoint().calls.count("stage") == 1
    live = staged.champion.live
    assert live is not None
    assert (live.action, live.number, [step.share for step in live.traffic]) == (Action.ROLLED_BACK, 3, [100])
    assert staged.endpoint().contents() == {FIRST, staged.content(job_id)}
    staged.run(staged.settled)
    staged.check()


def test_a_rollback_to_a_model_that_is_not_deployed_any_more_stages_it_first(staged: StagedWorld) -> None:
    staged.promoted()
    staged.run(staged.settled)
    for endpoint in staged.both:
        endpoint.pending = 4
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(lambda: staged.champion.change)
    change = staged.champion.change
    assert change is not None
    assert change.phase is Phase.STAGING
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == {FIRST: 100}
    staged.run(staged.settled)
    staged.check()


def test_a_former_model_that_cannot_be_served_any_more_leaves_the_live_one_alone(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    staged.run(staged.settled)
    staged.endpoint("two").refused.add(FIRST)
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("not done"))
    assert "two cannot serve the model: ImageBuildFailure" in (staged.outcome("m1") or "")
    assert "the former model stayed live, and no call was given to the other model" in (staged.outcome("m1") or "")
    assert staged.shares() == {staged.content(job_id): 100}
    staged.run(staged.settled)
    staged.check()


def test_a_rollback_works_although_the_live_model_answers_no_more(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    for endpoint in staged.both:
        endpoint.broken.add(staged.content(job_id))
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == {FIRST: 100}


def test_a_rollback_by_hand_during_sharing_ends_the_change_and_the_live_model_stays(staged: StagedWorld) -> None:
    first = staged.promoted("a.csv")
    second = staged.world.drop("b.csv")
    staged.until_shared(10, second)
    for _ in range(2):
        staged.send(Command.ROLLBACK, "m1", by="ann", live=2)  # delivered twice
    staged.run(lambda: staged.job(second).final)
    assert staged.job(second).state is JobState.REVERTED
    assert "ended by a rollback; asked for by ann" in (staged.job(second).reason or "")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.outcome("m1") == "done: the change is ended, and entry 2 is live"
    staged.run(staged.settled)
    assert staged.shares() == {staged.content(first): 100}
    assert staged.champion.last == 2
    staged.check()


def test_another_model_asked_for_during_sharing_comes_after_the_revert(staged: StagedWorld) -> None:
    for endpoint in staged.both:
        endpoint.late_shares = 20  # longer than a message is delivered again
    first, second = staged.promoted("a.csv"), staged.world.drop("b.csv")
    staged.until_shared(10, second)
    staged.send(Command.ROLLBACK, "m1", by="ann", to=1)
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.job(second).state is JobState.REVERTED
    assert staged.shares() == {FIRST: 100}
    actions = [entry.action for entry, _ in staged.world.records.champions.entries("income")]
    assert actions == [Action.FOUND, Action.PROMOTED, Action.ROLLED_BACK]
    staged.run(staged.settled)
    staged.check()
    assert staged.job(first).state is JobState.PROMOTED


def test_a_message_that_asks_for_what_is_not_there_does_not_end_a_change(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_shared(10, job_id)
    staged.send(Command.ROLLBACK, "m1", by="ann", to=7)
    staged.send(Command.ROLLBACK, "m2", by="ann", live=7)
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.PROMOTED
    assert len(staged.dropped) == 2


def test_newer_data_waits_until_the_calls_have_gone_over(staged: StagedWorld) -> None:
    first = staged.world.drop("a.csv")
    staged.until_shared(10, first)
    second = staged.world.drop("b.csv")
    staged.run(lambda: staged.job(first).final)
    assert staged.job(first).state is JobState.PROMOTED
    staged.run(lambda: staged.job(second).final)
    assert staged.job(second).state is JobState.PROMOTED
    assert max(endpoint.most for endpoint in staged.both) == 2
    staged.run(staged.settled)
    staged.check()


def test_a_rollback_makes_room_for_its_model_and_the_candidate_is_staged_again(staged: StagedWorld) -> None:
    staged.promoted("a.csv")
    staged.run(staged.settled)
    for endpoint in staged.both:
        endpoint.pending = 10
    candidate = staged.world.drop("b.csv")
    staged.run(lambda: len(staged.endpoint().deployments) == 2)
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert max(endpoint.most for endpoint in staged.both) == 2
    staged.run(lambda: staged.job(candidate).final)
    staged.run(staged.settled)
    staged.check()


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (fails, "3 looks in a row failed"),
        (answers_otherwise, "the answers of two to the kept rows are not those"),
        (is_slower_still, "it answers 6.0 times as slowly as the former model at the same time"),
    ],
)
def test_the_bake_compares_with_the_former_model_at_the_same_time_and_rolls_back_with_one_write(
    trouble: Callable[[StagedWorld, str], None], why: str
) -> None:
    staged = StagedWorld(bake=BakeSettings(time=Duration(30 * MINUTES)))
    job_id = staged.promoted()
    for endpoint in staged.both:
        endpoint.slow = 2.0  # the whole service becomes slow, which says nothing about the model
    for _ in range(30):
        staged.once()
    assert staged.champion.last == 2
    writes = staged.endpoint().calls.count("share")
    trouble(staged, staged.content(job_id))
    staged.run(lambda: staged.champion.last == 3)
    live = staged.champion.live
    assert live is not None
    assert (live.action, live.by) == (Action.ROLLED_BACK, "the bake")
    assert why in live.reason
    assert staged.shares("two") == {FIRST: 100}
    assert staged.endpoint().calls.count("share") == writes + 1
    staged.run(staged.settled)
    staged.check()


def test_an_outage_of_the_service_is_waited_for_at_the_end(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.run(lambda: (staged.endpoint().of.get(staged.sha256(job_id)) if staged.job(job_id).model else 0) == 50)
    staged.endpoint().errors["shares"] = [ServiceUnavailable("503 of the workspace")] * 20
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.PROMOTED


def test_a_job_that_a_person_promotes_is_staged_as_any_other(staged: StagedWorld) -> None:
    staged.world.alone["income"] = msgspec.structs.replace(
        staged.world.pipelines["income"], gate=StagedWorld().world.pipelines["income"].gate
    )
    staged.world.reader.evaluation = b"AUC\n0.5\n"
    refused = staged.world.drop("a.csv")
    staged.run(lambda: staged.job(refused).final)
    assert staged.job(refused).state is JobState.REJECTED
    staged.send(Command.PROMOTE, "m1", job=refused, by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == {staged.content(refused): 100}
    live = staged.champion.live
    assert live is not None
    assert [step.share for step in live.traffic] == SHARE.steps
    staged.run(staged.settled)
    staged.check()


def test_a_look_that_fails_when_the_time_of_a_step_is_over_brings_no_next_step(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    change = staged.champion.change
    assert change is not None and change.traffic is not None and change.traffic.watch is not None
    until = change.traffic.watch.until
    staged.run(lambda: (until - staged.world.clock.now()).total_seconds() <= 2 * staged.pause)
    staged.endpoint().broken.add(staged.content(job_id))
    staged.run(lambda: staged.job(job_id).final)
    assert "With 10 % of the calls 3 looks in a row failed" in (staged.job(job_id).reason or "")


def test_messages_that_come_again_and_again_bring_no_more_looks(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    staged.endpoint().broken.add(staged.content(job_id))
    for number in range(50):
        staged.send(Command.RESUME, f"again-{number}")
    staged.once()
    change = staged.champion.change
    assert change is not None and change.traffic is not None and change.traffic.watch is not None
    assert change.traffic.watch.looks == 0


def test_a_storage_that_is_away_during_a_step_takes_nothing_back() -> None:
    staged = StagedWorld(share=ShareSettings(steps=[10, 100], bake=Duration(60 * MINUTES)))
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    staged.world.clock.sleep(30 * MINUTES)
    replace = staged.world.documents.replace

    def away(name: str, *arguments: Any) -> str:
        if name.startswith("champions/"):
            raise ServiceUnavailable("the storage is away")
        return replace(name, *arguments)

    staged.world.documents.replace = away  # type: ignore[method-assign]
    for _ in range(20):
        staged.once()
    staged.world.documents.replace = replace  # type: ignore[method-assign]
    staged.run(lambda: staged.job(job_id).final)
    assert staged.job(job_id).state is JobState.PROMOTED


def test_a_model_that_a_person_promotes_is_proven_before_it_gets_a_call(staged: StagedWorld) -> None:
    first = staged.promoted("a.csv")
    staged.world.reader.evaluation = b"AUC\n0.5\n"
    refused = staged.world.drop("b.csv")
    staged.run(lambda: staged.job(refused).final)
    stored = staged.world.records.jobs.require(refused)
    telling = Telling(asked=Rows(["age"], [["52"]]), given=Rows(["Scored Labels"], [["what training said"]]))
    verdict = Verdict(outcome=Outcome.FAILS, findings=(), champion=staged.sha256(first), same_rows=1)
    staged.world.records.jobs.save(stored, msgspec.structs.replace(stored.record, telling=telling, verdict=verdict))
    writes = staged.endpoint().calls.count("share")
    staged.send(Command.PROMOTE, "m1", job=refused, by="ann")
    staged.run(lambda: (staged.outcome("m1") or "").startswith("not done"))
    assert "On one the model does not answer as it did in training" in (staged.outcome("m1") or "")
    assert staged.endpoint().calls.count("share") == writes
    staged.run(staged.settled)
    staged.check()


def test_a_deployment_that_somebody_gave_calls_is_not_dropped(staged: StagedWorld) -> None:
    job_id = staged.promoted()
    staged.endpoint().put_by_others({"blue": 30, staged.sha256(job_id): 70})

    asked: list[Model] = []
    drop = staged.endpoint().drop
    staged.endpoint().drop = asked.append  # type: ignore[method-assign, assignment]
    staged.world.clock.sleep(KEEP_FORMER)
    for _ in range(20):
        staged.once()
    assert asked == []
    staged.endpoint().drop = drop  # type: ignore[method-assign]
    staged.endpoint().put_by_others({"blue": 0, staged.sha256(job_id): 100})
    staged.run(staged.settled)
    staged.check()


def test_a_deployment_that_the_app_may_not_delete_does_not_hold_up_the_next_candidate(staged: StagedWorld) -> None:
    staged.promoted("a.csv")

    def refused(model: Model) -> Pending | None:
        raise ServiceRefused(f"this app did not make the deployment of {model.sha256}", 409)

    staged.endpoint("one").drop = refused  # type: ignore[method-assign]
    second = staged.world.drop("b.csv")
    staged.run(lambda: staged.job(second).final)
    assert staged.job(second).state is JobState.PROMOTED
    assert FIRST not in staged.endpoint("two").contents()
    staged.send(Command.ROLLBACK, "m1", by="ann", to=1)
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))


def test_a_deployment_that_takes_long_is_looked_at_less_often(staged: StagedWorld) -> None:
    endpoint = staged.endpoint()
    endpoint.pending = 10_000
    looks = [0]
    stage = endpoint.stage

    def counted(model: Model) -> Ready | Pending | Refused:
        looks[0] += 1
        return stage(model)

    endpoint.stage = counted  # type: ignore[method-assign]
    staged.world.drop("a.csv")
    for _ in range(4 * 60):
        staged.once()
    assert 30 <= looks[0] <= 45  # of 240 polls


def test_shares_that_an_overtaken_run_wrote_late_are_repaired() -> None:
    staged = StagedWorld(bake=BakeSettings(time=Duration(30 * MINUTES)))
    job_id = staged.promoted()
    records = staged.world.records.champions
    found = records.entry("income", 1)
    assert found is not None
    with records.hold(records.look("income"), staged.world.clock.now) as held:
        until = staged.world.clock.now() + timedelta(hours=1)
        held.save(held.champion.replace(late_writes=(LateWrite(sha256=found.models["one"].sha256, until=until),)))
    staged.endpoint().put_by_others({"blue": 90, staged.sha256(job_id): 10})
    staged.run(lambda: staged.shares() == {staged.content(job_id): 100})
    assert staged.champion.repair is not None  # given, and proven by a later look
    staged.run(lambda: staged.champion.last == 3)
    live = staged.champion.live
    assert live is not None
    assert (live.action, live.traffic, staged.champion.repair) == (Action.REVERTED, (), None)
    staged.run(staged.settled)
    staged.check()


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"green": 100}, "100 % green"),
        ({"green": 10, "new": 90}, "10 % green"),
        ({"blue": 60, "new": 40}, "60 % "),
        ({}, "no calls"),
    ],
)
def test_one_request_gives_the_calls_back_that_somebody_else_took(shares: dict[str, int], said: str) -> None:
    staged = StagedWorld()
    job_id = staged.promoted()
    staged.run(lambda: not staged.champion.change)
    endpoint, new = staged.endpoint(), staged.sha256(job_id)
    endpoint.put_by_others({new if name == "new" else name: share for name, share in shares.items()})
    served = [*endpoint.served_unproven]
    writes = endpoint.calls.count("share")
    staged.send(Command.ROLLBACK, "m1", by="ann", to=2, live=2)
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == staged.shares("two") == {staged.content(job_id): 100}
    assert endpoint.calls.count("share") == writes + 1
    assert endpoint.served_unproven == served
    live = staged.champion.live
    assert live is not None
    assert (live.action, live.number, live.by, live.job) == (Action.REVERTED, 3, "ann", job_id)
    assert said in live.reason and "asked for by ann" in live.reason
    assert staged.outcome("m1") == "done: entry 3 of the history"
    staged.world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, by="ann", to=2), "m1")
    assert staged.champion.last == 3  # a second delivery


def test_the_calls_are_given_back_also_if_the_live_deployment_was_deleted_and_answers_are_lost() -> None:
    staged = StagedWorld()
    job_id = staged.promoted()
    staged.run(lambda: not staged.champion.change)
    endpoint = staged.endpoint()
    endpoint.put_by_others({"green": 100})
    del endpoint.deployments[staged.sha256(job_id)]
    endpoint.of = {"green": 100}
    endpoint.pending, endpoint.lose = 3, ["stage", "share"]
    staged.send(Command.ROLLBACK, "m1", by="ann", to=2)
    staged.run(lambda: (staged.outcome("m1") or "").startswith("done"))
    assert staged.shares() == {staged.content(job_id): 100}
    assert staged.champion.last == 3


def test_a_rollback_to_the_live_entry_that_has_all_calls_changes_nothing() -> None:
    staged = StagedWorld()
    staged.promoted()
    staged.run(lambda: not staged.champion.change)
    calls = [*staged.endpoint().calls]
    staged.send(Command.ROLLBACK, "m1", by="ann", to=2)
    staged.run(lambda: staged.outcome("m1"))
    assert staged.outcome("m1") == "done: this very model is live already"
    assert (staged.endpoint().calls, staged.champion.last) == (calls, 2)


def test_a_rollout_takes_each_member_through_its_steps_and_back() -> None:
    world = World(staged=True, share=ShareSettings(steps=[10, 100], bake=Duration(2 * MINUTES)))
    fleet = FleetWorld(["01", "02"], {"within": 3600.0}, world=world)
    fleet.drop()
    fleet.ask(Command.PROMOTE, "m1")
    fleet.finish()
    assert [fleet.served(each) for each in fleet.members] == [fleet.trained(each) for each in fleet.members]
    fleet.ask(Command.ROLLBACK, "m2")
    fleet.finish()
    assert {fleet.served(each) for each in fleet.members} == {FIRST}
    assert fleet.rollout.state is RolloutState.DONE


def test_a_model_that_is_live_already_is_not_deployed_again(staged: StagedWorld) -> None:
    read = staged.world.reader.read
    staged.world.reader.read = lambda reference: (  # type: ignore[method-assign]
        iter([b"the same"])
        if reference.relative.startswith("results/bes") and "ilearner" in reference.relative
        else read(reference)
    )
    first, second = staged.promoted("a.csv"), staged.promoted("b.csv")
    assert staged.sha256(first) == staged.sha256(second)
    assert staged.job(second).reason == "this very model is live already"
    assert staged.endpoint().calls.count("stage") == 1
    staged.run(staged.settled)
    staged.check()


def test_a_command_says_that_a_rollback_would_end_the_change_and_what_is_under_way(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    app = cast("App", staged.world)
    rollback = Request(pipeline="income", action=Command.ROLLBACK, by="ann")
    [_, (name, text)] = rollback_of(app, rollback).facts
    assert name == "would end"
    assert str(text).startswith("the change to entry 2, sharing: 10 % of the calls since ")
    assert str(text).endswith("; entry 1 stays live")
    for endpoint in staged.both:
        endpoint.late_shares = 5
    staged.world.flows.requests.carry_out(rollback, "m1")
    assert _outcome(app, rollback, "m1") == (WAITING, "under way: the change to entry 2 is ended first")
    staged.run(lambda: staged.job(job_id).final)
    code, said = _outcome(app, rollback, "m1")
    assert (code, said) == (DONE, "done: the change is ended, and entry 1 is live")


def test_status_and_history_show_the_shares_with_their_times(staged: StagedWorld) -> None:
    job_id = staged.world.drop("a.csv")
    staged.until_given(10, job_id)
    change = staged.champion.change
    assert change is not None and change.traffic is not None
    at = f"{change.traffic.steps[0].at:%H:%M:%S}"
    assert change_text(change) == f"change to entry 2, sharing: 10 % of the calls since {at}"
    row = status_row(staged.champion, None, [staged.job(job_id)], None, [])
    assert f"{job_id} promoting\n{change_text(change)}" in row
    staged.run(lambda: staged.job(job_id).final)
    live = staged.champion.live
    assert live is not None
    facts = [f"{name}: {cell}" for name, cell in entry_facts(live, "digest", None)]
    assert f"traffic (UTC): {live.traffic[0].at:%Y-%m-%d} {at}  10 % of the calls" in facts
    deployment = f"m{staged.sha256(job_id)[:12]}"
    assert f"served on one: endpoint income, deployment {deployment}" in facts
