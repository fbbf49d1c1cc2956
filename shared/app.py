"""The one place that builds the real thing from the settings. Nothing here is built before it is used."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING

import requests

from shared.adapters.arm_rights import ArmRights
from shared.adapters.arm_web_service import ArmWebService
from shared.adapters.bes import BatchExecutionService
from shared.adapters.blob_documents import BlobDocuments
from shared.adapters.blob_reader import ConfiguredBlobReader
from shared.adapters.classic_endpoint import ClassicEndpoint
from shared.adapters.model_store import BlobModels
from shared.adapters.storage import BlobStore, identity, open_store
from shared.adapters.swagger import Description, describe
from shared.adapters.training_data import BlobTrainingData
from shared.answer_records import AnswerRecords
from shared.arrival_records import ArrivalRecords
from shared.arriving import Arriving
from shared.configuration.file import ClassicTarget, NewTarget, Scoring, Training
from shared.configuration.loading import load_pipelines
from shared.deciding import Deciding
from shared.errors import BadMessage
from shared.judging import Judging
from shared.messages import Asked, Request
from shared.pipelines import Pipeline
from shared.promotion import Promotion
from shared.records import Records
from shared.retention import Retention, read_rule
from shared.retraining import Retraining
from shared.settings import Settings
from shared.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.ports import BatchService, Endpoint, Endpoints

ARM_SCOPE = "https://management.azure.com/.default"


class App:
    """The flows over the real adapters, as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def pipelines(self) -> dict[str, Pipeline]:
        return load_pipelines(self.settings.pipelines_file, self.settings)

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

    def poll(self) -> list[Request]:
        """Take every job as far as it goes, look at what was promoted; return what to ask of the promotion queue."""
        return [*self.retraining.poll(), *self.watching.poll()]

    def carry_out(self, request: Request, message_id: str) -> None:
        """Do what a message asks for. Raises what `Promotion.carry_out` raises."""
        if request.action not in (Asked.PROMOTE, Asked.ROLLBACK, Asked.RESUME):
            self.ask(request, message_id)
        else:
            self.promotion.carry_out(request, message_id)

    def ask(self, request: Request, request_id: str) -> str:
        """Do what needs no endpoint, once for each request; return what was made of it.

        Have data taken up or trained on again, approve, reject or cancel a job.
        """
        if request.pipeline not in self.pipelines:
            known = ", ".join(sorted(self.pipelines))
            raise BadMessage(f"The message names the pipeline {request.pipeline!r}; the pipelines are: {known}")
        if request.job:
            outcome = self.deciding.decide(request, request_id)
        elif request.path:
            arrival = self.arriving.replay(request.pipeline, request.path, request_id)
            outcome = f"taken up again as arrival {arrival.id}"
        else:
            outcome = f"job {self.arriving.retrain(request.pipeline, request.parameters, request_id).id}"
        self.records.note_request(request_id, {"pipeline": request.pipeline, "outcome": outcome})
        return outcome

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

    def endpoints(self, pipeline: Pipeline) -> Endpoints:
        return {target.name: self._endpoint(target) for target in pipeline.targets}

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
        return BatchExecutionService(self._session, f"scoring of {target.name}", target.scoring)

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
        return session

    def _reader(self, pipeline: Pipeline) -> ConfiguredBlobReader:
        return ConfiguredBlobReader(self._session, [self._store, self._data_store], pipeline.training.results)

    def _endpoint(self, target: ClassicTarget | NewTarget) -> Endpoint:
        if isinstance(target, ClassicTarget):
            return ClassicEndpoint(self._session, target)
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
