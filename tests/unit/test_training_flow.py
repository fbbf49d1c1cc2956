"""From a dropped data set to a judged model, whatever is lost, late or refused on the way."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import msgspec
import pytest

from shared.base.errors import AccessRefused, ServiceRefused, ServiceUnavailable
from shared.domain.jobs import JobState
from shared.domain.messages import Command
from shared.domain.ports import BlobReference, Cancelled, Failed, Finished, NotStarted, Running
from shared.domain.values import Duration
from shared.flows.pace import is_due
from tests.support.fake_storage import START
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    return World()


def state(world: World, job_id: str) -> JobState:
    return world.records.jobs.require(job_id).record.state


def test_a_lost_answer_to_submit_starts_no_second_training(world: World) -> None:
    world.service.lose = ["submit"]
    job_id = world.drop("a.csv")
    world.run(lambda: state(world, job_id) is JobState.PROMOTED)
    assert world.service.created == ["bes-1", "bes-2"]
    assert world.service.started == ["bes-2"]
    assert world.service.names == [job_id, job_id]  # a service that takes the name finds the first job


def test_a_lost_answer_to_start_is_not_a_failure(world: World) -> None:
    world.service.lose = ["start", "status"]
    job_id = world.drop("a.csv")
    world.run(lambda: state(world, job_id) is JobState.PROMOTED)
    assert state(world, job_id) is JobState.PROMOTED
    assert world.service.started == ["bes-1"]


def test_the_same_event_twice_gives_one_job_and_a_new_version_a_second(world: World) -> None:
    job_id = world.drop("a.csv")
    world.flows.intake.see("income/a.csv")
    assert world.take_up() == []
    assert world.drop("a.csv", b"age\n2\n") != job_id
    assert len(world.service.started) == 2


def test_an_event_that_comes_again_before_the_promotion_is_settled_hides_nothing(world: World) -> None:
    """The outcome is on the job before the champion's record is settled; the mark must stay until then."""
    job_id = world.accepted()
    stored = world.records.jobs.require(job_id)
    promoting = world.records.jobs.save(stored, stored.record.move_to(JobState.PROMOTING, world.clock.now()))
    world.records.jobs.save(promoting, promoting.record.end(JobState.PROMOTED, world.clock.now(), "entry 2"))
    world.flows.intake.see("income/a.csv")
    world.take_up()
    assert world.records.jobs.active() == [job_id]


def test_the_service_is_left_alone_for_as_long_as_it_asks(world: World) -> None:
    world.service.fails = [ServiceUnavailable("503", retry_after=120.0)]
    job_id = world.drop("a.csv")
    world.clock.sleep(110)
    world.flows.training.poll()
    assert world.service.created == []
    world.clock.sleep(11)
    world.flows.training.poll()
    assert world.service.created == ["bes-1"]
    assert world.records.jobs.require(job_id).record.trouble is None


def test_a_refused_key_waits_for_a_human_and_goes_on_when_it_is_corrected(world: World) -> None:
    world.service.fails = [AccessRefused("401")] * 3
    job_id = world.drop("a.csv")
    assert state(world, job_id) is JobState.RECEIVED
    world.run(lambda: state(world, job_id) is JobState.PROMOTED)
    assert state(world, job_id) is JobState.PROMOTED


def test_trouble_that_does_not_end_is_given_up_after_as_long_as_a_training_may_take(world: World) -> None:
    training = world.pipelines["income"].training
    world.service.fails = [ServiceUnavailable("503")] * 1000
    job_id = world.drop("a.csv")
    world.run(lambda: state(world, job_id) is not JobState.RECEIVED, minutes=60 * 24)
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.TIMED_OUT
    assert (job.reason or "").endswith("503")
    assert timedelta() <= world.clock.now() - job.received_at - timedelta(seconds=training.waiting + training.running)
    assert world.records.jobs.active() == []


