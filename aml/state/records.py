"""What the workspace knows. Records never change; a change replaces the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import msgspec

from service.database import Database, Record

IDENTITY = "workspace"  #: the id of the one record of who this is


class Identity(Record, frozen=True):
    """Who this workspace is, and the secrets by which it checks who calls."""

    subscription: str
    group: str
    workspace: str
    location: str
    guid: str  #: the workspace's own id; its containers are named after it
    tenant: str
    principal: str  #: the id of the managed identity
    created: datetime
    token_secret: str  #: signs the tokens that the identity endpoint gives
    identity_header: str  #: a program that knows it may ask the identity endpoint for tokens
    authority: str  #: the certificate authority, certificate and key, in PEM


class Resource(Record, frozen=True):
    """A resource below the workspace. `path` is where, as it was made; `id` is that in lower case.

    `parent` is the id of its collection. `properties` are as they were given, with what the service adds.
    """

    path: str
    properties: dict[str, Any]
    created: datetime
    modified: datetime
    tags: dict[str, str] = {}
    location: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def collection(self) -> str:
        return self.path.partition("/")[0]

    @property
    def labels(self) -> dict[str, Any]:
        """Its tags: a tracked resource has them beside its properties, the others among them."""
        return self.tags or self.properties.get("tags") or {}


class Datastore(Resource, frozen=True):
    """Where data is: a container of a storage account."""


class Compute(Resource, frozen=True):
    """What jobs run on. Its `maxNodeCount` is how many of them run at once."""

    identity: dict[str, Any] = msgspec.field(default_factory=dict)


class Asset(Resource, frozen=True):
    """All versions of one model, data asset, environment, component or code: `models/income`."""

    highest: int = 0  #: the greatest version that is a number; the client makes its versions by the next one
    aliases: dict[str, str] = msgspec.field(default_factory=dict)  #: names of versions by alias, of MLflow's registry


class Version(Resource, frozen=True):
    """One version of an asset: `models/income/versions/1`, below `models/income/versions`."""

    source: str = ""  #: where it came from, as MLflow gave it
    logged: str = ""  #: the id of the logged model that it is

    @property
    def marks(self) -> set[str]:
        return _tag_marks(self)


def tag_mark(asked: str) -> str:
    """Return the mark of what has a tag, given as `name` or `name=value`."""
    return f"tag {asked}"


def type_mark(job_type: str) -> str:
    """Return the mark of the jobs of a type."""
    return f"type {job_type.lower()}"


def invoked_mark(place: str) -> str:
    """Return the mark of the jobs that calls of a batch endpoint or of one of its deployments made, by its id."""
    return f"invoked {place}"


def _tag_marks(resource: Resource) -> set[str]:
    return {tag_mark(asked) for name, value in resource.labels.items() for asked in (name, f"{name}={value}")}


R = TypeVar("R", bound=Resource)


def make(kind: type[R], path: str, properties: dict[str, Any], **more: Any) -> R:
    """Return a new resource."""
    place = path.lower()
    moment = now()
    return kind(
        id=place,
        parent=place.rpartition("/")[0],
        path=path,
        properties=properties,
        created=moment,
        modified=moment,
        **more,
    )


#: states of a job, in the order in which it passes them
ORDER = ("NotStarted", "Starting", "Preparing", "Queued", "Running", "Finalizing", "Completed")
FINAL = frozenset({"Completed", "Failed", "Canceled"})
SERVERLESS = "serverless"  #: what jobs wait for that name no compute


class Job(Resource, frozen=True):
    """A job, below `jobs`, or a node of a pipeline job, below `jobs/{pipeline}/nodes`.

    Every change of its state goes through the methods here; each returns None where the state does not allow it.
    """

    queue: str = SERVERLESS  #: the compute that it waits for
    invoked: str = ""  #: the id of the batch deployment whose call made it
    status: str = "NotStarted"
    begun: datetime | None = None  #: when its command began
    ended: datetime | None = None
    error: dict[str, Any] | None = None

    @property
    def marks(self) -> set[str]:
        invoked = {self.invoked, self.invoked.partition("/deployments/")[0]} - {""}
        return {*_tag_marks(self), type_mark(self.properties["jobType"]), *map(invoked_mark, invoked)}

    def passed_to(self, status: str) -> Self | None:
        """Return the job in the next state of the order."""
        if self.status not in ORDER or ORDER.index(self.status) + 1 != ORDER.index(status):
            return None
        begun = now() if status == "Running" else self.begun
        ended = now() if status in FINAL else None
        return msgspec.structs.replace(self, status=status, begun=begun, ended=ended)

    def asked_to_cancel(self) -> Self | None:
        if self.status in FINAL or self.status == "CancelRequested":
            return None
        return msgspec.structs.replace(self, status="CancelRequested")

    def canceled(self) -> Self | None:
        if self.status != "CancelRequested":
            return None
        return msgspec.structs.replace(self, status="Canceled", ended=now())

    def failed(self, error: dict[str, Any]) -> Self | None:
        if self.status in FINAL:
            return None
        return msgspec.structs.replace(self, status="Failed", ended=now(), error=error)


class Operation(Record, frozen=True):
    """A long-running operation. `parent` is the resource that it changes."""

    status: str
    started: datetime
    ended: datetime | None = None
    error: dict[str, Any] | None = None


class Records(Database):
    FILE, VERSION = "aml.sqlite", 2
    OTHER = "another version of this workspace; remove it and start again"
    MARKED = (Job, Version)


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Return the time as the service writes it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
