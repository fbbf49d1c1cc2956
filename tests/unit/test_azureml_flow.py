"""A retraining with Azure Machine Learning v2, over fakes: the app names the job, reads metrics, keeps a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from shared.base.errors import BadConfiguration, BadEvaluation, RetrainingError, ServiceUnavailable
from shared.domain.azureml import (
    AzureMLOnlineTarget,
    AzureMLTraining,
    ChampionScored,
    OnlineScoring,
    ScoredOutput,
    ShareSettings,
)
from shared.domain.evaluation import Kind
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import JobState, Model, RetrainingJob
from shared.domain.logged_metrics import read_metrics
from shared.domain.messages import Command, Request
from shared.domain.ports import BesJob, BlobReference, Failed, Finished, Running
from shared.domain.rows import Rows
from shared.domain.values import WorkspaceId
from shared.flows import judging
from tests.support.fakes import FakeService, FakeStagedEndpoint, World

WORKSPACE = WorkspaceId("/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w")
STORE = "https://store.example/"
TRAINING = AzureMLTraining(workspace=WORKSPACE, component="train:1", compute="cpu", datastore="batches")
SCORED = ScoredOutput(label="prediction", probability="p1")
CHAMPION = ChampionScored(datastore="models")
METRICS = {"roc_auc": "0.95", "training_roc_auc": "1.0"}


class Jobs(FakeService):
    """A workspace that takes the app's names. A job runs once it is made, and a name finds the job that has it."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics: Mapping[str, str] = METRICS
        self.left_out: set[str] = set()
        self.running: set[str] = set()

    def submit(
        self, name: str, data: BlobReference | None, parameters: Mapping[str, str], champion: Model | None = None
    ) -> str:
        lost, self.lose = self.lose, []
        if name not in self.created:
            super().submit(name, data, parameters, champion)
            self.created[-1] = name
            self.started.append(name)
        self.lose = lost
        self._lose("submit")
        return name

    def start(self, bes_job: str) -> None:
        """A job runs once it is made."""

    def status(self, bes_job: str) -> BesJob:
        self._fail()
        if self.answer is not None or bes_job in self.running:
            return self.answer or Running()
        scored = {name: f"batches/income/{bes_job}/{name}/scored.csv" for name in ("scored", "champion_scored")}
        outputs = {"model": f"batches/income/{bes_job}/model/", **scored}
        return Finished({name: BlobReference(STORE, place) for name, place in outputs.items()}, self.metrics)

    def statuses(self, bes_jobs: Sequence[str]) -> Mapping[str, BesJob | RetrainingError]:
        return {name: each for name, each in super().statuses(bes_jobs).items() if name not in self.left_out}


def make(rules: tuple[str, ...] = ("AUC >= 0.9",), scored: ScoredOutput | None = None, **facts: Any) -> World:
    world = World(staged=True)
    world.service = Jobs()
    del world.endpoints["two"]
    target = AzureMLOnlineTarget(
        name="one", workspace=WORKSPACE, endpoint="one", model="one", datastore="models", scoring=OnlineScoring()
    )
    world.alone["income"] = msgspec.structs.replace(
        world.alone["income"],
        training=msgspec.structs.replace(TRAINING, scored=scored, **facts),
        gate=Gate(rules=[parse_rule(rule) for rule in rules], label="label", baseline={"AUC": 0.9}),
        targets=[target],
        share=ShareSettings(),
    )
    return world


@pytest.fixture
def world() -> World:
    return make()


def jobs_of(world: World) -> Jobs:
    assert isinstance(world.service, Jobs)
    return world.service


def job(world: World, job_id: str) -> RetrainingJob:
    return world.records.jobs.require(job_id).record


def judged(world: World, name: str = "a.csv") -> RetrainingJob:
    """Return a job after its results were judged."""
    job_id = world.drop(name)
    world.flows.training.poll()
    return job(world, job_id)


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


def scored_rows(count: int, names: str = "age,label,prediction,p1") -> bytes:
    return f"{names}\n".encode() + b"".join(f"{n},{n % 2},{n % 2},0.{n % 2}5\n".encode() for n in range(count))


class Answering:
    """Answers in the place of an endpoint's, which notes the pieces it was asked for."""

    def __init__(self, world: World) -> None:
        self.pieces: list[int] = []
        self.asked: set[str] = set()
        self.by_share = 0  #: calls that go to any of the deployments
        self.seconds = 0.0
        endpoint = world.endpoints["one"]
        assert isinstance(endpoint, FakeStagedEndpoint)
        self._world, self._endpoint = world, endpoint
        endpoint.score_staged = self.score_staged  # type: ignore[method-assign]
        endpoint.score = self.score  # type: ignore[method-assign]

    def score_staged(self, model: Model, rows: Rows) -> Rows:
        self.asked.add(model.sha256)
        self._world.clock.sleep(self.seconds)
        self.pieces.append(len(rows.values))
        self._endpoint.proven.add(model.sha256)
        return self._answers(model, rows)

    def score(self, rows: Rows) -> Rows:
        self.by_share += 1
        model = self._world.models.identify(self._endpoint.model())
        assert model is not None
        return self._answers(model, rows)

    def _answers(self, model: Model, rows: Rows) -> Rows:
        last = 5 if self._world.models.kept[model.sha256].startswith(b"batches/") else 4  # as the training gave it
        answers = [[str(int(age) % 2), f"0.{int(age) % 2}{last}"] for [age] in rows.values]
        return Rows(["Scored Labels", "Scored Probabilities"], answers)


def compared(count: int, champion: ChampionScored | None = None) -> tuple[World, Answering]:
    world = make(("AUC >= champion",), SCORED, champion=champion)
    world.reader.evaluation = scored_rows(count)
    world.reader.of_champion = world.reader.evaluation.replace(b"5\n", b"4\n")
    return world, Answering(world)


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


def test_a_column_that_is_not_there_ends_the_job_with_the_columns_that_are() -> None:
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
    answering.seconds = judging.SCORE_SECONDS * 0.6
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
