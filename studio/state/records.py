"""What the Studio knows: workspaces, services, endpoints with their models, jobs, operations. Records never change."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from service.database import Record
from service.keys import is_one_of
from studio.experiments.types import Experiment


class Identity(Record, frozen=True):
    """Who this Studio is: its first workspace, its subscription, and the token that manages the subscription."""

    workspace: str
    subscription: str
    arm_token: str


class Workspace(Record, frozen=True):
    """A workspace (`parent` is the id of its ARM resource, in lower case); each of its tokens manages all of it."""

    name: str
    created: datetime
    primary_token: str
    secondary_token: str
    location: str
    tags: dict[str, str] = {}
    owner: str = ""
    storage_account: str = ""  #: its ARM id
    key_vault: str | None = None
    state: str = "Enabled"
    sku: dict[str, str] = {}

    def opens(self, key: str) -> bool:
        return is_one_of(key, self.primary_token, self.secondary_token)


class Reference(msgspec.Struct, kw_only=True, frozen=True, rename="pascal"):
    """A blob as the protocols name it."""

    connection_string: str | None = None
    relative_location: str | None = None
    base_location: str | None = None
    sas_blob_token: str | None = None

    def __repr__(self) -> str:
        return f"Reference({self.relative_location!r})"  # the others may be keys

    def public(self) -> Reference:
        """Return where the blob is, without anything that opens it: no SAS, key or password."""
        base = (self.base_location or "").partition("?")[0].rstrip("/")
        scheme, separator, rest = base.rpartition("://")
        authority, slash, path = rest.partition("/")
        relative = (self.relative_location or "").lstrip("/").partition("?")[0]
        without = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
        return Reference(base_location=f"{without}/" if base else None, relative_location=relative)


NEVER = 1e12  #: later than any time that comes, in seconds since the epoch


FORMER_AT_MOST = 10  #: former models of a resource that are kept


class FormerModel(msgspec.Struct, kw_only=True, frozen=True):
    """A model that an update replaced. `location` holds no secret."""

    sha256: str
    location: Reference
    updated: datetime | None = None  #: when an update set it; None: the endpoint was deployed or refreshed with it
    replaced: datetime


class Resource(msgspec.Struct, kw_only=True, frozen=True):
    """The trained model of an endpoint: its name, where it came from, and which file it is.

    `former` serves until `since` (seconds since the epoch): an update takes a while to take effect.
    """

    name: str
    location: Reference
    sha256: str
    former: str | None = None
    since: float = 0.0
    updated: datetime | None = None  #: when an update set it; None: its model is the one it was deployed with
    former_models: list[FormerModel] = []  #: the newest first, `FORMER_AT_MOST`

    def serving(self, now: float) -> str:
        """Return the hash of the model that answers at that time."""
        return self.former if self.former and now < self.since else self.sha256

    def becoming(self, sha256: str, location: Reference, since: float) -> Resource:
        """Return the resource with another model, which serves from `since` on."""
        former = self.serving(time.time())
        return Resource(name=self.name, location=location, sha256=sha256, former=former, since=since, updated=now())

    def after(self, replaced: Resource) -> Resource:
        """Return this resource with the model and the former models of the `replaced` one as its former models.

        An update that is repeated sets the same model: it adds nothing.
        """
        models = replaced.former_models
        if replaced.sha256 != self.sha256:
            location = replaced.location.public()
            former = FormerModel(sha256=replaced.sha256, location=location, updated=replaced.updated, replaced=now())
            models = [former, *models][:FORMER_AT_MOST]
        return msgspec.structs.replace(self, former_models=models)


class Scorer(msgspec.Struct, kw_only=True, frozen=True):
    """A Score Model of a predictive experiment: a trained model between an input and an output."""

    resource: Resource
    input: str
    output: str


class Service(Record, frozen=True):
    """A Classic web service. Its `parent` is its workspace."""

    name: str
    created: datetime


class Endpoint(Record, frozen=True):
    """One address of a web service: Classic (`parent` is its service) or New (the service's own).

    A training web service has the experiment that its jobs train, a predictive one the models that it scores with.
    """

    name: str
    created: datetime
    primary_key: str
    secondary_key: str
    training: Experiment | None = None
    scorers: list[Scorer] = []
    description: str = ""
    max_concurrent_calls: int = 4
    throttle_level: str = "Low"
    diagnostics: str = "None"
    prevent_update: bool = False
    refreshed: datetime | None = None  #: when it last took over the default endpoint's graph

    def opens(self, key: str) -> bool:
        return is_one_of(key, self.primary_key, self.secondary_key)

    @property
    def inputs(self) -> list[str]:
        """The names of its input ports."""
        return self.training.inputs if self.training else list(dict.fromkeys(scorer.input for scorer in self.scorers))


class WebService(Record, frozen=True):
    """A New web service: `id` is its ARM id in lower case, `endpoint` serves it.

    `plan` is the id of its commitment plan; the definition can be read for `regions` too.
    """

    name: str
    endpoint: str
    definition: dict[str, Any]
    plan: str = ""
    regions: list[str] = []


class CommitmentPlan(Record, frozen=True):
    """A commitment plan: `id` is `arm_id` in lower case, its `parent` the subscription."""

    name: str
    arm_id: str
    created: datetime
    location: str
    sku: str
    capacity: int
    etag: str
    tags: dict[str, str] = {}


class Operation(Record, frozen=True):
    """A long-running operation of the resource manager."""

    status: str
    started: datetime
    ended: datetime | None = None
    error: dict[str, Any] | None = None


#: states of a job that has ended
FINAL = frozenset({"Finished", "Failed", "Cancelled"})


class Job(Record, frozen=True):
    """A BES job of an endpoint (`parent`). `queued` is what NotStarted hides: when it was started, if it was.

    It is in seconds since the epoch, and says whose turn it is after a restart. Every change of state goes through the
    methods here; each returns None where the state does not allow it.
    """

    inputs: dict[str, Reference]
    outputs: dict[str, Reference]
    parameters: dict[str, str]
    state: str = "NotStarted"
    queued: float | None = None
    details: str | None = None
    results: dict[str, Reference] = {}

    def started(self) -> Job | None:
        """Return the job in the queue; a job is started once."""
        if self.state != "NotStarted" or self.queued:
            return None
        return msgspec.structs.replace(self, queued=time.time())

    def begun(self) -> Job | None:
        """Return the job as it runs, once its turn has come."""
        if self.state != "NotStarted" or not self.queued:
            return None
        return msgspec.structs.replace(self, state="Running")

    def finished(self, results: dict[str, Reference]) -> Job | None:
        return None if self.state in FINAL else msgspec.structs.replace(self, state="Finished", results=results)

    def failed(self, details: str) -> Job | None:
        return None if self.state in FINAL else msgspec.structs.replace(self, state="Failed", details=details)

    def cancelled(self) -> Job | None:
        return None if self.state in FINAL else msgspec.structs.replace(self, state="Cancelled")


def now() -> datetime:
    return datetime.now(UTC)
