"""The ports: what the flows need of storage and services. The adapters implement them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.base.errors import RetrainingError
from shared.base.secret import Secret
from shared.domain.folders import Files
from shared.domain.jobs import Dataset, Model
from shared.domain.rows import Rows

SHOWN_AT_MOST = 4 << 10  #: bytes of a document that a list shows
Wait = Callable[[float], None]  #: sleeps that many seconds and keeps what is held


@dataclass(frozen=True)
class BlobReference:
    """Where a blob is, or a folder of them, whose `relative` has a final slash: as Studio's protocols have it.

    A service that reads by its own identity needs no SAS, so one of the app's own storage is signed when it is read.
    """

    base: str
    relative: str
    signed: Secret | Callable[[], Secret] | None = field(default=None, repr=False, compare=False)

    @property
    def sas(self) -> Secret | None:
        """The SAS to read it with, made at each use where the app signs it; None where nothing was given."""
        return self.signed() if callable(self.signed) else self.signed

    @property
    def is_folder(self) -> bool:
        return self.relative.endswith("/")

    @property
    def address(self) -> str:
        """The blob's address without its SAS; samples write the base with and without a final slash."""
        return f"{self.base.rstrip('/')}/{self.relative.lstrip('/')}"


@dataclass(frozen=True)
class Document:
    """`held`: somebody has a lease on it, or had one and died before giving it back."""

    content: bytes
    etag: str
    held: bool = False


class Lease(Protocol):
    """Sole right to write one document. `renew` raises `Busy` once the lease is lost."""

    @property
    def id(self) -> str: ...
    def renew(self) -> None: ...


class Documents(Protocol):
    """Small named documents with conditional writes."""

    def read(self, name: str) -> Document | None: ...
    def create(self, name: str, content: bytes, *, shown: bool = False) -> str | None:
        """Return the new document's etag, or None when the name is taken. `shown`: a list gives the content too."""

    def replace(self, name: str, content: bytes, etag: str, lease: Lease | None = None) -> str:
        """Return the new etag; raise `RecordChanged` unless the document still has this one."""

    def delete(self, name: str, etag: str | None = None) -> None:
        """Delete the document if it is there; raise `RecordChanged` when it has another etag than a given one."""

    def names(self, prefix: str) -> Iterator[str]: ...
    def shown(self, prefix: str) -> Iterator[tuple[str, bytes | None]]:
        """Yield the names of one list, with the content of each small document that was created as `shown`."""

    def latest(self, prefix: str) -> list[tuple[str, datetime]]:
        """Return the names and when each was last written, the newest first."""

    def lease(self, name: str, etag: str | None = None) -> AbstractContextManager[Lease]:
        """Hold the document, which must exist; raise `Busy` when another run holds it.

        Raise `RecordChanged` when it has another etag than a given one: what was read before is then out of date.
        """


class TrainingData(Protocol):
    """The dropped data. Contents are read as streams, linked to, and copied by the storage service."""

    def find(self, path: str) -> Dataset | None: ...
    def listed(self, prefix: str = "") -> Iterator[Dataset]:
        """Yield what is there now, by name."""

    def read(self, dataset: Dataset) -> Iterator[bytes]:
        """Yield this version's content; raise `DataChanged` when the blob no longer holds it."""

    def join(self, name: str, parts: Sequence[Dataset], after: str | None) -> None:
        """Write these versions as one blob `name` of the batches, behind the batch `after` if one is given.

        A single version is copied by the storage, and `ServiceUnavailable` is raised while that goes on.
        `after` is a blob, or a folder with a final slash. Raises `DataChanged`, and `HeadersDiffer` when they are not
        one table.
        """

    def gather(self, folder: str, parts: Sequence[Dataset], after: str | None) -> str:
        """Have these versions copied into a `folder` of the batches that has nothing else, as `join` joins them.

        The folder has a final slash. Return its path as Studio's Import Data module takes it. What an earlier run has
        copied is kept; raises `ServiceUnavailable` while a copy goes on.
        """

    def put(self, name: str, content: bytes) -> None:
        """Write a blob of the batches, which the same run may have written before."""

    def batched(self, prefix: str) -> Iterator[Dataset]:
        """Yield the blobs of the batches whose names begin so."""

    def delete_batched(self, dataset: Dataset) -> None:
        """Delete this version of a blob of the batches; where another one or none is there, do nothing."""

    def link(self, path: str, seconds: float) -> BlobReference: ...
    def link_joined(self, name: str, seconds: float) -> BlobReference: ...
    def set_aside(self, dataset: Dataset, folder: str, report: bytes, reason: bytes, *, copy: bool = True) -> str:
        """Copy it into quarantine beside its reason, for machines and for people; return where the copy is.

        Without `copy`, which needs a blob that can be read, only the reason is written. Raises `DataChanged` when
        another version is there, or none.
        """

    def delete(self, dataset: Dataset) -> None:
        """Delete this version; where another one or none is there, do nothing."""

    def read_set_aside(self, path: str, folder: str) -> Iterator[bytes]:
        """Yield the copy in quarantine; raise `DataChanged` if it does not exist."""

    def put_back(self, path: str, folder: str, request_id: str) -> Dataset:
        """Copy it from quarantine to where it was, once for this request; return what is there then.

        Raises `DataChanged` when something else is there, or nothing in quarantine.
        """


@dataclass(frozen=True)
class KeptModel:
    """A model in the store, and when it was last kept or wanted."""

    model: Model
    touched: datetime
    etag: str


