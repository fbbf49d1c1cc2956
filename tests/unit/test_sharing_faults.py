"""A change by shares when services are slow, lie or are away, and when somebody else writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.base.errors import ServiceRefused, ServiceUnavailable
from shared.domain.azureml import ShareSettings
from shared.domain.champions import Action, LateWrite, Phase
from shared.domain.jobs import JobState, Model
from shared.domain.messages import Command
from shared.domain.ports import Pending, Ready, Refused
from shared.domain.services import BakeSettings
from shared.domain.values import Duration
from tests.support.staged import KEEP_FORMER, MINUTES, StagedWorld

if TYPE_CHECKING:
    pass

FIRST = "first.ilearner"


@pytest.fixture
def staged() -> StagedWorld:
    return StagedWorld()


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


def test_messages_that_come_again_bring_no_further_looks(staged: StagedWorld) -> None:
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
