"""What the page shows of the records. Decides only: nothing here reads or writes, and no key is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.faults.orders import MEMBERS, Fault
from studio.api import ports
from studio.experiments.types import Experiment
from studio.publishing import DEFAULT
from studio.state.records import NEVER, Endpoint, Job, Reference, Resource, Service, WebService

if TYPE_CHECKING:  # a server starts without the libraries of learning
    from studio.learning.ilearner import TrainedModel

HELP = "/apihelp"  #: the portal's own place for the pages of web services
_DIGITS = 12  #: of a model's hash
_UNLIMITED = Fault(kind="")
_ARM_VERSION = "2017-01-01"


@dataclass(frozen=True)
class Place:
    """Where and when the page is opened: the Studio's address as the browser has it, its storage's, the time."""

    base: str
    storage: str
    now: float


@dataclass(frozen=True)
class Address:
    what: str
    method: str
    url: str


@dataclass(frozen=True)
class Model:
    """A trained model of an endpoint. `later`: an update has set it, and it does not serve yet."""

    resource: str
    sha256: str
    source: str
    set: datetime
    later: str | None = None
    former: Sequence[Former] = ()


@dataclass(frozen=True)
class Former:
    """A model that the endpoint had before; `set` is None for the one it was deployed or refreshed with."""

    sha256: str
    source: str
    set: datetime | None
    replaced: datetime


@dataclass(frozen=True)
class JobView:
    """A batch job: its state in words, when it was started, and what went wrong."""

    id: str
    state: str
    started: datetime | None
    error: str


@dataclass(frozen=True)
class FaultView:
    """A fault on order: its limits in words."""

    id: str
    kind: str
    limits: str


@dataclass(frozen=True)
class Learns:
    """A model that a training web service makes, and the output ports that it comes from."""

    what: str
    model: str
    evaluation: str
    scored: str


@dataclass(frozen=True)
class Port:
    name: str
    columns: Mapping[str, str]  #: name and type


@dataclass(frozen=True)
class EndpointView:
    """An endpoint as lists have it."""

    name: str
    place: str
    created: datetime
    addresses: Sequence[Address]
    models: Sequence[Model]
    learns: Sequence[Learns]

    def address(self, what: str) -> Address:
        return next(address for address in self.addresses if address.what == what)


@dataclass(frozen=True)
class ServiceView:
    """A web service as lists have it; `endpoints` are those that are shown with it, `count` is of all."""

    name: str
    place: str
    generation: str
    trains: bool
    created: datetime
    count: int
    endpoints: Sequence[EndpointView] = ()


def service_place(service: Service) -> str:
    """Return the path of a Classic service's page."""
    return f"{HELP}/workspaces/{service.parent}/webservices/{service.id}"


def endpoint_place(endpoint: Endpoint, service: Service | WebService) -> str:
    """Return the path of an endpoint's page: the portal's own for Classic; for New, where its data plane is."""
    if isinstance(service, Service):
        return f"{service_place(service)}/endpoints/{endpoint.id}"
    return f"{HELP}/subscriptions/{service.parent.replace('-', '')}/services/{endpoint.id}"


def view_service(
    service: Service | WebService, default: Endpoint, count: int, endpoints: Sequence[EndpointView] = ()
) -> ServiceView:
    """Return the service; its `default` endpoint decides whether it trains, as all its endpoints do the same."""
    if isinstance(service, Service):
        name, place = service.name, service_place(service)
    else:
        name, place = service.name, endpoint_place(default, service)
    generation = "Classic" if isinstance(service, Service) else "New"
    return ServiceView(name, place, generation, bool(default.training), default.created, count, endpoints)


def view_endpoint(endpoint: Endpoint, service: Service | WebService, at: Place, path: str) -> EndpointView:
    """Return the endpoint; `path` is its data plane under the Studio's address."""
    return EndpointView(
        name=endpoint.name,
        place=endpoint_place(endpoint, service),
        created=endpoint.created,
        addresses=_addresses(endpoint, service, at.base, path),
        models=[_model(scorer.resource, endpoint, at) for scorer in endpoint.scorers],
        learns=_learns(endpoint.training),
    )


def updatable(endpoint: Endpoint, service: Service | WebService) -> bool:
    """Return whether a PATCH may give the endpoint another model: the default one follows its experiment."""
    return (
        isinstance(service, Service)
        and bool(endpoint.scorers)
        and endpoint.name != DEFAULT
        and not endpoint.prevent_update
    )