def test_time_without_errors_does_not_count_as_time_with_errors(world: World) -> None:
    """A key that a human corrected, a queue and a training: one failed call after them is the first of its row."""
    training = world.pipelines["income"].training
    world.service.fails = [AccessRefused("401")] * 40
    job_id = world.drop("a.csv")
    world.run(lambda: state(world, job_id) is JobState.SUBMITTED or not world.service.fails, minutes=60 * 9)
    world.service.answer = Running()
    world.run(lambda: state(world, job_id) is JobState.TRAINING)
    world.flows.training.poll()
    world.clock.sleep(training.waiting)
    world.service.fails = [ServiceUnavailable("503")]
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TRAINING
    world.service.answer = None
    world.run(lambda: state(world, job_id) is JobState.PROMOTED)
    assert state(world, job_id) is JobState.PROMOTED


def test_what_the_service_refuses_for_good_fails_at_once_with_its_reason(world: World) -> None:
    world.service.fails = [ServiceRefused("400 InvalidInputNames", 400)]
    job = world.records.jobs.require(world.drop("a.csv")).record
    assert job.state is JobState.FAILED
    assert job.reason == "400 InvalidInputNames"
    assert world.records.jobs.active() == []


def test_waiting_and_running_have_separate_deadlines(world: World) -> None:
    waiting, running = (world.pipelines["income"].training.waiting, world.pipelines["income"].training.running)
    world.service.answer = NotStarted()
    job_id = world.drop("a.csv")
    world.clock.sleep(waiting - 60)
    world.flows.training.poll()
    world.service.answer = Running()
    world.flows.training.poll()
    world.clock.sleep(running - 60)
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TRAINING  # together they took longer than either may alone
    world.clock.sleep(120)
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TIMED_OUT
    assert world.service.cancelled == []


def test_a_job_that_never_leaves_the_queue_times_out(world: World) -> None:
    world.service.answer = NotStarted()
    job_id = world.drop("a.csv")
    world.clock.sleep(world.pipelines["income"].training.waiting + 60)
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TIMED_OUT


def test_a_job_that_waits_again_after_it_ran_has_time_for_both(world: World) -> None:
    training = world.pipelines["income"].training
    job_id = world.drop("a.csv")
    world.service.answer = Running()
    world.flows.training.poll()
    world.service.answer = NotStarted()
    for seconds, expected in ((training.patience - 60, JobState.TRAINING), (120, JobState.TIMED_OUT)):
        world.clock.sleep(seconds)
        world.flows.training.poll()
        assert state(world, job_id) is expected


def test_a_late_bes_job_is_cancelled_where_the_pipeline_says_so(world: World) -> None:
    income = world.pipelines["income"]
    training = msgspec.structs.replace(income.training, cancel_late=True)
    world.alone["income"] = msgspec.structs.replace(income, training=training)
    world.service.answer = NotStarted()
    job_id = world.drop("a.csv")
    world.clock.sleep(training.waiting + 60)
    world.flows.training.poll()
    assert state(world, job_id) is JobState.TIMED_OUT
    assert world.service.cancelled == ["bes-1"]


def test_a_model_in_the_place_of_the_evaluation_is_not_read_to_its_end(world: World) -> None:
    world.reader.evaluation = b"0" * (2 << 20)
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    assert state(world, job_id) is JobState.FAILED
    assert "is its port the model's?" in (world.records.jobs.require(job_id).record.reason or "")


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (Failed("All rows must have same number of elements"), JobState.FAILED),
        (Cancelled(), JobState.CANCELLED),
        (Finished({"output2": BlobReference("https://store.example/", "x.csv")}), JobState.FAILED),
    ],
)
def test_a_bes_job_that_gives_no_model_ends_the_job(world: World, answer: object, ends: JobState) -> None:
    world.service.answer = answer  # type: ignore[assignment]
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    assert state(world, job_id) is ends


def test_a_missing_output_names_those_that_are_there(world: World) -> None:
    world.service.answer = Finished({"output2": BlobReference("https://store.example/", "x.csv")})
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    assert (
        world.records.jobs.require(job_id).record.reason
        == "The BES job has no output 'output1'; its outputs are: output2"
    )


