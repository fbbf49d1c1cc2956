"""What a person did on Studio's canvas before anything could be retrained: run, deploy, add endpoints.

studio = Studio(folder, storage)
cellar = studio.run(load_experiment("wine-cellar"), data)       # train and evaluate; the predictive experiment
endpoints = studio.deploy_classic(cellar, ["customer1"])        # a Classic web service with an added endpoint
service = studio.deploy_new(cellar, "cellar")                   # a New web service
training = studio.deploy_training(cellar.experiment)            # the retraining web service
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from service.keys import new_id, new_key
from studio.errors import StudioError, bad_argument
from studio.experiments.types import Experiment
from studio.state.database import Records
from studio.state.records import Endpoint, Identity, Reference, Resource, Scorer, Service, WebService, Workspace, now

if TYPE_CHECKING:  # learning takes seconds to load: a command that only reads records need not wait for it
    from studio.state.blobs import Blobs
    from studio.state.models import Models

LOCATION = "South Central US"
GROUP = "relearn"
IDENTITY = "studio"
DEFAULT = "default"  #: the endpoint that every Classic web service has
ENDPOINTS_AT_MOST = 10_000  #: of one web service
_ENDPOINT_NAME = re.compile(r"[a-z0-9]{1,24}")
_UPLOADS = 4  #: at once, of the models of new endpoints


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
    """One Studio in a folder: its records, its model files, and its storage, given by a connection string.

    What touches no model works without a storage too. `accounts` are the addresses of other storage accounts of this
    machine, by their names.
    """

    def __init__(self, folder: Path, storage: str = "", accounts: Mapping[str, str] | None = None) -> None:
        self.folder, self.storage, self._accounts = folder, storage, accounts
        self.records = Records(folder)

    @cached_property
    def models(self) -> Models:
        from studio.state.models import Models

        return Models(self.folder)

    @cached_property
    def blobs(self) -> Blobs:
        from studio.state.blobs import Blobs

        return Blobs(self.storage, self._accounts)

    @cached_property
    def identity(self) -> Identity:
        """Who this Studio is; made once, with its first workspace."""
        identity = self.records.find_or_make(Identity, IDENTITY, _new_identity)
        self.records.find_or_make(Workspace, identity.workspace, lambda: _first_workspace(identity))
        return identity

    @property
    def workspace(self) -> Workspace:
        """The first workspace."""
        return self.records.get(Workspace, self.identity.workspace)

    def run(self, experiment: Experiment, data: bytes, name: str = ".csv") -> PredictiveExperiment:
        """Train and evaluate on the table; return the predictive experiment. Raises `ModuleError`."""
        from studio.learning.ilearner import pack
        from studio.learning.tables import read_table
        from studio.learning.training import train

        scorers, evaluations = [], []
        for number, trained in enumerate(train(experiment, read_table(data, name), {}), 1):
            content = pack(trained.model)
            resource = self._kept(trained.part.resource, content)
            self.blobs.write(resource.location, content)
            scorers.append(Scorer(resource=resource, input=trained.part.learnt.input, output=f"output{number}"))
            evaluations.append(trained.evaluation)
        return PredictiveExperiment(experiment, scorers, evaluations)

    def deploy_training(self, experiment: Experiment) -> Published:
        """Publish the experiment with its input and outputs as a training web service."""
        service = self._new_service(experiment.name)
        endpoint = new_endpoint(service.id, DEFAULT, training=experiment)
        self.records.put(service, endpoint)
        return self.published(endpoint)

    def deploy_classic(
        self, predictive: PredictiveExperiment, endpoints: Sequence[str] = ("retrained",)
    ) -> list[Published]:
        """Publish a Classic web service; return the added endpoints, which are the ones that can be updated."""
        service = self._new_service(f"{predictive.experiment.name} [Predictive Exp.]")
        default = new_endpoint(service.id, DEFAULT, scorers=predictive.scorers)
        self.records.put(service, default)
        return self.add_endpoints(service, endpoints)

    def add_endpoints(
        self, service: Service, names: Iterable[str], models: Mapping[str, bytes] | None = None, **settings: Any
    ) -> list[Published]:
        """Add endpoints with the models of the default one and these settings, all or none.

        `models` gives endpoints their own model instead, by the endpoint's name, where the service has one model.
        """
        names, own = list(names), models or {}
        if wrong := [name for name in names if not _ENDPOINT_NAME.fullmatch(name)]:
            message = f"The endpoint name {wrong[0]!r} must be 1 to 24 lower-case letters and digits."
            raise bad_argument("BadParameterValue", message, "name")
        if self.records.count(Endpoint, service.id) + len(names) > ENDPOINTS_AT_MOST:
            raise bad_argument("BadParameterValue", f"A web service has {ENDPOINTS_AT_MOST:,} endpoints at most.")
        default = self.default_endpoint(service)
        if own and len(default.scorers) != 1:
            raise bad_argument("BadParameterValue", f"{service.name!r} has {len(default.scorers)} models, not one.")
        scorers = self._scorers(default.scorers[0], own) if own else {}
        added = []
        for name in names:
            own_scorers = [scorers[name]] if name in scorers else default.scorers
            added.append(new_endpoint(service.id, name, scorers=own_scorers, training=default.training, **settings))
        self.records.add(*added)
        return [self.published(endpoint) for endpoint in added]

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Delete the endpoint of a Classic web service; the default one is the last, and takes the service along."""
        last = endpoint.name == DEFAULT
        if last and self.records.count(Endpoint, endpoint.parent) > 1:
            message = "The default endpoint cannot be deleted while others exist."
            raise StudioError("InvalidOperation", "CannotDeleteDefaultEndpoint", message)
        self.records.delete(endpoint, *([self.records.get(Service, endpoint.parent)] if last else []))

    def regenerate_key(self, endpoint: Endpoint, which: Literal["primary", "secondary"]) -> Endpoint:
        """Replace one of the endpoint's keys; return the endpoint with it."""
        changes = {f"{which}_key": new_key()}
        changed = self.records.change(Endpoint, endpoint.id, lambda each: msgspec.structs.replace(each, **changes))
        return changed or endpoint

    def default_endpoint(self, service: Service) -> Endpoint:
        default = self.records.named(Endpoint, service.id, DEFAULT)
        assert default is not None, "a service has its default endpoint as long as it has any"
        return default

    def deploy_new(self, predictive: PredictiveExperiment, name: str) -> Published:
        """Publish a New web service of that name."""
        from studio.definitions import definition as definitions

        subscription = self.identity.subscription
        arm_id = f"/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/Microsoft.MachineLearning/webServices"
        arm_id = f"{arm_id}/{name}"
        if self.records.find(WebService, arm_id.lower()):
            raise StudioError("Conflict", "WebServiceAlreadyExists", f"The New web service {name!r} is there already.")
        endpoint = new_endpoint(arm_id.lower(), name, scorers=predictive.scorers)
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
        is not a model, or does not fit the service.
        """
        from studio.state.models import check_replaces

        sha256 = self.models.keep(self.blobs.read(location, resource.name))
        check_replaces(self.models.load(sha256).manifest, self.models.load(resource.sha256).manifest)
        return resource.becoming(sha256, location, begins)

    def _scorers(self, scorer: Scorer, models: Mapping[str, bytes]) -> dict[str, Scorer]:
        """Return the scorer with each of these models instead, by the given names."""
        from studio.state.models import check_replaces

        former, made, uploads = self.models.load(scorer.resource.sha256).manifest, {}, []
        with ThreadPoolExecutor(_UPLOADS) as uploading:
            for name, content in models.items():
                resource = self._kept(scorer.resource.name, content)
                check_replaces(self.models.load(resource.sha256).manifest, former)
                uploads.append(uploading.submit(self.blobs.write, resource.location, content))
                made[name] = msgspec.structs.replace(scorer, resource=resource)
            for upload in uploads:
                upload.result()
        return made

    def _kept(self, name: str, content: bytes) -> Resource:
        """Keep the model; it is yet to be written to the place in the storage that the resource names."""
        from studio.jobs.runner import output_location
        from studio.learning.manifest import SUFFIX

        return Resource(name=name, location=output_location(self.blobs, SUFFIX), sha256=self.models.keep(content))

    def _new_service(self, name: str) -> Service:
        return Service(id=new_id(), parent=self.identity.workspace, name=name, created=now())


def _new_identity() -> Identity:
    return Identity(id=IDENTITY, workspace=new_id(), subscription=str(uuid.uuid4()), arm_token=new_key())


def _first_workspace(identity: Identity) -> Workspace:
    group = f"/subscriptions/{identity.subscription}/resourceGroups/{GROUP}"
    arm_id = f"{group}/providers/Microsoft.MachineLearning/workspaces/{GROUP}"
    return new_workspace(identity.workspace, arm_id, GROUP)


def new_workspace(workspace_id: str, arm_id: str, name: str, location: str = LOCATION) -> Workspace:
    """Return a workspace with its own tokens, not yet recorded."""
    return Workspace(
        id=workspace_id,
        parent=arm_id.lower(),
        name=name,
        created=now(),
        primary_token=new_key(),
        secondary_token=new_key(),
        location=location,
    )


def new_endpoint(parent: str, name: str, **members: Any) -> Endpoint:
    """Return an endpoint with its own keys and these members, not yet recorded."""
    return Endpoint(
        id=new_id(), parent=parent, name=name, created=now(), primary_key=new_key(), secondary_key=new_key(), **members
    )