def _addresses(endpoint: Endpoint, service: Service | WebService, base: str, path: str) -> list[Address]:
    scoring = Address("Request-response", "POST", f"{base}{path}/execute?api-version=2.0&details=true")
    if isinstance(service, Service):
        resource = f"/workspaces/{service.parent}/webservices/{service.id}/endpoints/{endpoint.name}"
        update = Address("Update", "PATCH", f"{base}{resource}")
    else:
        update = Address("ARM id", "PATCH", f"{base}{service.definition['id']}?api-version={_ARM_VERSION}")
    return [
        *([] if endpoint.training else [scoring]),
        Address("Batch", "POST", f"{base}{path}/jobs?api-version=2.0"),
        *([] if endpoint.training else [update]),
        Address("Swagger", "GET", f"{base}{path}/swagger.json"),
    ]


def _model(resource: Resource, endpoint: Endpoint, at: Place) -> Model:
    set_at = max(resource.updated or endpoint.refreshed or endpoint.created, endpoint.created)
    serving, later = resource.serving(at.now), None
    if serving != resource.sha256:
        begins = "never" if resource.since >= NEVER else f"from {datetime.fromtimestamp(resource.since, UTC):%H:%M:%S}"
        later = f"{resource.sha256[:_DIGITS]} was set and serves {begins}" + (" UTC" if begins != "never" else "")
    former = [
        Former(each.sha256[:_DIGITS], _source(each.location, at.storage), each.updated, each.replaced)
        for each in resource.former_models
    ]
    return Model(resource.name, serving[:_DIGITS], _source(resource.location, at.storage), set_at, later, former)


def _source(location: Reference, own: str) -> str:
    """Return the blob's address without any secret; its path alone in the Studio's own storage."""
    public = location.public()
    base = public.base_location or own
    return str(public.relative_location) if base == own else f"{base}{public.relative_location}"


def _learns(training: Experiment | None) -> list[Learns]:
    return [
        Learns(
            f"{part.learnt.label}: {part.learnt.kind}, {part.learnt.learner}", part.model, part.evaluation, part.scored
        )
        for part in (training.parts() if training else ())
    ]


def view_fault(fault: Fault) -> FaultView:
    given = {name: getattr(fault, name) for name in MEMBERS if name != "count"}
    limits = [f"{name} {value}" for name, value in given.items() if value != getattr(_UNLIMITED, name)]
    left = "without end" if fault.count is None else f"{fault.count} left"
    return FaultView(fault.id, fault.kind, ", ".join([*limits, left, f"struck {fault.struck}"]))


def view_job(job: Job) -> JobView:
    """Return the job; a NotStarted one that was started waits for its turn."""
    state = "Queued" if job.state == "NotStarted" and job.queued else job.state
    started = datetime.fromtimestamp(job.queued, UTC) if job.queued else None
    return JobView(job.id, state, started, _innermost(job.details or ""))


def _innermost(details: str) -> str:
    """Return the message of the innermost exception in the details of a failed job."""
    try:
        inner, _ = json.JSONDecoder().raw_decode(details, details.index("{"))
        while isinstance(inner.get("Exception"), dict):
            inner = inner["Exception"]
        return str(inner["Message"])
    except (ValueError, KeyError, AttributeError):
        return details


def inputs(endpoint: Endpoint, models: Sequence[TrainedModel]) -> list[Port]:
    """Return the input ports with the columns that are needed; `models` are the endpoint's, in its order."""
    columns: dict[str, dict[str, str]] = {}
    for scorer, model in zip(endpoint.scorers, models, strict=True):
        columns.setdefault(scorer.input, {}).update({feature.name: feature.type for feature in model.manifest.features})
    return [Port(name, of) for name, of in columns.items()]


def example(endpoint: Endpoint, models: Sequence[TrainedModel]) -> dict[str, dict[str, str]]:
    """Return a row for each input port, in the cells' form of the protocol: text."""
    rows: dict[str, dict[str, str]] = {}
    for scorer, model in zip(endpoint.scorers, models, strict=True):
        typical = model.encoder.typical()
        rows.setdefault(scorer.input, {}).update(
            {column.name: _cell(typical[column.name], column.type) for column in model.manifest.features}
        )
    return rows


def _cell(value: float | str, kind: str) -> str:
    if isinstance(value, str):
        return value
    return str(round(value)) if kind == "Int32" else f"{value:.6g}"


def result_files(endpoint: Endpoint) -> dict[str, str]:
    """Return the file that each output port of a job gives."""
    return {name: f"{name}results{extension}" for name, extension in ports.outputs(endpoint).items()}
