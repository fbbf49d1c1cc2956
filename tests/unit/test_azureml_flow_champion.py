"""The champion of a retraining with Azure Machine Learning v2: who scores its rows, and what if they differ."""

from __future__ import annotations

import msgspec
import pytest

from shared.base.errors import BadConfiguration, ServiceUnavailable
from shared.domain.jobs import JobState, Model
from shared.domain.ports import Failed, Running
from shared.domain.rows import Rows
from shared.flows import by_request
from tests.support.azureml_retraining import (
    CHAMPION,
    compared,
    job,
    jobs_of,
    judged,
    make,
    scored_rows,
)
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    return make()


def test_a_missing_column_ends_the_job_with_a_list_of_the_known_columns() -> None:
    world, _ = compared(1)
    world.reader.evaluation = scored_rows(4, names="age,label,predicted,p1")
    found = judged(world)
    assert found.state is JobState.FAILED
    assert found.reason == (
        "The scored rows have no column 'prediction', which training.scored names; their columns are: "
        "age, label, predicted, p1"
    )


def test_the_champion_is_asked_in_pieces_and_a_busy_endpoint_is_asked_for_the_rest_later() -> None:
    world, answering = compared(2300)
    job_id = world.drop("a.csv")
    score, calls = answering.score_staged, 0

    def busy_at_the_third(model: Model, rows: Rows) -> Rows:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ServiceUnavailable("POST score answered 429")
        return score(model, rows)

    world.endpoints["one"].score_staged = busy_at_the_third  # type: ignore[attr-defined]
    world.flows.training.poll()
    found = job(world, job_id)
    assert found.state is JobState.JUDGING
    assert found.trouble == "POST score answered 429"
    world.run(lambda: job(world, job_id).state is not JobState.JUDGING)
    assert answering.pieces == [500, 500, 500, 500, 300]  # nothing is asked twice
    found = job(world, job_id)
    assert found.verdict is not None
    assert found.verdict.same_rows == 2300


def test_a_step_does_not_ask_for_longer_than_a_poll_may_take() -> None:
    world, answering = compared(2300)
    answering.seconds = by_request.SCORE_SECONDS * 0.6
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    assert answering.pieces == [500, 500]
    assert job(world, job_id).state is JobState.JUDGING
    assert job(world, job_id).trouble is None
    world.run(lambda: job(world, job_id).state is not JobState.JUDGING)
    assert answering.pieces == [500, 500, 500, 500, 300]


def live(world: World) -> str:
    model = world.models.identify(world.endpoints["one"].model())
    assert model is not None
    return model.sha256


def test_a_training_that_scores_the_champion_too_leaves_nothing_to_ask_the_endpoint() -> None:
    world, answering = compared(2300, CHAMPION)
    found = judged(world)
    assert jobs_of(world).champions == [live(world)]
    assert found.champion is not None and found.champion.sha256 == live(world)
    assert found.verdict is not None and found.held_out is not None
    assert (found.verdict.champion, found.verdict.same_rows) == (live(world), 2300)
    assert answering.pieces == []
    answers = world.records.answers.load(found.held_out.digest, live(world))
    assert answers is not None
    assert (answers.columns, answers.values[1]) == (["Scored Labels", "Scored Probabilities"], ["1", "0.14"])
    notes = [step.note for step in found.steps]
    assert f"its training gets the champion {live(world)[:12]}" in notes


def test_a_champion_that_came_while_a_job_trained_is_asked_through_its_endpoint() -> None:
    world, answering = compared(600, CHAMPION)
    first, second = world.drop("a.csv"), world.drop("b.csv")
    before = live(world)
    jobs_of(world).running.add(second)
    world.run(lambda: job(world, first).final)
    jobs_of(world).running.clear()
    world.run(lambda: job(world, second).final)
    assert jobs_of(world).champions == [before, before]
    winner = job(world, second)
    assert winner.champion is not None and winner.champion.sha256 == before
    assert job(world, first).state is JobState.PROMOTED
    assert winner.verdict is not None and job(world, first).model is not None
    assert winner.verdict.champion == job(world, first).model.sha256  # type: ignore[union-attr]
    assert 500 in answering.pieces


def test_a_job_that_is_made_again_gets_the_champion_of_that_time() -> None:
    world, _ = compared(40, CHAMPION)
    jobs_of(world).answer = Running()
    job_id = world.drop("a.csv")
    before = live(world)
    world.flows.training.poll()
    jobs_of(world).answer = Failed("the service stopped", interrupted=True)
    world.flows.training.poll()
    jobs_of(world).answer = None
    world.run(lambda: job(world, job_id).final)
    assert jobs_of(world).champions == [before, before]
    assert [step.note[:31] for step in job(world, job_id).steps].count("its training gets the champion ") == 2


def test_a_job_waits_for_the_live_model_that_its_training_gets() -> None:
    world, _ = compared(40, CHAMPION)
    problem = BadConfiguration("The endpoint one has no live deployment")
    world.endpoints["one"].errors["model"] = [problem]  # type: ignore[attr-defined]
    job_id = world.drop("a.csv")
    found = job(world, job_id)
    assert (found.state, found.trouble) == (JobState.RECEIVED, str(problem))
    assert jobs_of(world).created == []
    world.run(lambda: job(world, job_id).final)
    assert jobs_of(world).champions == [live_at_submit(world, job_id)]


def test_a_lost_answer_to_submit_gives_the_same_champion_again() -> None:
    world, _ = compared(40, CHAMPION)
    world.service.lose = ["submit"]
    job_id = world.drop("a.csv")
    world.run(lambda: job(world, job_id).final)
    assert jobs_of(world).created == [job_id]
    assert jobs_of(world).champions == [live_at_submit(world, job_id)]


def live_at_submit(world: World, job_id: str) -> str:
    champion = job(world, job_id).champion
    assert champion is not None
    return champion.sha256


def test_a_job_without_a_recorded_champion_is_judged_by_the_endpoint() -> None:
    world, answering = compared(40)
    jobs_of(world).answer = Running()
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    training = msgspec.structs.replace(world.alone["income"].training, champion=CHAMPION)
    world.alone["income"] = msgspec.structs.replace(world.alone["income"], training=training)
    jobs_of(world).answer = None
    world.flows.training.poll()
    assert job(world, job_id).verdict is not None
    assert answering.pieces == [40]


def test_rows_of_the_champion_that_are_others_end_the_job_with_the_difference() -> None:
    world, _ = compared(40, CHAMPION)
    world.reader.of_champion = scored_rows(39)
    found = judged(world)
    assert found.state is JobState.FAILED
    assert found.reason == (
        "The output of training.champion.scored has other rows than the output of training.scored: "
        "39 rows in place of 40; have the training write the same rows in the same order with both models"
    )
