"""The one place that builds the real thing from the settings. Nothing here is built before it is used."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests

from shared.adapters.storage.accounts import BlobStore, identity, open_store
from shared.adapters.storage.data import BlobTrainingData
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.models import BlobModels
from shared.adapters.storage.reader import ConfiguredBlobReader
from shared.adapters.studio.arm_rights import ArmRights
from shared.adapters.studio.arm_web_service import ArmWebService
from shared.adapters.studio.bes import BatchExecutionService
from shared.adapters.studio.classic_endpoint import ClassicEndpoint
from shared.adapters.studio.swagger import Description, describe
from shared.base.errors import BadMessage
from shared.base.settings import Settings
from shared.base.threads import at_once, in_time
from shared.configuration.loading import load_pipelines
from shared.domain.fleets import Pipelines
from shared.domain.messages import OF_A_FLEET, Asked, Request
from shared.domain.pipelines import Pipeline
from shared.domain.services import ClassicTarget, NewTarget, Scoring, Training
from shared.flows.bake import Watching
from shared.flows.decisions import Deciding
from shared.flows.intake import Arriving
from shared.flows.judging import Judging
from shared.flows.promotion.message import Promotion
from shared.flows.retention import Retention, read_rule
from shared.flows.rollout import RollingOut
from shared.flows.training import Retraining
from shared.store.answers import AnswerRecords
from shared.store.arrivals import ArrivalRecords
from shared.store.jobs_and_champions import Records
from shared.store.rollouts import RolloutRecords

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.domain.ports import BatchService, Endpoint, Endpoints

STARTING = timedelta(minutes=3)  #: after which one call starts no other new job
ARM_SCOPE = "https://management.azure.com/.default"


class App:
    """The flows over the real adapters, as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def pipelines(self) -> Pipelines:
        read = load_pipelines(self.settings.pipelines_file, self.settings)
        return Pipelines(read.alone, read.fleets, lambda prefix: ArrivalRecords(self._documents).known(prefix))

    @cached_property
    def data_container(self) -> str:
        """The container of the blob trigger's path, `training-data/{name}`."""
        return (self.settings.get("TRAINING_DATA_PATH") or "training-data/{name}").split("/")[0]

    @cached_property
    def records(self) -> Records:
        return Records(self._documents)

    @cached_property
    def answers(self) -> AnswerRecords:
        return AnswerRecords(self._documents)

    def carry_out(self, request: Request, message_id: str) -> None:
        """Do what a message asks for. Raises what `Promotion.carry_out` raises."""
        whole_fleet = request.pipeline in self.pipelines.fleets
        if whole_fleet or request.action not in (Asked.PROMOTE, Asked.ROLLBACK, Asked.RESUME):
            self.ask(request, message_id)
        else:
            self.promotion.carry_out(request, message_id)

    def ask(self, request: Request, request_id: str) -> str:
        """Do what needs no endpoint, once for each request; return what was made of it.

        Have data taken up or trained on again, approve, reject or cancel a job, roll a fleet out.
        """
        if request.pipeline in self.pipelines.fleets:
            outcome = self._ask_fleet(request, request_id)
        elif request.pipeline not in self.pipelines:
            known = self.pipelines.entries
            raise BadMessage(f"The message names the pipeline {request.pipeline!r}; the pipelines are: {known}")
        elif request.action is Asked.CANCEL and not request.job:
            raise BadMessage(f"The pipeline {request.pipeline} is no fleet, so the message needs the job")
        elif request.job:
            outcome = self.deciding.decide(request, request_id)
        elif request.path:
            arrival = self.arriving.replay(request.pipeline, request.path, request_id)
            outcome = f"taken up again as arrival {arrival.id}"
        else:
            outcome = f"job {self.arriving.retrain(request.pipeline, request.parameters, request_id).id}"
        who = {name: told for name, told in (("by", request.by), ("reason", request.reason)) if told}
        self.records.note_request(request_id, {"pipeline": request.pipeline, "outcome": outcome, **who})
        return outcome

    def _ask_fleet(self, request: Request, request_id: str) -> str:
        if request.to or request.model or request.live:
            raise BadMessage(
                f"{request.pipeline} is a fleet, each of whose members goes back to its own former model: "
                f'"to", "model" and "live" are for one of them, such as {request.pipeline}-{{...}}'
            )
        if request.action in OF_A_FLEET and not request.job and request.by:
            return self.rolling_out.ask(request, request_id)
        members = self.pipelines.members(request.pipeline)
        if request.action is Asked.RETRAIN:
            jobs = at_once(lambda member: self.arriving.retrain(member, request.parameters, request_id), members)
            return f"{len(jobs)} jobs"
        raise BadMessage(
            f"{request.pipeline} is a fleet of {len(members)} pipelines: name one of them, such as "
            f'{request.pipeline}-{{...}}, or for the whole fleet send promote, rollback, resume or cancel with a "by"'
        )

    def take_up(self) -> None:
        """Take what was dropped as far as it goes, and start the jobs that are made of it; the poll starts the rest."""
        in_time(self.retraining.start, self.arriving.take_up(), STARTING, _now, "new jobs")

    def poll(self) -> list[Request]:
        """Take rollouts and jobs as far as they go, look at what was promoted; return what to ask of the queue."""
        return [*self.rolling_out.advance(), *self.retraining.poll(), *self.watching.poll()]

    @cached_property
    def rolling_out(self) -> RollingOut:
        return RollingOut(
            pipelines=self.pipelines, records=self.records, rollouts=RolloutRecords(self._documents), now=_now
        )

    @cached_property
    def arriving(self) -> Arriving:
        return Arriving(
            pipelines=self.pipelines,
            arrivals=ArrivalRecords(self._documents),
            records=self.records,
            data=self._data,
            now=_now,
        )

    @cached_property
    def retraining(self) -> Retraining:
        return Retraining(
            pipelines=self.pipelines,
            records=self.records,
            data=self._data,
            judging=self.judging,
            service=self._training,
            now=_now,
        )

    @cached_property
    def judging(self) -> Judging:
        return Judging(
            records=self.records,
            answers=self.answers,
            data=self._data,
            models=self._models,
            reader=self._reader,
            endpoints=self.endpoints,
            scoring=self._scoring,
            now=_now,
        )

    @cached_property
    def deciding(self) -> Deciding:
        return Deciding(pipelines=self.pipelines, records=self.records, service=self._training, now=_now)

    @cached_property
    def watching(self) -> Watching:
        return Watching(
            pipelines=self.pipelines, records=self.records, models=self._models, endpoints=self.endpoints, now=_now
        )

    @cached_property
    def retention(self) -> Retention:
        return Retention(
            pipelines=self.pipelines,
            records=self.records,
            documents=self._documents,
            models=self._models,
            endpoints=self.endpoints,
            rule=read_rule(self.settings),
            now=_now,
        )

    @cached_property
    def promotion(self) -> Promotion:
        return Promotion(
            pipelines=self.pipelines,
            records=self.records,
            answers=self.answers,
            models=self._models,
            reader=self._reader,
            endpoints=self.endpoints,
            now=_now,
            sleep=time.sleep,
        )

    def endpoints(self, pipeline: Pipeline, *, only_look: bool = False) -> Endpoints:
        """Return the endpoints by target. A missing one of a fleet is made, unless this is to look only."""
        create = pipeline.fleet is not None and not only_look
        return {target.name: self._endpoint(target, create=create) for target in pipeline.targets}

    def describe(self, name: str, place: Training | Scoring) -> Description:
        """Return what a web service says of its ports; errors call it by the name."""
        return describe(self._session, name, place)

    def rights(self, target: NewTarget) -> ArmRights:
        return ArmRights(self._session, target, self._token(target))

    @property
    def account(self) -> str:
        """The storage account of RETRAINING_STORE."""
        return str(self._store.client.account_name)

    def _training(self, pipeline: Pipeline) -> BatchService:
        return BatchExecutionService(self._session, f"training service of {pipeline.name}", pipeline.training)

    def _scoring(self, pipeline: Pipeline) -> BatchService:
        target = pipeline.targets[0]
        scoring = target.scoring
        if isinstance(target, ClassicTarget):
            scoring = ClassicEndpoint(self._session, target, create=pipeline.fleet is not None).scoring()
        return BatchExecutionService(self._session, f"scoring of {target.name}", scoring)

    @cached_property
    def _documents(self) -> BlobDocuments:
        return BlobDocuments(self._store, "retraining")

    @cached_property
    def _data(self) -> BlobTrainingData:
        return BlobTrainingData(self._data_store, self.data_container, self._store)

    @cached_property
    def _store(self) -> BlobStore:
        return open_store(self.settings, "RETRAINING_STORE")

    @cached_property
    def _data_store(self) -> BlobStore:
        return open_store(self.settings, "TRAINING_DATA")

    @cached_property
    def _models(self) -> BlobModels:
        return BlobModels(self._store, "models")

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # neither a proxy nor a .netrc may come between the keys and their service
        # Threads share it, and only its cookies are not safe for that.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _reader(self, pipeline: Pipeline) -> ConfiguredBlobReader:
        return ConfiguredBlobReader(self._session, [self._store, self._data_store], pipeline.training.results)

    def _endpoint(self, target: ClassicTarget | NewTarget, *, create: bool) -> Endpoint:
        if isinstance(target, ClassicTarget):
            return ClassicEndpoint(self._session, target, create=create)
        return ArmWebService(self._session, target, self._token(target))

    def _token(self, target: NewTarget) -> Callable[[], str]:
        return target.token.reveal if target.token else self._arm_token

    def _arm_token(self) -> str:
        return str(self._identity.get_token(ARM_SCOPE).token)

    @cached_property
    def _identity(self) -> TokenCredential:
        return identity(self.settings.get("RETRAINING_STORE__clientId"))


@cache
def app() -> App:
    """Return the app of this process, built from the environment on first use."""
    return App(Settings())


def _now() -> datetime:
    return datetime.now(UTC)
