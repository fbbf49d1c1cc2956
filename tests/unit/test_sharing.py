"""A model gets its share of the calls step by step, and both models are scored before the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from shared.domain.azureml import ShareSettings
from shared.domain.champions import Action, Phase, Portion
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import JobState, Telling
from shared.domain.messages import Command
from shared.domain.rollouts import RolloutState
from shared.domain.rows import Rows
from shared.domain.sharing import ALL, plan_of, shares_with
from shared.domain.values import Duration
from tests.support.fakes import World
from tests.support.fleets import FleetWorld
from tests.support.staged import KEEP_FORMER, MINUTES, StagedWorld

if TYPE_CHECKING:
    pass

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
