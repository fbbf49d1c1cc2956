"""Records of arrivals, and their names. Every write is conditional; nothing is deleted but marks.

arrivals/{pipeline}/{id}.json         one version of one blob, and what became of it
active/arrivals/{pipeline}/{id}.json  a mark while it is open, so that taking up costs what is open, not what ever came;
                                      it has the arrival as it was seen, until the first step writes the record
contents/{pipeline}/{sha256}.json     which arrival had this content first
batches/{pipeline}.json               the batch that is being closed: its job or its faults, and the arrivals of it
moved/{pipeline}/{sha256}.json        by its path's digest: which arrival took the original of a path into quarantine
profiles/{pipeline}/{id}.json         what an arrival's data looks like, where drift is asked for
profiles/{pipeline}.json              what the last accepted data looked like
sweeps/{container}.json               how far the container was reconciled with these records
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from shared.base.decoding import Moment
from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.checks import Fault, Profile
from shared.domain.jobs import RetrainingJob
from shared.domain.ports import Documents
from shared.store.recent import Recent
from shared.store.shelf import MarkedShelf, Shelf, Stored, decode, encode, stem

log = logging.getLogger("relearn.records")

COUNTING = (ArrivalState.SETTLING, ArrivalState.READY, ArrivalState.TAKEN)  #: the data is, or will be, trained on


class OpenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The batch that was closed last: its job or its faults, for which all of it is refused, and its arrivals.

    As long as one of these is open, the job may not be recorded yet.
    """

    job: RetrainingJob | None = None
    faults: tuple[Fault, ...] = ()
    arrivals: tuple[str, ...]


class Batches(msgspec.Struct, frozen=True, kw_only=True):
    """The batch that was closed last, and `last`, the last job of one."""

    closing: OpenBatch | None = None
    last: str | None = None
    scheduled: Moment | None = None  #: up to when the pipeline's schedule was looked at

    @property
    def newest(self) -> str | None:
        """The last job of a batch; an earlier version wrote `last` only once the batch was finished."""
        return self.closing.job.id if self.closing and self.closing.job else self.last


