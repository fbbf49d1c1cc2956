"""Many held-out rows are scored by a BES job of the champion's service, which may fail, hang or be lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import HeldOut, JobState
from shared.domain.ports import BesJob, Failed, NotStarted, Running
from shared.domain.rows import Rows
from shared.flows import judging
from tests.support.fakes import World

TABLE = Rows(
    ["age", "label", "Scored Labels", "Scored Probabilities"],
    [[str(number), str(number % 2), str(number % 2), str(number % 2)] for number in range(40)],
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in which even some rows are many, and a job that is to be judged on them."""
    monkeypatch.setattr(judging, "BY_REQUEST", 1)
    world = World(gate=Gate(rules=[parse_rule("AUC >= champion")], label="label"))
    world.service.answer = Running()
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    stored = world.records.jobs.require(job_id)
    digest = world.records.answers.keep_rows(TABLE).digest
    model, evaluation = world.models.keep(iter([b"new"])), judging.read_evaluation(b"AUC\n0.9\n")
    facts = {"model": model, "evaluation": evaluation, "held_out": HeldOut(digest=digest, rows=40, of=40)}
    world.records.jobs.save(stored, stored.record.move_to(JobState.JUDGING, world.clock.now(), **facts))
    return world


def polled(world: World, hours: float) -> None:
    """Poll every five minutes for so long."""
    for _ in range(int(hours * 12)):
        world.flows.training.poll()
        world.clock.sleep(300)


def ended(world: World) -> tuple[JobState, str]:
    [job_id] = [name[5:-5] for name in world.documents.contents if name.startswith("jobs/")]
    job = world.records.jobs.require(job_id).record
    return job.state, job.reason or ""


def test_a_scoring_that_fails_each_time_ends_the_job_and_says_why(world: World) -> None:
    world.scoring.answer = Failed("the module said no")
    polled(world, 5)
    state, reason = ended(world)
    assert state is JobState.FAILED
    assert reason == "The champion could not be scored in 5 tries: The champion's scoring failed: the module said no"
    assert len(world.scoring.created) == judging.IN_VAIN
    assert len(set(world.scoring.names)) == judging.IN_VAIN  # each try is its own run
    assert world.records.jobs.active() == []


@pytest.mark.parametrize("seen", [NotStarted(), Running()])
def test_a_scoring_that_never_ends_is_cancelled_and_does_not_hold_the_pipeline_for_ever(
    world: World, seen: BesJob
) -> None:
    world.scoring.answer = seen
    polled(world, 55)
    assert ended(world)[0] is JobState.FAILED
    assert "had not scored the champion's rows after 10:00:00" in ended(world)[1]
    assert world.scoring.cancelled == world.scoring.created


def test_a_scoring_that_fails_once_is_done_again(world: World) -> None:
    world.scoring.answer = Failed("for once")
    world.flows.training.poll()
    assert len(world.scoring.created) == 1
    world.scoring.answer = Running()
    polled(world, 1)
    assert len(world.scoring.started) == 2
    assert ended(world) == (JobState.JUDGING, "")
