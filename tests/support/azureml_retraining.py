"""A pipeline of Azure Machine Learning v2 over fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shared.base.errors import RetrainingError
from shared.domain.azureml import (
    AzureMLOnlineTarget,
    AzureMLTraining,
    ChampionScored,
    OnlineScoring,
    ScoredOutput,
    ShareSettings,
)
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import Model, RetrainingJob
from shared.domain.ports import BesJob, BlobReference, Finished, Running
from shared.domain.rows import Rows
from shared.domain.values import WorkspaceId
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