class PutBack(msgspec.Struct, frozen=True, kw_only=True):
    """What a request puts back: `source`, whose copy it is, and the arrival that this became, once it is recorded."""

    source: str
    arrival: str | None = None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose original went into quarantine: last by `arrival`. `requests` have put it back since, by their id."""

    path: str
    arrival: str
    requests: dict[str, PutBack] = {}


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    arrival: str


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    until: Moment


class ArrivalRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._arrivals = MarkedShelf(documents, Arrival, "arrivals")
        self._contents, self._moved = Shelf(documents, _Content, "contents"), Shelf(documents, Moved, "moved")
        self._batches = Shelf(documents, Batches, "batches", Recent())
        self._profiles, self._sweeps = Shelf(documents, Profile, "profiles"), Shelf(documents, Sweep, "sweeps")

    def announce(self, arrival: Arrival) -> None:
        """Mark the arrival; its first step writes the record. The mark of one that has ended is taken off then."""
        name = self._arrivals.marks.name(_key(arrival.pipeline, arrival.id))
        if self._documents.create(name, encode(arrival), shown=True):
            log.info("%s arrived, for pipeline %s", arrival.dataset.path, arrival.pipeline)

    def load(self, pipeline: str, arrival_id: str) -> Stored[Arrival] | None:
        """Return the arrival's record, or what its mark has where no step has written the record yet."""
        return self._arrivals.load(_key(pipeline, arrival_id))

    def require(self, pipeline: str, arrival_id: str) -> Stored[Arrival]:
        return self._arrivals.require(_key(pipeline, arrival_id))

    def save(self, stored: Stored[Arrival], arrival: Arrival) -> Stored[Arrival]:
        """Write the record, and take the mark off an arrival that is done with."""
        saved = self._arrivals.save(stored, arrival)
        if not arrival.open:
            self.close(arrival)
        return saved

    def close(self, arrival: Arrival) -> None:
        self._arrivals.marks.delete(_key(arrival.pipeline, arrival.id))

    def active(
        self, pipeline: str, marked: Mapping[str, bytes | None] | None = None, new_since: datetime | None = None
    ) -> list[Stored[Arrival]]:
        """Return the open arrivals, of those `marked` if these are given.

        Those that were first seen after `new_since` are not looked up: they have no record yet, or a write of it fails.
        One whose record cannot be read is left out: it must not hold up the others.
        """
        if marked is None:
            marked = {stem(name): content for name, content in self._documents.shown(f"active/arrivals/{pipeline}/")}

        def look_up(mark: tuple[str, bytes | None]) -> Stored[Arrival] | None:
            try:
                return self._open(pipeline, *mark, new_since)
            except BadConfiguration as error:
                log.error("%s", error)
                return None

        return [stored for stored in at_once(look_up, marked.items()) if stored]

    def _open(
        self, pipeline: str, arrival_id: str, content: bytes | None, new_since: datetime | None
    ) -> Stored[Arrival] | None:
        key = _key(pipeline, arrival_id)
        known = self._arrivals.known(key)
        if known and known.record.open:
            return known  # whoever ends it takes its mark off; other writes make the next one fail
        seen = decode(content, Arrival, self._arrivals.marks.name(key)) if content else None
        if seen and new_since and seen.seen_at >= new_since:
            return self._arrivals.announced(key, seen)
        return self.still_open(self._arrivals.load(key, seen))

    def still_open(self, stored: Stored[Arrival] | None) -> Stored[Arrival] | None:
        """Take the mark off an arrival that has ended; return one that has not."""
        if stored and not stored.record.open:
            self.close(stored.record)  # the run that ended it died before, or its event came again
            return None
        return stored

    def known(self, prefix: str) -> list[str]:
        """Return the pipelines, by names that begin so, that data was taken up for."""
        return [*self._batches.listed(prefix)]

    def ids(self, pipeline: str | None = None) -> list[tuple[str, str]]:
        """Return pipeline and id of every arrival, of one pipeline or of all, the newest versions first."""
        keys = {*self._keys(f"{pipeline}/" if pipeline else "")}
        found = [(name, arrival_id) for name, _, arrival_id in (key.partition("/") for key in keys)]
        return sorted(found, key=lambda each: each[1], reverse=True)

    def ids_that_begin(self, pipeline: str, beginning: str) -> frozenset[str]:
        """Return the ids, of the pipeline's arrivals, that begin so."""
        return frozenset(key.partition("/")[2] for key in self._keys(f"{pipeline}/{beginning}"))

    def _keys(self, beginning: str) -> Iterator[str]:
        """Yield the keys of the records that begin so, and of the marks: some have no record yet."""
        yield from self._arrivals.listed(beginning)
        yield from self._arrivals.marks.listed(beginning)

    def newest(self, pipeline: str, now: datetime) -> Arrival | None:
        """Return the arrival of the newest version; looked for by day, month and year, so that no history is listed."""
        for period in ("%Y%m%d", "%Y%m", "%Y", ""):
            if ids := self.ids_that_begin(pipeline, now.strftime(period)):
                return self.require(pipeline, max(ids)).record
        return None

    def first_with(self, arrival: Arrival, sha256: str) -> Stored[Arrival] | None:
        """Return the arrival that had this content before: another that is open or taken, or this one as it is now.

        None if there is none: then the content is this arrival's from now on.
        """
        key, claim = _key(arrival.pipeline, sha256), _Content(arrival=arrival.id)
        while self._contents.create(key, claim) is None:
            there = self._contents.load(key)
            if there is None:
                continue
            stored = self.load(arrival.pipeline, there.record.arrival)
            if there.record.arrival == arrival.id or (stored and stored.record.state in COUNTING):
                return stored
            self._contents.save(there, claim)
            return None
        return None

    def recent_batches(self, pipeline: str) -> Stored[Batches]:
        """Return it as this process knows it: if another run wrote, the next write fails."""
        return self._batches.known(pipeline) or self.batches(pipeline)

    def batches(self, pipeline: str) -> Stored[Batches]:
        """Return the batch that is being closed, if one is."""
        found = self._batches.load(pipeline) or self._batches.create(pipeline, Batches())
        return found or self._batches.require(pipeline)

    def save_batches(self, stored: Stored[Batches], batches: Batches) -> Stored[Batches]:
        return self._batches.save(stored, batches)

    def moved(self, pipeline: str, path: str) -> Stored[Moved] | None:
        return self._moved.load(_moved(pipeline, path))

    def save_moved(self, stored: Stored[Moved], moved: Moved) -> Stored[Moved]:
        return self._moved.save(stored, moved)

    def note_moved(self, arrival: Arrival) -> None:
        """Record that the arrival's original goes into quarantine, so that its path leads there."""
        moved = Moved(path=arrival.dataset.path, arrival=arrival.id)
        if self._moved.create(_moved(arrival.pipeline, moved.path), moved) is None:
            stored = self.moved(arrival.pipeline, moved.path)
            if stored and stored.record.arrival != arrival.id:
                self.save_moved(stored, msgspec.structs.replace(stored.record, arrival=arrival.id))

    def profile(self, pipeline: str) -> Profile | None:
        """Return what the last accepted data looked like, for the next to be compared with."""
        return self._profiles.record(pipeline)

    def keep_profile(self, arrival: Arrival, profile: Profile) -> None:
        self._profiles.put(_key(arrival.pipeline, arrival.id), profile)

    def accept_profile(self, arrival: Arrival) -> None:
        """Have what comes next compared with this one."""
        if kept := self.profile(_key(arrival.pipeline, arrival.id)):
            self._profiles.put(arrival.pipeline, kept)

    def swept_until(self, container: str) -> datetime | None:
        try:
            stored = self._sweeps.load(container)
            return stored.record.until if stored else None
        except BadConfiguration as error:
            log.error("%s; all of the container is swept", error)
            return None

    def set_swept(self, container: str, until: datetime) -> None:
        self._sweeps.put(container, Sweep(until=until))


def _key(pipeline: str, of_pipeline: str) -> str:
    return f"{pipeline}/{of_pipeline}"


def _moved(pipeline: str, path: str) -> str:
    return _key(pipeline, hashlib.sha256(path.encode()).hexdigest())
