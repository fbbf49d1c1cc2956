"""The world of the pure core in memory, with the ways in which it fails. The only fakes are here and in fake_*.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from shared.base.errors import ServiceUnavailable
from shared.base.secret import Secret
from shared.domain.arrivals import ArrivalSettings
from shared.domain.checks import Checks, Column
from shared.domain.fleets import Fleet, Pipelines
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.pipelines import Pipeline
from shared.domain.ports import (
    BlobReference,
)
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, ScoringService, TrainingService
from shared.domain.values import Address
from shared.flows import Flows
from shared.flows.retention import KeepRule
from shared.store import Records
from tests.support.fake_services import FakeEndpoint, FakeReader, FakeService, FakeStagedEndpoint
from tests.support.fake_storage import Clock, FakeData, FakeDocuments, FakeModels


class World:
    """The flows over fakes: one pipeline `income` with two targets; `facts` are those of its configuration.

    `staged`: the targets make a model ready beside the live one, and give it a share of the calls.
    """

    def __init__(
        self, rules: tuple[str, ...] = ("AUC >= 0.9",), baseline: float = 0.9, *, staged: bool = False, **facts: Any
    ) -> None:
        self.clock = Clock()
        self.documents = FakeDocuments(self.clock.now)
        self.models = FakeModels(self.clock)
        self.data, self.reader = FakeData(), FakeReader()
        self.data.alive = self.documents.live
        self.service, self.scoring = FakeService(), FakeService()
        self.records = Records(self.documents)
        deployed = BlobReference("https://other.example/", "first.ilearner")
        self.staged = staged
        self.endpoints = {name: self._endpoint(deployed) for name in ("one", "two")}
        self.alone = {"income": msgspec.structs.replace(_pipeline(rules, baseline), **facts)}
        self.fleets: dict[str, Fleet] = {}
        self.of_members: dict[str, dict[str, FakeEndpoint]] = {}

    @property
    def pipelines(self) -> Pipelines:
        return Pipelines(self.alone, self.fleets, self.records.arrivals.known)

    def endpoints_of(self, pipeline: Pipeline) -> Mapping[str, FakeEndpoint]:
        """Return the pipeline's endpoints; a member of a fleet has one of its own."""
        if pipeline.fleet is None:
            return self.endpoints
        deployed = BlobReference("https://other.example/", "first.ilearner")
        made = {target.name: self._endpoint(deployed) for target in pipeline.targets}
        return self.of_members.setdefault(pipeline.name, made)

    def _endpoint(self, deployed: BlobReference) -> FakeEndpoint:
        if self.staged:
            return FakeStagedEndpoint(self.clock, self.models, deployed, self.documents.live)
        return FakeEndpoint(self.clock, self.models, deployed)

    @property
    def flows(self) -> Flows:
        """The app's flows. They are made at each use, as after a restart: nothing is kept but the records."""
        return Flows(self, self.clock)

    @property
    def keep_rule(self) -> KeepRule:
        return KeepRule(entries=2)

    def reader_of(self, pipeline: Pipeline) -> FakeReader:  # noqa: ARG002
        return self.reader

    def training_service(self, pipeline: Pipeline) -> FakeService:  # noqa: ARG002
        return self.service

    def scoring_service(self, pipeline: Pipeline) -> FakeService:  # noqa: ARG002
        return self.scoring

    def put(self, name: str, content: bytes | None = None) -> str:
        """Put a data set there without an event; return its path. Unless given, the content is like no other."""
        path = f"income/{name}"
        self.clock.sleep(1)
        self.data.put(path, f"age\n{len(self.data.contents) + 1}\n".encode() if content is None else content)
        return path

    def drop(self, name: str, content: bytes | None = None) -> str:
        """Drop a data set, take its event and take it up; return the job's id."""
        self.flows.intake.see(self.put(name, content))
        [job_id] = self.take_up()
        return job_id

    def take_up(self) -> list[str]:
        """Do what the timer does; return the ids of the new jobs."""
        return [self.flows.training.start(job).id for job in self.flows.intake.take_up()]

    def run(self, until: Callable[[], bool], minutes: int = 30) -> None:
        """Poll every 15 seconds and deliver each message, again after 30 seconds when it fails."""
        end = self.clock.now() + timedelta(minutes=minutes)
        while not until() and self.clock.now() < end:
            self.take_up()
            for request in self.flows.training.poll():
                for _ in range(5):
                    try:
                        self.flows.requests.carry_out(request, f"message of {request.job}")
                        break
                    except ServiceUnavailable:
                        self.clock.sleep(30)
            self.clock.sleep(15)

    def accepted(self, name: str = "a.csv") -> str:
        """Return a job that the gate has passed."""
        job_id = self.drop(name)
        self.flows.training.poll()
        return job_id


def _pipeline(rules: tuple[str, ...], baseline: float) -> Pipeline:
    address, key = Address("https://studio.example"), Secret("key")
    scoring = ScoringService(address=address, key=key)
    return Pipeline(
        name="income",
        blobs="income/*.csv",
        checks=Checks(columns=(Column(name="age"),)),
        arriving=ArrivalSettings(settle=0.0, jobs=10),
        training=TrainingService(address=address, key=key, model="output1", evaluation="output2"),
        gate=Gate(rules=[parse_rule(rule) for rule in rules], baseline={"AUC": baseline}),
        targets=[
            ClassicTarget(name=name, address=address, key=key, resource="r", scoring=scoring) for name in ("one", "two")
        ],
        rows=Rows(["age"], [["39"]]),
        proof_timeout=180.0,
    )
