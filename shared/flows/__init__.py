"""The order of steps: record the intention, act, record the outcome.

`Flows` wires them over the ports. The app, the unit tests and the integration tests all use this one wiring.
"""

import logging
from datetime import timedelta
from functools import cached_property
from typing import Protocol

from shared.base.budgets import START_SECONDS
from shared.base.clock import Clock
from shared.base.errors import RetrainingError
from shared.domain.fleets import Pipelines
from shared.domain.jobs import RetrainingJob
from shared.domain.messages import Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import BatchService, BlobReader, Endpoints, Models, TrainingData
from shared.flows.bake import Bake
from shared.flows.decisions import Decisions
from shared.flows.deployments import DeploymentCleanup
from shared.flows.intake import Intake
from shared.flows.judging import Judging
from shared.flows.promotion.message import Promotion
from shared.flows.requests import Requests
from shared.flows.retention import KeepRule, Retention
from shared.flows.rollout import Rollouts
from shared.flows.staging import CandidateStaging
from shared.flows.training import Training
from shared.store import Records

log = logging.getLogger("relearn.flows")


class Ports(Protocol):
    """What the flows need. A part is asked for when the first flow needs it, and not before."""

    @property
    def pipelines(self) -> Pipelines: ...
    @property
    def records(self) -> Records: ...
    @property
    def data(self) -> TrainingData: ...
    @property
    def models(self) -> Models: ...
    @property
    def keep_rule(self) -> KeepRule: ...
    def reader_of(self, pipeline: Pipeline) -> BlobReader: ...
    def endpoints_of(self, pipeline: Pipeline) -> Endpoints: ...
    def training_service(self, pipeline: Pipeline) -> BatchService: ...
    def scoring_service(self, pipeline: Pipeline) -> BatchService: ...


class Flows:
    def __init__(self, ports: Ports, clock: Clock) -> None:
        self._ports, self._clock, self._begun = ports, clock, clock.now()

    def take_up(self) -> None:
        """Take up new data and start the jobs that are made of it. The poll starts those left when the time is over."""
        until = self._clock.now() + timedelta(seconds=START_SECONDS)

        def begin(job: RetrainingJob) -> None:
            if self._clock.now() <= until:
                self.training.start(job)
            else:
                log.warning("The time ran out before the start of job %s; the poll starts it", job.id)

        self.intake.take_up(begin)

    def poll(self) -> list[Request]:
        """Advance rollouts and jobs, check promoted models; return the requests for the promotion queue."""
        marks, requests = self._ports.records.marks(), list[Request]()
        if marks.rollouts:
            requests += self.rollouts.advance(marks.rollouts)
            marks = self._ports.records.marks()  # with the jobs that the rollouts ask for
        requests += [*self.training.poll(marks), *self.bake.poll(marks.watches)]
        self.deployments.poll(marks.deployments)
        try:
            self._ports.records.polls.note(self._clock.now())
        except RetrainingError as error:  # the requests must reach the queue all the same
            log.warning("The poll cannot be recorded: %s", error)
        return requests

    @cached_property
    def requests(self) -> Requests:
        ports = self._ports
        return Requests(ports.pipelines, ports.records, self.intake, self.decisions, self.rollouts, self.promotion)

    @cached_property
    def intake(self) -> Intake:
        ports = self._ports
        return Intake(ports.pipelines, ports.records, ports.data, self._clock.now, self._begun)

    @cached_property
    def training(self) -> Training:
        ports, now = self._ports, self._clock.now
        judging, staging, service = self.judging, self.staging, ports.training_service
        return Training(ports.pipelines, ports.records, ports.data, judging, staging, service, now)

    @cached_property
    def judging(self) -> Judging:
        ports, now = self._ports, self._clock.now
        reader, endpoints, scoring = ports.reader_of, ports.endpoints_of, ports.scoring_service
        return Judging(ports.records, ports.data, ports.models, reader, endpoints, scoring, now)

    @cached_property
    def staging(self) -> CandidateStaging:
        return CandidateStaging(self._ports.records, self._ports.endpoints_of, self._clock.now)

    @cached_property
    def deployments(self) -> DeploymentCleanup:
        ports, now = self._ports, self._clock.now
        return DeploymentCleanup(ports.pipelines, ports.records, ports.endpoints_of, now)

    @cached_property
    def decisions(self) -> Decisions:
        ports, now = self._ports, self._clock.now
        return Decisions(ports.pipelines, ports.records, ports.training_service, now)

    @cached_property
    def promotion(self) -> Promotion:
        ports, now, sleep = self._ports, self._clock.now, self._clock.sleep
        reader, endpoints = ports.reader_of, ports.endpoints_of
        return Promotion(ports.pipelines, ports.records, ports.models, reader, endpoints, now, sleep)

    @cached_property
    def bake(self) -> Bake:
        ports, now = self._ports, self._clock.now
        return Bake(ports.pipelines, ports.records, ports.models, ports.endpoints_of, now)

    @cached_property
    def rollouts(self) -> Rollouts:
        return Rollouts(self._ports.pipelines, self._ports.records, self._clock.now)

    @cached_property
    def retention(self) -> Retention:
        ports, now = self._ports, self._clock.now
        endpoints, rule = ports.endpoints_of, ports.keep_rule
        return Retention(ports.pipelines, ports.records, ports.data, ports.models, endpoints, rule, now)
