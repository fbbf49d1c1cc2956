"""Two runs, a service that stops, a storage that is away: one BES job is started, and the other is cancelled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from shared.base.errors import NeverAgain, RecordChanged, ServiceRefused, ServiceUnavailable
from shared.base.retry import IN_PLACE, asked_again
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.ports import Failed, Running
from shared.store.shelf import Stored
from tests.support.fake_services import refused
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    return World()


def test_the_poll_leaves_a_new_job_to_the_run_that_made_it(world: World) -> None:
    world.flows.intake.see(world.put("a.csv"))
    [job] = world.flows.intake.take_up()
    world.flows.training.poll()
    assert world.service.created == []
    world.flows.training.start(job)
    world.flows.training.poll()
    assert world.service.created == ["bes-1"]


def test_the_poll_starts_the_job_of_a_run_that_died(world: World) -> None:
    world.flows.intake.see(world.put("a.csv"))
    world.flows.intake.take_up()
    world.clock.sleep(60)
    world.flows.training.poll()
    assert world.service.started == ["bes-1"]


def meanwhile(world: World, happens: Callable[[], object]) -> None:
    """Have something happen while the next BES job is created."""
    submit = world.service.submit

    def slow(*arguments: Any) -> str:
        world.service.submit = submit  # type: ignore[method-assign]
        bes_job = submit(*arguments)
        happens()
        return bes_job

    world.service.submit = slow  # type: ignore[method-assign]


def test_of_two_runs_that_create_a_bes_job_the_later_cancels_its_own(world: World) -> None:
    world.flows.intake.see(world.put("a.csv"))
    [job] = world.flows.intake.take_up()
    world.clock.sleep(60)
    world.service.answer = Running()
    meanwhile(world, lambda: world.flows.training.poll())
    world.flows.training.start(job)
    assert world.service.created == ["bes-1", "bes-2"]
    assert world.service.started == ["bes-2"]
    assert world.service.cancelled == ["bes-1"]
    assert world.records.jobs.require(job.id).record.bes_job == "bes-2"


def test_a_bes_job_whose_record_was_written_is_not_cancelled_when_the_answer_was_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.flows.intake.see(world.put("a.csv"))
    [job] = world.flows.intake.take_up()
    save, lost = type(world.records.jobs).save, [True]

    def losing(records: Any, stored: Stored[RetrainingJob], changed: RetrainingJob) -> Stored[RetrainingJob]:
        saved = save(records, stored, changed)
        if lost and changed.bes_job:
            lost.pop()
            raise RecordChanged("the write was made twice, and its first answer lost")
        return saved

    monkeypatch.setattr(type(world.records.jobs), "save", losing)
    world.flows.training.start(job)
    world.flows.training.poll()
    assert (world.service.created, world.service.started, world.service.cancelled) == (["bes-1"], ["bes-1"], [])


def test_a_bes_job_that_the_services_stop_ended_is_made_once_more(world: World) -> None:
    world.service.answer = Running()
    job_id = world.drop("a.csv")
    world.service.answer = Failed("The server stopped while the job ran", interrupted=True)
    for _ in range(2):
        world.flows.training.poll()
    job = world.records.jobs.require(job_id).record
    assert world.service.created == ["bes-1", "bes-2"]
    assert world.service.names == [job_id, f"{job_id}-again"]  # the first name would find the job that was stopped
    assert (job.bes_job, job.interrupted) == ("bes-2", "bes-1")
    assert job.state is JobState.FAILED  # the second stop ends it
    assert job.reason == "The training failed: The server stopped while the job ran"


def test_a_bes_job_that_is_made_again_trains_as_any_other(world: World) -> None:
    world.service.answer = Running()
    job_id = world.drop("a.csv")
    world.service.answer = Failed("The server stopped while the job ran", interrupted=True)
    meanwhile(world, lambda: setattr(world.service, "answer", None))
    world.run(lambda: world.records.jobs.require(job_id).record.final)
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED


def test_a_job_whose_promotion_never_succeeds_is_given_up_and_frees_its_place(world: World) -> None:
    job_id = world.accepted()
    for endpoint in world.endpoints.values():
        endpoint.model = gone  # type: ignore[method-assign]
    for _ in range(70):
        for request in world.flows.training.poll():
            with pytest.raises(NeverAgain):
                world.flows.requests.carry_out(request, "m1")
        world.clock.sleep(600)
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.TIMED_OUT
    assert (job.reason or "").startswith("Its promotion is given up after 10:00:00: ")
    assert world.records.jobs.active() == []


def gone() -> Any:
    raise refused()


@pytest.mark.parametrize("error", [ServiceUnavailable("Storage: 503 ServerBusy"), ServiceRefused("no", 400)])
def test_storage_that_is_away_is_one_line_of_the_log_and_no_traceback(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world.service.answer = Running()
    world.drop("a.csv")

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(type(world.records.jobs), "recent", fail)
    monkeypatch.setattr(type(world.records.watches), "load", fail)
    with caplog.at_level(logging.WARNING):
        world.flows.training.poll()
        world.flows.bake.poll(["income"])
    assert len(caplog.records) == 2
    assert [each.exc_info for each in caplog.records] == [None, None]
    assert all(str(error) in each.getMessage() for each in caplog.records)


def calls_until(asks: list[float | None]) -> tuple[int, list[float]]:
    """Return how often a call was made whose answers ask to come again so many seconds later, and the waits."""
    made, waits = [0], list[float]()

    def call() -> None:
        made[0] += 1
        if made[0] <= len(asks):
            raise ServiceUnavailable("429", asks[made[0] - 1])

    try:
        asked_again(call, waits.append)
    except ServiceUnavailable:
        return -made[0], waits
    return made[0], waits


def test_a_short_wait_that_a_service_asks_for_is_made_in_place() -> None:
    assert calls_until([1.0, 1.0]) == (3, [1.0, 1.0])
    assert calls_until([0.0, 0.0, 0.0]) == (4, [0.1, 0.2, 0.4])


def test_waits_in_place_have_a_limit_of_the_call() -> None:
    calls, waits = calls_until([1.0] * 99)
    assert (calls, sum(waits)) == (-5, 4.0)  # each wait is at least twice the least one before
    assert calls_until([IN_PLACE + 1]) == (-1, [])
    assert calls_until([None]) == (-1, [])
    assert sum(calls_until([0.0] * 99)[1]) <= IN_PLACE
