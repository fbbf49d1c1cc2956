"""What people ask for while a model gets its share of the calls, or afterwards: rollbacks, other models, commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from shared.cli.changes import _outcome
from shared.cli.place import DONE, WAITING
from shared.cli.plans import rollback_of
from shared.cli.views import change_text, entry_facts, status_row
from shared.domain.champions import Action, Phase
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from tests.support.staged import SHARE, StagedWorld

if TYPE_CHECKING:
    from shared.app import App

FIRST = "first.ilearner"


@pytest.fixture
def staged() -> StagedWorld:
    return StagedWorld()


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


def test_a_rollback_to_a_model_that_is_no_longer_deployed_stages_it_first(staged: StagedWorld) -> None:
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


def test_a_former_model_that_can_no_longer_be_served_leaves_the_live_one_alone(staged: StagedWorld) -> None:
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


def test_a_rollback_works_although_the_live_model_no_longer_answers(staged: StagedWorld) -> None:
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
    assert staged.world.records.requests.load("m1")["by"] == "ann"
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


def test_a_message_that_asks_for_something_missing_does_not_end_a_change(staged: StagedWorld) -> None:
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
    assert staged.world.records.requests.load("m1")["by"] == "ann"
    staged.world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, by="ann", to=2), "m1")
    assert staged.champion.last == 3  # a second delivery


def test_a_refused_rollback_names_the_command_that_makes_the_entry_live_again() -> None:
    staged = StagedWorld()
    job_id = staged.promoted()
    staged.run(lambda: not staged.champion.change)
    staged.endpoint().put_by_others({"green": 100})
    for name in ("m1", "m2"):
        staged.send(Command.ROLLBACK, name, by="ann", live=2)
    staged.run(lambda: len(staged.dropped) == 2)
    hint = "`rollback income --to 2` makes entry 2 live again"
    assert all(f"entry 3 is: somebody else deployed another model; {hint}" in each for each in staged.dropped)
    staged.send(Command.ROLLBACK, "m3", by="ann", to=2, live=3)
    staged.run(lambda: (staged.outcome("m3") or "").startswith("done"))
    assert staged.shares() == {staged.content(job_id): 100}


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
