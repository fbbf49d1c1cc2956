"""A candidate is made ready beside the live model and proven there, before its promotion is asked for."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.base.errors import ServiceUnavailable
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.flows.deployments import OVERDUE
from shared.flows.training import ASK_AGAIN
from tests.support.fakes import FakeStagedEndpoint, World
from tests.support.fleets import FleetWorld


@pytest.fixture
def world() -> World:
    return World(staged=True)


def job(world: World, job_id: str) -> RetrainingJob:
    return world.records.jobs.require(job_id).record


def endpoint(world: World, name: str = "one") -> FakeStagedEndpoint:
    found = world.endpoints[name]
    assert isinstance(found, FakeStagedEndpoint)
    return found


def polls(world: World, times: int) -> list[Request]:
    """Poll that often, 15 seconds apart; return what was asked for."""
    asked = []
    for _ in range(times):
        asked += world.flows.poll()
        world.clock.sleep(15)
    return asked


def until_asked(world: World) -> Request:
    """Poll until a promotion is asked for, and then until just before it would be asked for again.

    After an error at one target, the other may have been begun or not: a thread of its own does it.
    """
    asked: list[Request] = []
    for _ in range(20):
        asked += polls(world, 1)
        if asked:
            [request] = [*asked, *polls(world, ASK_AGAIN // timedelta(seconds=15) - 1)]
            return request
    raise AssertionError("no promotion was asked for")


def content(world: World, job_id: str) -> str:
    model = job(world, job_id).model
    assert model is not None
    return world.models.kept[model.sha256].decode()


def until_dropped(world: World) -> None:
    """Poll until nothing is recorded as deployed beside the live model."""
    for _ in range(200):
        polls(world, 1)
        if not world.records.marks().deployments:
            return
    raise AssertionError(world.records.deployments.load("income").record)


def test_an_accepted_candidate_is_deployed_and_proven_before_its_promotion_is_asked_for(world: World) -> None:
    for each in world.endpoints.values():
        each.pending = 3  # type: ignore[attr-defined]
    job_id = world.drop("a.csv")
    assert polls(world, 5) == []
    assert job(world, job_id).state is JobState.STAGING
    [request] = polls(world, 10)
    assert (request.action, request.job) == (Command.PROMOTE, job_id)
    assert endpoint(world).of == {"blue": 100}
    assert endpoint(world).calls == ["stage"]
    staged = job(world, job_id)
    assert "ready beside the live model" in staged.steps[-1].note
    assert staged.stage is not None
    assert staged.stage.answers["one"].values == [[content(world, job_id)]]
    assert not world.documents.leased


def test_a_candidate_that_cannot_be_served_fails_with_the_log_and_its_deployment_is_dropped(world: World) -> None:
    job_id = world.drop("a.csv")
    endpoint(world, "two").refused.add("results/bes-1.ilearner")
    assert polls(world, 10) == []
    assert job(world, job_id).state is JobState.FAILED
    assert "two cannot serve the model: ImageBuildFailure: the last lines of the log" in (
        job(world, job_id).reason or ""
    )
    until_dropped(world)
    assert [each.deployments for each in (endpoint(world), endpoint(world, "two"))] == [{"blue": 0}] * 2
    assert endpoint(world).of == {"blue": 100}


def with_held_out_rows(world: World) -> str:
    """Return a job whose training says what the candidate answers for a row that was held out."""
    from shared.domain.gate.verdict import Outcome, Verdict
    from shared.domain.jobs import Telling
    from shared.domain.rows import Rows

    job_id = world.drop("a.csv")
    while job(world, job_id).state is not JobState.STAGING:
        polls(world, 1)
    stored = world.records.jobs.require(job_id)
    given = Rows(["Scored Labels"], [["results/bes-1.ilearner"]])
    telling = Telling(asked=Rows(["age"], [["52"]]), given=given)
    verdict = Verdict(outcome=Outcome.HOLDS, findings=(), same_rows=1)
    changed = msgspec.structs.replace(stored.record, telling=telling, verdict=verdict)
    world.records.jobs.save(stored, changed)
    return job_id


def test_a_staged_model_that_answers_otherwise_than_in_training_is_never_given_a_call(world: World) -> None:
    for each in world.endpoints.values():
        each.pending = 3  # type: ignore[attr-defined]
    job_id = with_held_out_rows(world)
    endpoint(world, "two").wrong.add("results/bes-1.ilearner")
    assert polls(world, 20) == []
    ended = job(world, job_id)
    assert ended.state is JobState.FAILED
    assert "On two the model does not answer as it did in training; nobody was served by it" in (ended.reason or "")
    assert "share" not in endpoint(world).calls + endpoint(world, "two").calls


def test_a_model_that_answers_as_the_live_one_does_is_never_given_a_call_unless_training_says_what_it_answers(
    world: World,
) -> None:
    endpoint(world, "two").alike = True
    job_id = world.drop("a.csv")
    assert polls(world, 20) == []
    ended = job(world, job_id)
    assert ended.state is JobState.FAILED
    assert "On two the model answers all kept rows as the live one does" in (ended.reason or "")
    assert "share" not in endpoint(world).calls + endpoint(world, "two").calls


def test_a_deployment_that_is_not_ready_in_time_is_given_up_and_dropped(world: World) -> None:
    endpoint(world).pending = 10_000
    job_id = world.drop("a.csv")
    patience = world.pipelines["income"].training.patience
    polls(world, 3)
    world.clock.sleep(patience)
    polls(world, 4)
    assert job(world, job_id).state is JobState.TIMED_OUT
    until_dropped(world)
    assert set(endpoint(world).deployments) == {"blue"}


def test_a_lost_answer_to_staging_deploys_nothing_twice(world: World) -> None:
    endpoint(world).lose = ["stage"]
    world.drop("a.csv")
    assert until_asked(world).action is Command.PROMOTE
    assert endpoint(world).calls == ["stage"]


def test_errors_of_the_service_are_waited_for_and_noted_on_the_job(world: World) -> None:
    endpoint(world).errors["stage"] = [ServiceUnavailable("503 of the workspace")]
    job_id = world.drop("a.csv")
    polls(world, 1)
    assert job(world, job_id).trouble == "503 of the workspace"
    assert until_asked(world).job == job_id
    assert job(world, job_id).trouble is None


def test_a_job_that_is_cancelled_while_it_is_staged_has_its_deployment_dropped(world: World) -> None:
    endpoint(world).pending = 10
    job_id = world.drop("a.csv")
    polls(world, 3)
    assert len(endpoint(world).deployments) == 2
    cancel = Request(pipeline="income", action=Command.CANCEL, job=job_id, by="ann")
    world.flows.requests.carry_out(cancel, "m1")
    world.flows.requests.carry_out(cancel, "m1")  # the same message again
    assert job(world, job_id).state is JobState.CANCELLED
    until_dropped(world)
    assert set(endpoint(world).deployments) == {"blue"}


def test_a_call_that_had_begun_before_the_cancel_leaves_no_deployment_behind(world: World) -> None:
    endpoint(world).pending = 10
    job_id = world.drop("a.csv")
    polls(world, 3)
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.CANCEL, job=job_id, by="ann"), "m1")
    polls(world, 20)
    assert set(endpoint(world).deployments) == {"blue"}
    model = job(world, job_id).model
    assert model is not None
    endpoint(world).stage(model)  # of a poll that was stopped for a while
    world.clock.sleep(OVERDUE.total_seconds())
    until_dropped(world)
    assert set(endpoint(world).deployments) == {"blue"}


def test_newer_data_supersedes_a_candidate_that_is_staged_and_only_one_is_deployed_at_a_time(world: World) -> None:
    for each in world.endpoints.values():
        each.pending = 6  # type: ignore[attr-defined]
    older = world.drop("a.csv")
    polls(world, 4)
    newer = world.drop("b.csv")
    asked = polls(world, 60)
    assert job(world, older).state is JobState.SUPERSEDED
    assert f"newer data was accepted meanwhile: job {newer}" in (job(world, older).reason or "")
    assert {request.job for request in asked} == {newer}
    assert (endpoint(world).most, set(endpoint(world).contents())) == (2, {"first.ilearner", content(world, newer)})


def test_older_data_waits_for_a_newer_candidate_and_is_superseded_once_that_is_live(world: World) -> None:
    world.data.modified += timedelta(minutes=1)
    newer = world.drop("newer.csv")
    polls(world, 1)
    world.data.modified -= timedelta(minutes=2)
    older = world.drop("older.csv")
    requests = polls(world, 8)
    assert {request.job for request in requests} == {newer}
    assert job(world, older).steps[-1].note == f"waits for job {newer}"


def test_a_job_of_a_fleet_is_staged_when_its_rollout_asks_for_it_and_dropped_when_that_takes_it_back() -> None:
    fleet = FleetWorld(["01"], {"within": 600.0}, world=World(staged=True))
    fleet.drop()
    world, [member] = fleet.world, fleet.members
    staged = fleet.endpoint(member)
    assert isinstance(staged, FakeStagedEndpoint)
    staged.pending = 10_000
    fleet.poll(4)
    assert [each.state for each in fleet.jobs(member)] == [JobState.ACCEPTED]
    assert set(staged.deployments) == {"blue"}
    fleet.ask(Command.PROMOTE, "m1")
    fleet.poll(4)
    assert [each.state for each in fleet.jobs(member)] == [JobState.STAGING]
    assert len(staged.deployments) == 2
    fleet.poll(60)
    [taken_back] = fleet.jobs(member)
    assert (taken_back.state, taken_back.rollout, taken_back.stage) == (JobState.ACCEPTED, None, None)
    assert world.records.jobs.parked("bike") == [taken_back.id]
    for _ in range(60):
        world.flows.poll()
        world.clock.sleep(15)
    assert set(staged.deployments) == {"blue"}


def test_where_an_update_replaces_the_live_model_nothing_is_staged() -> None:
    world = World()
    job_id = world.drop("a.csv")
    [request] = polls(world, 1)
    assert request.job == job_id
    assert JobState.STAGING not in {step.state for step in job(world, job_id).steps}
    assert not list(world.documents.names("active/deployments/"))


def test_a_change_under_way_is_waited_for_as_long_as_the_pipeline_has_patience(world: World) -> None:
    first = world.drop("a.csv")
    [request] = polls(world, 5)
    for writes in range(20):
        world.documents.die_after = writes
        with pytest.raises(KeyboardInterrupt):
            world.flows.requests.carry_out(request, "m")
        world.documents.die_after = None
        if world.records.champions.load("income").change:
            break
        world.clock.sleep(60)
    second = world.drop("b.csv")
    polls(world, 4)
    assert "waits for" in job(world, second).steps[-1].note
    assert job(world, first).state in (JobState.STAGING, JobState.PROMOTING)
    world.clock.sleep(world.pipelines["income"].training.patience)
    polls(world, 2)
    assert job(world, second).state is JobState.TIMED_OUT
    assert "Its turn has not come within" in (job(world, second).reason or "")
