"""What was dropped, from its first event to the job that takes it, and which of it makes a batch. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.base.budgets import CALL_SECONDS
from shared.base.decoding import Moment
from shared.domain.checks import Checks, Fault, Summary, asked_of_all, summed
from shared.domain.jobs import BatchFile, Dataset
from shared.domain.services import FilePart, default_duration
from shared.domain.values import Duration


class ArrivalState(Enum):
    SETTLING = "settling"  #: its size and ETag have to be still first
    READY = "ready"  #: still, whole, checked; its batch is not closed yet
    TAKEN = "taken"  #: in a job
    SAME = "same"  #: its very content was there before
    SUPERSEDED = "superseded"  #: newer data took its place before it was its turn
    MOVING = "moving"  #: set aside with its fault; the original is to be deleted
    QUARANTINED = "quarantined"  #: set aside with its fault
    GONE = "gone"  #: overwritten or deleted before it was taken


_S = ArrivalState
CHECKS_AT_MOST = 3  #: checks of one arrival that begin; of a file that stops its reader none ever ends
CHECK_LASTS = timedelta(seconds=CALL_SECONDS)  #: at most, as the host ends a call after that
NEXT = {
    # Straight to TAKEN: that it is ready is not written where it is taken at once.
    _S.SETTLING: frozenset({_S.READY, _S.TAKEN, _S.SAME, _S.MOVING, _S.QUARANTINED, _S.GONE}),
    _S.READY: frozenset({_S.TAKEN, _S.SUPERSEDED, _S.MOVING, _S.QUARANTINED, _S.GONE}),
    _S.MOVING: frozenset({_S.QUARANTINED}),
}


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one blob for one pipeline, as it is stored. Times are UTC."""

    id: str
    pipeline: str
    dataset: Dataset
    seen_at: Moment
    state: ArrivalState = ArrivalState.SETTLING
    at: Moment  #: of the last change of state
    problem: str | None = None  #: why its blob cannot be read or moved now; None when all is well
    not_before: Moment | None = None  #: its blob is not looked at until then
    checks: int = 0  #: that began and did not end; counted before each
    checked_at: Moment | None = None  #: when the last of them began
    sha256: str | None = None
    summary: Summary | None = None  #: of what was read, for what is asked of its whole batch
    marker: bool = False  #: it carries no data: it says that its folder is complete
    files: tuple[Listed, ...] | None = None  #: what a manifest lists; None is the whole folder
    job: str | None = None  #: that took it, or had the same content
    reason: str | None = None
    moved: str | None = None  #: where in quarantine the original went, if it did not stay
    replay: str = ""  #: the message that asked for it to be taken up again

    @property
    def open(self) -> bool:
        return self.state in NEXT

    @property
    def rows(self) -> int | None:
        return self.summary.rows if self.summary else None

    @property
    def folder(self) -> str:
        """The blob's folder with a final slash; empty at the top."""
        return self.dataset.path.rpartition("/")[0] + "/" if "/" in self.dataset.path else ""

    def become(self, state: ArrivalState, at: datetime, **facts: Any) -> Arrival:
        """Return the arrival one step further. Every change of state goes through here."""
        assert state in NEXT.get(self.state, ()), f"arrival {self.id} is {self.state.value}, not to be {state.value}"
        return msgspec.structs.replace(self, **{"problem": None, "not_before": None, **facts}, state=state, at=at)

    def waiting(self, until: datetime, problem: str) -> Arrival:
        """Return the arrival with a problem that a person or time may solve; it delays no other until then."""
        return msgspec.structs.replace(self, not_before=until, problem=problem)

    def checking(self, at: datetime) -> Arrival:
        """Return the arrival with a check begun."""
        return msgspec.structs.replace(self, checks=self.checks + 1, checked_at=at)

    def never_checked(self, now: datetime) -> str | None:
        """Return None where a check may begin, "" while the last one may go on, or why none begins any more."""
        if self.checks < CHECKS_AT_MOST or self.checked_at is None:
            return None
        if now - self.checked_at < CHECK_LASTS:
            return ""
        return (
            f"{self.dataset.path}: {self.checks} checks began and none ended, the last at {self.checked_at:%H:%M} UTC; "
            "the file may be made to stop its reader. Look at it, then replay it or upload it in another form"
        )

    def as_part(self) -> BatchFile:
        assert self.sha256 is not None, "what is ready is hashed"
        return BatchFile(dataset=self.dataset, sha256=self.sha256, rows=self.rows)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a manifest lists: its path within the manifest's folder, and its content's SHA-256 if given."""

    path: str
    sha256: str | None = None


def arrival_id(dataset: Dataset, replay: str = "") -> str:
    """Return the one id of this version of the blob: the same event twice must find the same record."""
    digest = hashlib.sha256(f"{dataset.path}\n{dataset.etag}\n{replay}".encode()).hexdigest()
    return f"{dataset.modified:%Y%m%dT%H%M%S}-{digest[:16]}"


def arrived(arrival_id: str, pipeline: str, dataset: Dataset, now: datetime, **facts: Any) -> Arrival:
    """Return the first record of a version of a blob."""
    return Arrival(id=arrival_id, pipeline=pipeline, dataset=dataset, seen_at=now, at=now, **facts)


class ArrivalSettings(FilePart, frozen=True, kw_only=True):
    """When dropped data is whole, and what of it makes one retraining."""

    settle: Annotated[Duration, Meta(description="How long a blob must be unchanged; 10s")] = default_duration("10s")
    batch: Annotated[
        Literal["each", "quiet", "marker"],
        Meta(description="Each blob by itself; all until nothing came for a while; all of a folder with a marker"),
    ] = "each"
    quiet: Annotated[Duration, Meta(description="How long nothing must come, with batch: quiet; 5m")] = (
        default_duration("5m")
    )
    at_most: Annotated[Duration, Meta(description="Longest wait for a batch; 1h")] = default_duration("1h")
    marker: Annotated[str, Meta(description="Name of the marker; one in .json lists files and hashes")] = "_SUCCESS"
    rows: Annotated[
        Literal["new", "all"], Meta(description="Train on the new rows, or on those of the live model and the new")
    ] = "new"
    jobs: Annotated[int, Meta(ge=1, description="Jobs of the pipeline that run at once; 2")] = 2
    refused: Annotated[
        Literal["stay", "move"],
        Meta(description="Refused data is copied into quarantine; the original stays, or is deleted then"),
    ] = "stay"

    @property
    def several(self) -> bool:
        """Whether several files may make one retraining, so that one of them says nothing about the whole."""
        return self.batch != "each"

    def joins(self, files: int) -> bool:
        """Return whether a training on that many files reads a copy that is made for it."""
        return files > 1 or self.rows == "all"


class Decision(msgspec.Struct, frozen=True):
    """`batch` makes the next job; `superseded` are left out, as the batch is newer; `refused` with the reason."""

    batch: tuple[Arrival, ...] = ()
    superseded: tuple[Arrival, ...] = ()
    refused: tuple[tuple[Arrival, str], ...] = ()


def next_batch(arrivals: Sequence[Arrival], settings: ArrivalSettings, now: datetime) -> Decision:
    """Return which of the open arrivals of a pipeline make the next job, when there is room for one."""
    ready = sorted(
        (each for each in arrivals if each.state is ArrivalState.READY),
        key=lambda each: (each.dataset.modified, each.seen_at, each.dataset.path),
    )
    data = [each for each in ready if not each.marker]
    match settings.batch:
        case "each":
            *older, newest = data or (None,)
            return Decision((newest,), tuple(filter(None, older))) if newest else Decision()
        case "quiet":
            return _quiet(data, [each for each in arrivals if not each.marker], settings, now)
        case "marker":
            return _marked(ready, arrivals, settings, now)


def faults_of(batch: Sequence[Arrival], checks: Checks) -> tuple[Fault, ...]:
    """Return the faults of the new rows of a batch as a whole; each file by itself has passed its checks."""
    data = [each for each in batch if not each.marker]
    name = f"The batch of {_listed(each.dataset.path for each in data)}"
    return tuple(asked_of_all(name, checks, summed(each.summary for each in data if each.summary)))


def _quiet(data: list[Arrival], arrivals: Sequence[Arrival], settings: ArrivalSettings, now: datetime) -> Decision:
    if not data:
        return Decision()
    waited = now - min(each.seen_at for each in data)
    still = now - max(each.seen_at for each in arrivals)
    settling = any(each.state is ArrivalState.SETTLING and not each.problem for each in arrivals)
    if waited >= timedelta(seconds=settings.at_most) or (still >= timedelta(seconds=settings.quiet) and not settling):
        return Decision(tuple(data))
    return Decision()


def _marked(ready: list[Arrival], arrivals: Sequence[Arrival], settings: ArrivalSettings, now: datetime) -> Decision:
    """Return the batch of the oldest marker whose files are all there. Other data waits for its own marker."""
    for marker in (each for each in ready if each.marker):
        data = [each for each in ready if not each.marker and each.dataset.path.startswith(marker.folder)]
        late = now - marker.seen_at >= timedelta(seconds=settings.at_most)
        if marker.files is None:
            coming = [each for each in arrivals if each.state is ArrivalState.SETTLING and each.folder == marker.folder]
            if data and (late or not coming):
                return Decision((*data, marker))
            if late:
                return Decision(refused=((marker, f"no data came to {marker.folder} within {settings.at_most:.0f} s"),))
            continue
        by_path = {each.dataset.path.removeprefix(marker.folder): each for each in data}
        missing = [each.path for each in marker.files if each.path not in by_path]
        if not missing:
            wrong = [each.path for each in marker.files if each.sha256 not in (None, by_path[each.path].sha256)]
            if not wrong:
                return Decision((*(by_path[each.path] for each in marker.files), marker))
            if late:
                reason = f"the content of {wrong[0]} is another than the manifest's: its SHA-256 differs"
                return Decision(refused=((marker, reason),))
        elif late:
            reason = f"{_listed(missing)} did not come within {settings.at_most:.0f} s"
            return Decision(refused=((marker, reason),))
    return Decision()


def _listed(names: Iterable[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more" if others else first
