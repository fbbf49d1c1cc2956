"""What a person did on Studio's canvas before anything could be retrained: run, deploy, add endpoints.

studio = Studio(folder, storage)
cellar = studio.run(load_experiment("wine-cellar"), data)       # train and evaluate; the predictive experiment
endpoints = studio.deploy_classic(cellar, ["customer1"])        # a Classic web service with an added endpoint
service = studio.deploy_new(cellar, "cellar")                   # a New web service
training = studio.deploy_training(cellar.experiment)            # the retraining web service
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from studio import definitions
from studio.blobs import Blobs
from studio.errors import bad_argument
from studio.experiments import Experiment
from studio.ilearner import SUFFIX, pack
from studio.jobs import output_location
from studio.keys import new_id, new_key
from studio.models import Models, check_replaces
from studio.records import (
    Endpoint,
    Identity,
    Records,
    Reference,
    Resource,
    Scorer,
    Service,
    WebService,
    Workspace,
    now,
)
from studio.tables import read_table
from studio.training import train

LOCATION = "South Central US"
GROUP = "relearn"
IDENTITY = "studio"
DEFAULT = "default"  #: the endpoint that every Classic web service has
ENDPOINTS_AT_MOST = 10_000  #: of one web service


@dataclass(frozen=True)
class PredictiveExperiment:
    """A run experiment: its trained models between the ports of a predictive web service, and their evaluations."""

    experiment: Experiment
    scorers: list[Scorer]
    evaluations: list[dict[str, float]]


@dataclass(frozen=True)
class Published:
    """A web service's endpoint. `path` hangs under the Studio's address; `management` is its PATCH path or ARM id.

    `models` are the exact names of the models that can be replaced.
    """

    name: str
    path: str
    management: str
    models: list[str]
    key: str = field(repr=False)


class Studio:
    """One Studio in a folder: its records, its model files, and its storage, given by a connection string."""

    def __init__(self, folder: Path, storage: str) -> None:
        self.folder, self.storage = folder, storage
        self.records, self.models, self.blobs = Records(folder), Models(folder), Blobs(storage)

    @cached_property
    def identity(self) -> Identity:
        """Who this Studio is; made up once, with its first workspace."""
        identity = self.records.find_or_make(Identity, IDENTITY, _new_identity)
        self.records.find_or_make(Workspace, identity.workspace, lambda: _first_workspace(identity))
        return identity

    @property
    def workspace(self) -> Workspace:
        """The first workspace."""
        return self.records.get(Workspace, self.identity.workspace)

    def run(self, experiment: Experiment, data: bytes, name: str = ".csv") -> PredictiveExperiment:
        """Train and evaluate on the table; return the predictive experiment. Raises `ModuleError`."""
        scorers, evaluations = [], []
        for number, trained in enumerate(train(experiment, read_table(data, name), {}), 1):
            content = pack(trained.model)
            location: Reference = output_location(self.blobs, SUFFIX)
            self.blobs.write(location, content)
            resource = Resource(name=trained.part.resource, location=location, sha256=self.models.keep(content))
            scorers.append(Scorer(resource=resource, input=trained.part.learnt.input, output=f"output{number}"))
            evaluations.append(trained.evaluation)
        return PredictiveExperiment(experiment, scorers, evaluations)

    def deploy_training(self, experiment: Experiment) -> Published:
        """Publish the experiment with its input and outputs as a training web service."""
        service = self._new_service(experiment.name)
        endpoint = new_endpoint(service.id, DEFAULT)
        endpoint.training = experiment
        self.records.put(service, endpoint)
        return self.published(endpoint)

    def deploy_classic(
        self, predictive: PredictiveExperiment, endpoints: Sequence[str] = ("retrained",)
    ) -> list[Published]:
        """Publish a Classic web service; return the added endpoints, which are the ones that can be updated."""
        service = self._new_service(f"{predictive.experiment.name} [Predictive Exp.]")
        default = new_endpoint(service.id, DEFAULT)
        default.scorers = predictive.scorers
        self.records.put(service, default)
        return self.add_endpoints(service, endpoints)

    def add_endpoints(self, service: Service, names: Iterable[str], **settings: Any) -> list[Published]:
        """Add endpoints with the models of the default one and these settings, all or none."""
        default = self.default_endpoint(service)
        added = []
        for name in names:
            endpoint = msgspec.structs.replace(new_endpoint(service.id, name), **settings)
            endpoint.scorers, endpoint.training = default.scorers, default.training
            added.append(endpoint)
        if self.records.count(Endpoint, service.id) + len(added) > ENDPOINTS_AT_MOST:
            raise bad_argument("BadParameterValue", f"A web service has {ENDPOINTS_AT_MOST:,} endpoints at most.")
        self.records.add(*added)
        return [self.published(endpoint) for endpoint in added]

    def default_endpoint(self, service: Service) -> Endpoint:
        default = self.records.named(Endpoint, service.id, DEFAULT)
        assert default is not None, "a service has its default endpoint as long as it has any"
        return default

    def deploy_new(self, predictive: PredictiveExperiment, name: str) -> Published:
        """Publish a New web service of that name."""
        subscription = self.identity.subscription
        arm_id = f"/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/Microsoft.MachineLearning/webServices"
        arm_id = f"{arm_id}/{name}"
        endpoint = new_endpoint(arm_id.lower(), name)
        endpoint.scorers = predictive.scorers
        definition = definitions.write(
            arm_id,
            f"{predictive.experiment.name} [Predictive Exp.]",
            LOCATION,
            self.blobs.account,
            [(scorer, self.models.load(scorer.resource.sha256).manifest) for scorer in predictive.scorers],
        )
        service = WebService(
            id=arm_id.lower(), parent=subscription, name=name, endpoint=endpoint.id, definition=definition
        )
        self.records.put(endpoint, service)
        return self.published(endpoint)

    def published(self, endpoint: Endpoint) -> Published:
        """Return what a client needs of an endpoint."""
        if endpoint.parent.startswith("/"):
            service = self.records.get(WebService, endpoint.parent)
            subscription = service.parent.replace("-", "")
            path, management = f"/subscriptions/{subscription}/services/{endpoint.id}", str(service.definition["id"])
        else:
            workspace = self.records.get(Service, endpoint.parent).parent
            path = f"/workspaces/{workspace}/services/{endpoint.id}"
            management = f"/workspaces/{workspace}/webservices/{endpoint.parent}/endpoints/{endpoint.name}"
        models = [scorer.resource.name for scorer in endpoint.scorers]
        return Published(endpoint.name, path, management, models, endpoint.primary_key)

    def take_model(self, resource: Resource, location: Reference, begins: float = 0.0) -> Resource:
        """Return the resource with the blob's model, which is copied: the blob may go afterwards.

        It serves from `begins` on (seconds since the epoch). Raises the catalogue's error for a blob that is not there,
        is no model, or does not fit the service.
        """
        sha256 = self.models.keep(self.blobs.read(location, resource.name))
        check_replaces(self.models.load(sha256).manifest, self.models.load(resource.sha256).manifest)
        return resource.becoming(sha256, location, begins)

    def _new_service(self, name: str) -> Service:
        return Service(id=new_id(), parent=self.identity.workspace, name=name, created=now())


def _new_identity() -> Identity:
    return Identity(id=IDENTITY, workspace=new_id(), subscription=str(uuid.uuid4()), arm_token=new_key())


def _first_workspace(identity: Identity) -> Workspace:
    group = f"/subscriptions/{identity.subscription}/resourceGroups/{GROUP}"
    arm_id = f"{group}/providers/Microsoft.MachineLearning/workspaces/{GROUP}"
    return new_workspace(identity.workspace, arm_id, GROUP)


def new_workspace(workspace_id: str, arm_id: str, name: str, location: str = LOCATION) -> Workspace:
    """Return a workspace with tokens of its own, not yet recorded."""
    return Workspace(
        id=workspace_id,
        parent=arm_id.lower(),
        name=name,
        created=now(),
        primary_token=new_key(),
        secondary_token=new_key(),
        location=location,
    )


def new_endpoint(parent: str, name: str) -> Endpoint:
    """Return an endpoint with keys of its own, not yet recorded."""
    return Endpoint(
        id=new_id(), parent=parent, name=name, created=now(), primary_key=new_key(), secondary_key=new_key()
    )