def test_a_model_that_the_gate_refuses_is_kept_and_not_promoted() -> None:
    world = World(rules=("AUC >= champion + 0.1",))
    job_id = world.accepted()
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.REJECTED
    assert job.reason == "AUC 0.9500 fails AUC >= champion + 0.1 = 1.0000; 0.9000 is the baseline's, from other rows"
    assert job.model is not None
    assert job.model.sha256 in world.models.kept


def test_a_lost_promotion_message_is_sent_again_and_not_at_every_poll(world: World) -> None:
    job_id = world.drop("a.csv")
    asked = [(world.clock.now(), request) for _ in range(20) for request in _poll_after(world, 15)]
    assert {(request.job, request.action) for _, request in asked} == {(job_id, Command.PROMOTE)}
    times = [time for time, _ in asked]
    assert all(later - earlier >= timedelta(minutes=2) for earlier, later in itertools.pairwise(times))
    assert len(times) > 1


def test_one_broken_job_does_not_keep_the_others_from_being_polled(world: World) -> None:
    world.documents.contents["active/jobs/broken.json"] = b"{"
    world.documents.versions["active/jobs/broken.json"] = 1
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    assert state(world, job_id) is JobState.ACCEPTED


def test_a_run_that_died_after_the_mark_is_taken_up_by_the_poll(world: World) -> None:
    job_id = world.drop("a.csv")
    del world.documents.contents[f"jobs/{job_id}.json"]
    world.run(lambda: world.records.jobs.load(job_id) is not None and state(world, job_id) is JobState.PROMOTED)
    assert state(world, job_id) is JobState.PROMOTED


def _looks(world: World, hours: float) -> list[datetime]:
    """Poll every 15 seconds in one process; return when the service was asked for a training."""
    looks, flows = list[datetime](), world.flows
    for _ in range(round(hours * 240)):
        before = len(world.service.asked)
        flows.training.poll()
        looks += [world.clock.now()] * (len(world.service.asked) - before)
        world.clock.sleep(15)
    return looks


def test_a_training_that_runs_for_hours_is_asked_for_less_often(world: World) -> None:
    world.service.answer = Running()
    job_id = world.drop("a.csv")
    training = world.alone["income"].training
    world.alone["income"] = msgspec.structs.replace(
        world.alone["income"], training=msgspec.structs.replace(training, running=Duration(20 * 3600))
    )
    begun = world.clock.now()
    looks = _looks(world, hours=4)
    assert 160 <= len(looks) <= 200  # of 960 polls
    for before, after in itertools.pairwise(looks):
        gap, age = (after - before).total_seconds(), (after - begun).total_seconds()
        assert gap <= 15 + max(15.0, min(age / 20, 120.0))
    world.service.answer = None
    ended = world.clock.now()
    world.run(lambda: state(world, job_id) is JobState.PROMOTED)
    assert world.clock.now() - ended <= timedelta(minutes=3)


def test_long_trainings_are_asked_for_in_the_same_polls() -> None:
    since = [START + timedelta(seconds=7.0 * number) for number in range(100)]
    polls = [START + timedelta(hours=2, seconds=15.0 * number) for number in range(8 * 3)]
    asked = [{now for before, now in itertools.pairwise(polls) if is_due(each, before, now)} for each in since]
    assert asked.count(asked[0]) == len(asked) and len(asked[0]) == 2


def test_a_training_that_met_an_error_is_asked_for_when_its_next_try_is_due(world: World) -> None:
    world.service.answer = Running()
    world.drop("a.csv")
    flows = world.flows
    flows.training.poll()
    world.clock.sleep(3600 + 119 - world.clock.now().timestamp() % 120)  # the last second of a period
    flows.training.poll()
    world.service.fails = [ServiceUnavailable("GET got no answer")]
    world.clock.sleep(120)
    flows.training.poll()
    [job_id] = world.records.jobs.active()
    assert world.records.jobs.require(job_id).record.trouble
    world.clock.sleep(30)
    flows.training.poll()
    assert world.records.jobs.require(job_id).record.trouble is None


def _poll_after(world: World, seconds: float) -> list[object]:
    world.clock.sleep(seconds)
    return list(world.flows.training.poll())
