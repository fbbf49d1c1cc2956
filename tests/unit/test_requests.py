"""Which flow a message reaches."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from shared.base.errors import BadMessage, RetrainingError
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.services import ApprovalSettings
from tests.support.fakes import World
from tests.support.fleets import FleetWorld

OTHERS = [action for action in Command if action is not Command.RETRAIN]


@pytest.mark.parametrize("action", OTHERS)
@pytest.mark.parametrize("facts", [{}, {"by": "ann"}, {"path": "income/gone.csv"}, {"parameters": {"a": "1"}}])
def test_only_a_retrain_starts_a_training(action: Command, facts: dict[str, Any]) -> None:
    world = World()
    world.drop("a.csv")
    before = world.records.jobs.ids()
    with suppress(RetrainingError):
        world.flows.requests.carry_out(Request(pipeline="income", action=action, **facts), "m1")
    world.take_up()
    assert world.records.jobs.ids() == before


@pytest.mark.parametrize("action", OTHERS)
@pytest.mark.parametrize("facts", [{}, {"by": "ann"}, {"path": "bike/01/gone.csv"}])
def test_only_a_retrain_starts_a_training_of_a_fleet(action: Command, facts: dict[str, Any]) -> None:
    fleet_world = FleetWorld(["01"])
    fleet_world.drop()
    world = fleet_world.world
    before = world.records.jobs.ids()
    with suppress(RetrainingError):
        world.flows.requests.carry_out(Request(pipeline="bike", action=action, **facts), "m1")
    world.take_up()
    assert world.records.jobs.ids() == before


@pytest.mark.parametrize("action", Command)
def test_a_pipeline_that_does_not_exist_is_refused_with_those_that_do(action: Command) -> None:
    with pytest.raises(BadMessage, match="names the pipeline 'incone'; the pipelines are: income"):
        World().flows.requests.carry_out(Request(pipeline="incone", action=action, by="ann"), "m1")


@pytest.mark.parametrize("action", [Command.PROMOTE, Command.APPROVE, Command.REJECT, Command.CANCEL])
def test_a_decision_about_no_job_is_refused(action: Command) -> None:
    with pytest.raises(BadMessage, match="income is not a fleet, so the message needs the job"):
        World().flows.requests.carry_out(Request(pipeline="income", action=action, by="ann"), "m1")


def test_a_retrain_makes_a_job_and_its_outcome_says_who_asked() -> None:
    world = World()
    world.drop("a.csv")
    request = Request(pipeline="income", action=Command.RETRAIN, by="ann", reason="a new default")
    outcome = world.flows.requests.carry_out(request, "m1")
    [again] = set(world.records.jobs.active()) - {world.records.jobs.ids()[-1]}
    assert outcome == world.records.requests.outcome("m1") == f"job {again}"
    assert b'"by":"ann"' in world.documents.contents["requests/m1.json"]


@pytest.mark.parametrize("action", [Command.RETRAIN, Command.REPLAY])
def test_a_request_with_its_own_id_counts_once_however_often_it_is_sent(action: Command) -> None:
    world = World()
    world.drop("a.csv")
    path = "income/a.csv" if action is Command.REPLAY else None
    request = Request(pipeline="income", action=action, path=path, id="nightly-7")
    outcomes = {world.flows.requests.carry_out(request, message) for message in ("m1", "m2")}
    assert outcomes == {world.records.requests.outcome("nightly-7")}


def test_a_decision_reaches_the_job_that_it_names() -> None:
    world = World(approval=ApprovalSettings(required=True))
    job = world.records.jobs.require(world.accepted()).record
    assert job.approval is not None
    request = Request(pipeline="income", action=Command.REJECT, job=job.id, by="ann", seen=job.approval.seen)
    world.flows.requests.carry_out(request, "m1")
    assert world.records.jobs.require(job.id).record.state is JobState.REJECTED


def test_a_resume_finishes_the_change_that_a_run_left() -> None:
    world = World()
    job_id = world.accepted()
    world.documents.die_after = 4
    with pytest.raises(KeyboardInterrupt):
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m1")
    world.documents.die_after = None
    assert world.records.champions.load("income").change is not None
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.RESUME), "m2")
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED
