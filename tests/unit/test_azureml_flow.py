"""A retraining with Azure Machine Learning v2, over fakes: the app names the job, reads metrics, keeps a folder."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shared.base.errors import BadEvaluation, ServiceUnavailable
from shared.domain.azureml import (
    ChampionScored,
)
from shared.domain.evaluation import Kind
from shared.domain.jobs import JobState
from shared.domain.logged_metrics import read_metrics
from shared.domain.messages import Command, Request
from shared.domain.ports import Failed, Running
from tests.support.azureml_retraining import (
    CHAMPION,
    compared,
    job,
    jobs_of,
    judged,
    make,
)
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    return make()


def test_the_app_names_the_job_and_copies_its_data_even_of_one_file(world: World) -> None:
    job_id = world.drop("a.csv")
    assert jobs_of(world).created == [job_id]
    assert jobs_of(world).data == [f"batches/income/{job_id}.csv"]
    assert world.data.joined[f"income/{job_id}.csv"] == world.data.contents["income/a.csv"]
    assert job(world, job_id).joined == f"income/{job_id}.csv"


def test_what_was_copied_is_trained_on_though_the_file_is_overwritten(world: World) -> None:
    jobs_of(world).lose = ["submit"]
    job_id = world.drop("a.csv")
    assert job(world, job_id).state is JobState.RECEIVED
    world.data.put("income/a.csv", b"age\n99\n")
    world.run(lambda: job(world, job_id).state is JobState.PROMOTED)
    assert job(world, job_id).state is JobState.PROMOTED
    assert jobs_of(world).created == [job_id]  # the same name finds the job whose answer was lost
    assert b"99" not in world.data.joined[f"income/{job_id}.csv"]


def test_a_job_that_may_run_is_cancelled_by_its_name_when_the_person_cancels(world: World) -> None:
    jobs_of(world).lose = ["submit"]
    job_id = world.drop("a.csv")
    request = Request(pipeline="income", action=Command.CANCEL, job=job_id, by="me")
    world.flows.requests.carry_out(request, "message")
    assert job(world, job_id).state is JobState.CANCELLED
    assert jobs_of(world).cancelled == [job_id]


def test_a_job_that_may_run_is_cancelled_by_its_name_when_it_is_given_up(world: World) -> None:
    jobs_of(world).fails = [ServiceUnavailable("PUT got no answer")] * 1000
    job_id = world.drop("a.csv")
    world.run(lambda: job(world, job_id).final, minutes=24 * 60)
    assert job(world, job_id).state is JobState.TIMED_OUT
    assert jobs_of(world).cancelled == [job_id]


def test_a_job_that_the_service_ended_is_made_again_under_another_name(world: World) -> None:
    jobs_of(world).answer = Failed("the node was lost", interrupted=True)
    job_id = world.drop("a.csv")
    for _ in range(3):
        world.flows.training.poll()
    assert jobs_of(world).created == [job_id, f"{job_id}-again"]


def test_a_job_that_a_search_leaves_out_is_asked_for_by_itself(world: World) -> None:
    jobs_of(world).answer = Running()
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    jobs_of(world).answer, jobs_of(world).left_out = None, {job_id}
    world.flows.training.poll()
    assert job(world, job_id).evaluation is not None


def test_the_run_s_metrics_are_the_evaluation_and_the_model_is_a_folder(world: World) -> None:
    found = judged(world)
    assert found.evaluation is not None
    assert found.evaluation.metrics == {"AUC": "0.95"}
    assert found.model is not None
    assert found.model.folder
    assert world.models.folders[found.model.sha256].keys() == {"model"}
    world.run(lambda: job(world, found.id).final)
    assert job(world, found.id).state is JobState.PROMOTED


@pytest.mark.parametrize(
    ("metrics", "state", "said"),
    [
        (
            {"training_roc_auc": "1.0"},
            JobState.FAILED,
            "training_roc_auc is of the rows that it was trained on; name it",
        ),
        (
            {},
            JobState.FAILED,
            "The run has no metric that is AUC; name it in training.metrics (AUC: NAME); it has: none",
        ),
        ({"roc_auc": "NaN"}, JobState.REJECTED, "AUC nan fails AUC >= 0.9"),
        ({"roc_auc": "high"}, JobState.FAILED, "The run's roc_auc is 'high', which is not a number"),
        ({"roc_auc": "0.8"}, JobState.REJECTED, "AUC 0.8000 fails AUC >= 0.9"),
    ],
)
def test_metrics_that_are_missing_or_bad_end_the_job_with_the_reason(
    world: World, metrics: Mapping[str, str], state: JobState, said: str
) -> None:
    jobs_of(world).metrics = metrics
    found = judged(world)
    assert found.state is state
    assert said in (found.reason or "")


def test_the_columns_of_the_scored_rows_get_the_names_that_the_gate_knows() -> None:
    world, answering = compared(40)
    found = judged(world)
    assert found.held_out is not None
    kept = world.records.answers.rows(found.held_out.digest)
    assert kept is not None
    assert kept.columns == ["age", "label", "Scored Labels", "Scored Probabilities"]
    assert found.verdict is not None
    assert found.verdict.same_rows == 40
    assert answering.pieces == [40]
    assert len(answering.asked) == 1  # the live model, whatever its share
    assert answering.by_share == 0


@pytest.mark.parametrize(
    ("logged", "found"),
    [
        ({"roc_auc": "0.9"}, "0.9"),
        ({"roc_auc_score_X_test": "0.9", "training_roc_auc": "1"}, "0.9"),
        ({"roc_auc_score-2_X_test": "0.9"}, "0.9"),
        ({"test_roc_auc": "0.9", "val_roc_auc": "0.9"}, "0.9"),
        ({"roc_auc": "0.9", "test_roc_auc": "0.8"}, "0.9"),
        ({"roc_auc_score_X_train": "1"}, None),
        ({"training_roc_auc": "1"}, None),
        ({"training_roc_auc_score_test": "1"}, None),
        ({"my_roc_auc": "1", "roc_auc_extra": "1"}, None),
    ],
)
def test_a_name_of_held_out_rows_is_found_and_one_of_training_rows_is_not(
    logged: Mapping[str, str], found: str | None
) -> None:
    assert read_metrics(logged, {}, [], Kind.TWO_CLASS).metrics.get("AUC") == found


def test_metrics_are_read_by_the_names_that_are_given_and_two_that_fit_are_not_guessed() -> None:
    logged = {"training_roc_auc": "1.0", "accuracy": "0.8", "f1_score": "Infinity"}
    read = read_metrics(logged, {"AUC": "training_roc_auc"}, ["AUC"], Kind.TWO_CLASS)
    assert read.metrics == {"AUC": "1.0", "Accuracy": "0.8", "F-Score": "Infinity"}
    regression = {"mae": "1", "root_mean_squared_error": "2", "r2_score": "0.5", "mean_squared_error": "4"}
    assert list(read_metrics(regression, {}, [], Kind.REGRESSION).metrics) == [
        "Mean Absolute Error",
        "Root Mean Squared Error",
        "Coefficient of Determination",
    ]
    with pytest.raises(
        BadEvaluation, match="several metrics that could be AUC: roc_auc_score_X_test, test_roc_auc; name"
    ):
        read_metrics({"test_roc_auc": "0.9", "roc_auc_score_X_test": "0.8"}, {}, ["AUC"], Kind.TWO_CLASS)
    with pytest.raises(
        BadEvaluation, match=r"no metric 'ROC_AUC', which training.metrics names for AUC; 'roc_auc' diff"
    ):
        read_metrics({"roc_auc": "0.9"}, {"AUC": "ROC_AUC"}, [], Kind.TWO_CLASS)


def test_studio_reads_one_file_where_it_was_dropped() -> None:
    world = World()
    world.drop("a.csv")
    assert world.service.data == ["training-data/income/a.csv"]


def write_outputs(world: World, name: str) -> list[str]:
    """Write what a job writes; return the names."""
    places = [f"income/{name}/{place}" for place in ("model/MLmodel", "model/data/a", "scored/scored.csv")]
    for place in places:
        world.data.joined[place], world.data.times[place] = b"x", world.clock.now()
    return places


def test_what_a_judged_job_wrote_is_removed_after_a_week_and_its_data_stays() -> None:
    world, _ = compared(40)
    found = judged(world)
    written = {*write_outputs(world, found.id), *write_outputs(world, f"{found.id}-again")}
    others = (
        "first/model/MLmodel",
        f"income/{found.id}/more/notes.txt",
        f"income/{found.id}/1.csv",
        "income/x/model/a",
    )
    for place in others:
        world.data.joined[place] = b"x"
    world.clock.sleep(6 * 86400)
    world.flows.retention.run()
    assert written <= world.data.joined.keys()
    world.clock.sleep(2 * 86400)
    world.flows.retention.run()
    assert world.data.joined.keys() == {f"income/{found.id}.csv", *others}


def test_what_a_job_wrote_stays_until_its_results_are_kept(world: World) -> None:
    jobs_of(world).answer = Running()
    job_id = world.drop("a.csv")
    world.flows.training.poll()
    written = {*write_outputs(world, job_id)}
    world.clock.sleep(30 * 86400)
    world.flows.retention.run()
    assert written <= world.data.joined.keys()


def test_no_folder_of_a_studio_training_is_taken_for_what_a_job_wrote() -> None:
    world = World()
    world.data.joined["income/a-job/model/a.csv"] = b"x"
    world.clock.sleep(30 * 86400)
    world.flows.retention.run()
    assert "income/a-job/model/a.csv" in world.data.joined


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_a_death_at_any_write_leaves_one_job_at_the_service_and_one_promotion(champion: ChampionScored | None) -> None:
    for writes in range(100):
        world, answering = compared(600, champion)
        path = world.put("a.csv")
        world.documents.die_after = writes
        try:
            world.flows.intake.see(path)
            world.take_up()
            for _ in range(3):
                world.flows.poll()
            break
        except KeyboardInterrupt:
            world.documents.die_after = None
        world.flows.intake.see(path)  # the host delivers the event again
        world.run(lambda world=world: len(ended(world)) == 1)  # type: ignore[misc]
        assert ended(world) == [JobState.PROMOTED], f"death after write {writes}"
        assert len(set(jobs_of(world).created)) == len(jobs_of(world).created) == 1
        assert jobs_of(world).cancelled == []
        assert {500, 100} & set(answering.pieces) == (set() if champion else {500, 100})
        assert len(world.models.kept) == 2  # the live one and the candidate
    assert writes > 5


def ended(world: World) -> list[JobState]:
    names = [name[5:-5] for name in world.documents.contents if name.startswith("jobs/")]
    found = [job(world, name) for name in names]
    return [each.state for each in found if each.final]
