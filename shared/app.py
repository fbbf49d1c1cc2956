"""The one place that builds the real adapters from the settings, each when it is first used."""

from collections.abc import Callable
from functools import cache, cached_property
from threading import Lock

from shared.adapters.azureml.online import AzureMLOnlineEndpoint, Known
from shared.adapters.azureml.places import OwnStorage
from shared.adapters.azureml.scoring import OnlineScoring
from shared.adapters.azureml.training import WorkspaceTraining
from shared.adapters.azureml.workspace import Workspace
from shared.adapters.identity import MANAGEMENT, Tokens
from shared.adapters.session import DirectSession
from shared.adapters.storage.accounts import BlobStore, identity, open_account, open_store
from shared.adapters.storage.data import BlobTrainingData
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.models import BlobModels
from shared.adapters.storage.reader import ConfiguredBlobReader
from shared.adapters.studio.arm_rights import ArmRights
from shared.adapters.studio.arm_web_service import ArmWebService
from shared.adapters.studio.bes import BatchExecutionService
from shared.adapters.studio.classic_endpoint import ClassicEndpoint
from shared.adapters.studio.swagger import describe
from shared.base.clock import Clock, SystemClock
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining
from shared.domain.fleets import Pipelines
from shared.domain.logged_metrics import are_there
from shared.domain.pipelines import Pipeline, Target
from shared.domain.ports import BatchService, Endpoint, Endpoints
from shared.domain.services import ClassicTarget, Description, NewTarget, ScoringService, TrainingService
from shared.flows import Flows
from shared.flows.retention import KeepRule, read_rule
from shared.store import Records


class App:
    """The ports of the flows, with the real adapters behind them, as the settings say."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings, self._clock = settings, clock or SystemClock()
        self._lock, self._workspaces = Lock(), dict[tuple[str, str], Workspace]()

    @cached_property
    def pipelines(self) -> Pipelines:
        read = load_pipelines(self.settings.pipelines_file, self.settings)
        return Pipelines(read.alone, read.fleets, lambda prefix: self.records.arrivals.known(prefix))

    @cached_property
    def data_container(self) -> str:
        """The container of the blob trigger's path, `training-data/{name}`."""
        return (self.settings.get("TRAINING_DATA_PATH") or "training-data/{name}").split("/")[0]

    @cached_property
    def records(self) -> Records:
        return Records(self.documents)

    @cached_property
    def keep_rule(self) -> KeepRule:
        return read_rule(self.settings)

    @cached_property
    def flows(self) -> Flows:
        return Flows(self, self._clock)

    def endpoints_of(self, pipeline: Pipeline, *, only_look: bool = False) -> Endpoints:
        """Return the endpoints by target. A missing one of a fleet is made, unless this is to look only."""
        create = pipeline.fleet is not None and not only_look
        return {target.name: self._endpoint(pipeline, target, create=create) for target in pipeline.targets}

    def describe(self, name: str, place: TrainingService | ScoringService) -> Description:
        """Return what a web service says of its ports; errors call it by the name."""
        return describe(self._session, name, place)

    def rights(self, target: NewTarget) -> ArmRights:
        return ArmRights(self._session, target, self._token(target))

    def workspace(self, part: AzureMLTraining | AzureMLOnlineTarget) -> Workspace:
        return self._workspace_of(part.address, part.workspace)

    def observe(self, hook: Callable[..., None]) -> None:
        """Have each answer of a service passed to the hook before it is read."""
        self._session.hooks["response"].append(hook)

    @property
    def account(self) -> str:
        """The storage account of RETRAINING_STORE."""
        return str(self._store.client.account_name)

    def training_service(self, pipeline: Pipeline) -> BatchService:
        training = pipeline.training
        if isinstance(training, TrainingService):
            return BatchExecutionService(self._session, f"training service of {pipeline.name}", training)
        needed = pipeline.gate.looks_at(has_rows=training.outputs.scored is not None)
        return WorkspaceTraining(
            self._workspace_of(training.address, training.workspace),
            training,
            pipeline.name,
            store=self._store.address,
            is_complete=lambda logged: are_there(logged, training.metrics, needed, pipeline.gate.kind),
            fleet=pipeline.fleet,
            file=self.settings.pipelines_file.parent / training.job if training.job else None,
        )

    def scoring_service(self, pipeline: Pipeline) -> BatchService:
        target = pipeline.targets[0]
        scoring = target.scoring
        assert isinstance(scoring, ScoringService), "others are asked by request only"
        if isinstance(target, ClassicTarget):
            scoring = ClassicEndpoint(self._session, target, create=pipeline.fleet is not None).scoring()
        return BatchExecutionService(self._session, f"scoring of {target.name}", scoring)

    @cached_property
    def documents(self) -> BlobDocuments:
        return BlobDocuments(self._store, "retraining")

    @cached_property
    def data(self) -> BlobTrainingData:
        return BlobTrainingData(self._data_store, self.data_container, self._store)

    @cached_property
    def _store(self) -> BlobStore:
        return open_store(self.settings, "RETRAINING_STORE")

    @cached_property
    def _data_store(self) -> BlobStore:
        return open_store(self.settings, "TRAINING_DATA")

    @cached_property
    def models(self) -> BlobModels:
        return BlobModels(self._store, "models")

    @cached_property
    def _session(self) -> DirectSession:
        session = DirectSession()
        session.verify = self.settings.authorities or True
        return session

    def reader_of(self, pipeline: Pipeline) -> ConfiguredBlobReader:
        by_identity = None if isinstance(pipeline.training, TrainingService) else self._account_at
        own = [self._store, self._data_store]
        return ConfiguredBlobReader(self._session, own, pipeline.training.results, by_identity)

    @cached_property
    def _account_at(self) -> Callable[[str], BlobStore]:
        return cache(lambda address: open_account(address, identity(self.settings.get("RETRAINING_STORE__clientId"))))

    def _endpoint(self, pipeline: Pipeline, target: Target, *, create: bool) -> Endpoint:
        match target:
            case ClassicTarget():
                return ClassicEndpoint(self._session, target, create=create)
            case NewTarget():
                return ArmWebService(self._session, target, self._token(target))
            case AzureMLOnlineTarget():
                workspace = self._workspace_of(target.address, target.workspace)
                known = self._known_of(target.address, target.workspace, target.endpoint)
                scoring = OnlineScoring(workspace, target, pipeline.checks, pipeline.rows, known.access)
                own = OwnStorage(self._store.address, self.account)
                return AzureMLOnlineEndpoint(workspace, target, pipeline.name, scoring, own, known)

    def _token(self, target: NewTarget) -> Callable[[], str]:
        return target.token.reveal if target.token else lambda: self._tokens.token(MANAGEMENT)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(lambda: identity(self.settings.get("RETRAINING_STORE__clientId")))

    def _workspace_of(self, address: str, workspace: str) -> Workspace:
        """Return the one workspace of that id: what it has found out serves all pipelines that use it."""
        with self._lock:
            key = (address, workspace.lower())
            if key not in self._workspaces:
                self._workspaces[key] = Workspace(self._session, self._tokens, address, workspace)
            return self._workspaces[key]

    @cached_property
    def _known_of(self) -> Callable[[str, str, str], Known]:
        return cache(lambda *_: Known())


@cache
def app() -> App:
    """Return the app of this process, built from the environment on first use."""
    return App(Settings())
