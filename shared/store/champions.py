"""What each pipeline's endpoints serve, and what they served before.

champions/{pipeline}.json      what the endpoints serve and the change under way; written under its lease
active/changes/{pipeline}.json a mark while a change asked for by hand is under way
history/{pipeline}/{n}.json    what was live, one entry a change, written once, each with the hash of the one before
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from shared.base.decoding import Moment
from shared.base.errors import BadConfiguration, RecordChanged
from shared.base.threads import at_once, together
from shared.domain.champions import Champion, HistoryEntry
from shared.domain.ports import Documents, Lease
from shared.store.recent import Recent
from shared.store.shelf import Shelf, Stored, decode, encode

log = logging.getLogger("relearn.records")

SURE_FOR = timedelta(seconds=20)  #: after which a lease of a minute is renewed before it is relied on


class ChangeMark(msgspec.Struct, frozen=True):
    """When to ask next for the change under way to be finished."""

    not_before: Moment


@dataclass(frozen=True)
class FoundChampion:
    """The champion's record as it was read. `held`: its last holder has it, or did not give it back."""

    stored: Stored[Champion]
    held: bool


@dataclass
class HeldChampion:
    """The champion's record while this run alone may write it.

    `abandoned`: the run before did not give it back. It may have died, or have been stopped and go on some day.
    """

    _shelf: Shelf[Champion]
    _stored: Stored[Champion]
    _lease: Lease
    _now: Callable[[], datetime]
    _renewed: datetime
    abandoned: bool
    #: done while the record is given back: neither needs the other
    last_of_all: list[Callable[[], None]] = field(default_factory=list)

    @property
    def champion(self) -> Champion:
        return self._stored.record

    def write_later(self, champion: Champion) -> None:
        """Have the next `save` write this too. Without a next save nothing is lost."""
        self._stored = self._stored.ahead(champion)

    def save(self, champion: Champion) -> None:
        self._stored = self._shelf.save(self._stored, champion, self._lease)

    def renew(self) -> None:
        """Keep the right to write and to change the endpoints, or raise `Busy`.

        A lease that ran out is renewed only while nobody leased or wrote the record since: no run has overtaken this.
        """
        asked = self._now()
        self._lease.renew()
        self._renewed = asked

    def keep(self) -> None:
        """Renew the lease unless that was done a short time ago: nobody else can have the record then."""
        if not timedelta() <= self._now() - self._renewed < SURE_FOR:
            self.renew()


class ChampionRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._champions = Shelf(documents, Champion, "champions", Recent())
        self._history = Shelf(documents, HistoryEntry, "history")
        self._changes = Shelf(documents, ChangeMark, "active/changes")

    def load(self, pipeline: str) -> Champion:
        return self._champions.record(pipeline) or Champion(pipeline=pipeline)

    def pipelines(self) -> list[str]:
        """Return the pipelines whose endpoints are recorded, also those that the file does not have any more."""
        return [*self._champions.listed()]

    def look(self, pipeline: str, *, recent: bool = False) -> FoundChampion:
        """Return the champion's record as `hold` takes it: with `recent`, as this process has last written it.

        Who has it while no change is under way has changed nothing, so that it need not be known.
        """
        name = self._champions.name(pipeline)
        if recent and (known := self._champions.known(pipeline)) and known.record.change is None:
            return FoundChampion(known, held=False)
        if document := self._documents.read(name):
            stored = Stored(name, decode(document.content, Champion, name), document.etag)
            return FoundChampion(stored, held=document.held)
        return FoundChampion(Stored(name, Champion(pipeline=pipeline), ""), held=False)

    @contextmanager
    def hold(self, found: FoundChampion, now: Callable[[], datetime]) -> Iterator[HeldChampion]:
        """Give this run alone the champion's record; raise `Busy` when another has it, or has just had it.

        The record is leased as it was read, so that it need not be read again. Only before it is leased it shows
        whether its last holder gave it back.
        """
        stored = found.stored
        if not stored.etag:
            pipeline = stored.record.pipeline
            stored = self._champions.create(pipeline, stored.record) or self._champions.require(pipeline)
        since = now()
        self._champions.forget(stored.name)  # until it is written again
        with ExitStack() as given_back:
            lease = given_back.enter_context(self._documents.lease(stored.name, stored.etag))
            held = HeldChampion(self._champions, stored, lease, now, since, abandoned=found.held)
            yield held
            together(given_back.close, *held.last_of_all)

    def entry(self, pipeline: str, number: int) -> HistoryEntry | None:
        return self._history.record(_key(pipeline, number))

    def append(self, champion: Champion, entry: HistoryEntry) -> Champion:
        """Write the entry as the next of the champion's history; return the champion's record that names it.

        A run that died before it could name the entry in the champion's record left it behind: the same
        entry is not written twice, another one stays in the history and this one comes after it.
        """
        chain, number = champion.head, champion.last + 1
        while True:
            name = self._history.name(_key(champion.pipeline, number))
            entry = msgspec.structs.replace(entry, number=number, chain=chain)
            content = encode(entry)
            if self._documents.create(name, content) is None:
                document = self._documents.read(name)
                if document is None:
                    raise RecordChanged(f"The record {name} is gone")
                content, there = document.content, decode(document.content, HistoryEntry, name)
                if (there.action, there.models, there.job) != (entry.action, entry.models, entry.job):
                    chain, number = hashlib.sha256(content).hexdigest(), number + 1
                    continue
                entry = there
            return champion.serving(entry, hashlib.sha256(content).hexdigest())

    def entries(self, pipeline: str) -> Iterator[tuple[HistoryEntry, str]]:
        """Yield the whole history with the SHA-256 of each entry as it is stored, oldest first."""
        for name, content in self.stored_history(pipeline):
            yield decode(content, HistoryEntry, name), hashlib.sha256(content).hexdigest()

    def stored_history(self, pipeline: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the content of each entry as it is stored, oldest first."""
        for name in self._documents.names(f"history/{pipeline}/"):
            if document := self._documents.read(name):
                yield name, document.content

    def mark_change(self, pipeline: str, not_before: datetime) -> None:
        self._changes.put(pipeline, ChangeMark(not_before))

    def unmark_change(self, pipeline: str) -> None:
        self._changes.delete(pipeline)

    def changes_to_finish(self, marked: Sequence[str], now: datetime) -> list[str]:
        """Return the pipelines, of those marked, whose change by hand was left unfinished.

        Also where the mark cannot be read.
        """
        due = at_once(lambda pipeline: self._is_due(pipeline, now), marked)
        return [pipeline for pipeline, is_due in zip(marked, due, strict=True) if is_due]

    def _is_due(self, pipeline: str, now: datetime) -> bool:
        try:
            mark = self._changes.load(pipeline)
            return mark is not None and mark.record.not_before <= now
        except BadConfiguration as error:
            log.error("%s; the change is finished now", error)
            return True


def _key(pipeline: str, number: int) -> str:
    return f"{pipeline}/{number:06}"