class Models(Protocol):
    """Every model that was a candidate or live, by content hash."""

    def keep(self, chunks: Iterator[bytes]) -> Model:
        """Store the model; one that is there already is touched."""

    def keep_folder(self, files: Files) -> Model:
        """Store a model of several files by the hash of its manifest, which is written last.

        Without its manifest a folder is not a kept model: what a run that died has left is written again. Raises
        `BadModel`.
        """

    def touch(self, model: Model) -> bool:
        """Make it as young as a new one, so that it is not removed before a record needs it; False if it is gone."""

    def listed(self) -> Iterator[KeptModel]: ...
    def remove(self, kept: KeptModel) -> bool:
        """Remove the model unless it was touched since, or is gone; return whether that was done."""

    def remove_unfinished(self, before: datetime) -> None:
        """Remove folders without a manifest of which no file was written since then."""

    def link(self, model: Model) -> BlobReference: ...
    def find(self, sha256: str) -> list[Model]:
        """Return the kept models whose hash begins so."""

    def identify(self, reference: BlobReference, known: Collection[Model] = ()) -> Model | None:
        """Return the kept model that the reference names, or None when it names another blob.

        One that is `known` is not looked up: the caller does not need to know that it is still there.
        """


class BlobReader(Protocol):
    """Reads blobs that a service names, from addresses that the configuration names."""

    def read(self, reference: BlobReference) -> Iterator[bytes]: ...
    def files(self, reference: BlobReference) -> Files:
        """Yield the files of a folder, each by its path in there; of a single blob that one, by its name."""


@dataclass(frozen=True)
class NotStarted:
    """The job is created or waits in the queue: from outside the two look the same."""


@dataclass(frozen=True)
class Running:
    pass


@dataclass(frozen=True)
class Failed:
    """`interrupted`: not by what it did, but because the service stopped while it ran."""

    details: str
    interrupted: bool = False


@dataclass(frozen=True)
class Cancelled:
    pass


@dataclass(frozen=True)
class Finished:
    """`results` by the names of the output ports; `metrics` of a service that gives no table of them."""

    results: Mapping[str, BlobReference]
    metrics: Mapping[str, str] | None = None


BesJob = NotStarted | Running | Failed | Cancelled | Finished


class BatchService(Protocol):
    """Runs jobs at a service: trainings, or the scoring of many rows by a predictive web service."""

    def submit(
        self, name: str, data: BlobReference | None, parameters: Mapping[str, str], champion: Model | None = None
    ) -> str:
        """Create a job and return its id. It trains nothing before it is started, or before its data is there.

        A service that names its jobs takes the `name` as the id, and the same name again finds the same job. The id of
        a job of Studio is Studio's own. `data` is for its input; None for a service that has none. `champion` is a kept
        model that a training gets to score rows with it too.
        """

    def start(self, bes_job: str) -> None:
        """Start it; a job that is started already is left as it is."""

    def status(self, bes_job: str) -> BesJob: ...
    def statuses(self, bes_jobs: Sequence[str]) -> Mapping[str, BesJob | RetrainingError]:
        """Return the states of many jobs in as few calls as the service allows; an error for one it does not give.

        The jobs may be of several pipelines whose training is at one place (`where`). A job that is left out is asked
        for by `status` of its own pipeline's service: one that has ended, whose outputs depend on the configuration.
        """

    def cancel(self, bes_job: str) -> None:
        """Cancel it; one that has ended, or that the service does not know, is left as it is."""


class Endpoint(Protocol):
    """One model of one predictive web service."""

    def model(self) -> BlobReference:
        """Return where its model came from, as the service says."""

    def update(self, model: BlobReference, wait: Wait) -> None:
        """Give it the model, and follow the operation to its end. Answering well proves nothing yet."""

    def score(self, rows: Rows) -> Rows:
        """Return the columns that the model fills (labels, probabilities), row by row."""

    @property
    def staging(self) -> Staging | None:
        """Return how a model is made ready beside the live one; None where an update replaces the live one."""


Endpoints = Mapping[str, Endpoint]


@dataclass(frozen=True)
class Ready:
    """The model answers beside the live one."""


@dataclass(frozen=True)
class Pending:
    """The service is at work; look again after so many seconds."""

    after: float


@dataclass(frozen=True)
class Refused:
    """The service cannot serve the model; the reason has the end of its log."""

    reason: str


@dataclass(frozen=True)
class Shares:
    """Who gets the calls of an endpoint: per cent by SHA-256 of the model; one that this app did not make ready has
    the name of its deployment. One without calls is left out, or has 0. `settled`: the service is not changing them.
    """

    of: Mapping[str, int]
    settled: bool


class Staging(Protocol):
    """An endpoint whose new model is made ready beside the live one, and then given a share of the calls.

    No method waits: each can be called again and again, and does what is still to do.
    """

    def adopt(self, model: Model) -> None:
        """Note at the service that what is live is this kept model."""

    def stage(self, model: Model) -> Ready | Pending | Refused:
        """Have the kept model answer beside the live one, without a share of the calls."""

    def score_staged(self, model: Model, rows: Rows) -> Rows:
        """Return what this model answers, whatever its share."""

    def score_pieces(self, model: Model, rows: Rows, begin: int) -> Iterator[Rows]:
        """Yield what this model answers from the row `begin` on, piece by piece; each is asked for when it is taken.

        All rows are given, so that a column has one type in all pieces.
        """

    def shares(self) -> Shares: ...
    def share(self, shares: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> Pending | None:
        """Give the models these shares, and the `mirror` a copy of calls; None once that is so, as read back."""

    def drop(self, model: Model) -> Pending | None:
        """Delete what serves the model, which has no share; None once it is gone."""

    def describe(self, model: Model) -> Mapping[str, str]:
        """Return where the model is served, for the history: workspace, endpoint, deployment and version by name.

        This makes no call.
        """
