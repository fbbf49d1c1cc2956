"""What is written down, and under which names. Every write is conditional; nothing is deleted but marks.

jobs/{id}.json                 one retraining
active/jobs/{id}.json          a mark while the job is not final, so that a poll costs what is active, not all
parked/{fleet}/{id}.json       a mark in place of that one while an accepted job waits for a rollout of its fleet
champions/{pipeline}.json      what the endpoints serve and the change under way; written under its lease
active/changes/{pipeline}.json a mark while a change asked for by hand is under way
active/watches/{pipeline}.json what is looked at after a change, until its bake time is over
history/{pipeline}/{n}.json    what was live, one entry a change, written once, each with the hash of the one before
requests/{id}.json             what became of a message sent by hand, or one that could not be carried out
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec

from shared.base.decoding import Moment, from_json
from shared.base.errors import BadConfiguration, BadMessage, Busy, RecordChanged
from shared.domain.champions import Champion, HistoryEntry, Watch
from shared.domain.jobs import RetrainingJob, pipeline_of
from shared.domain.messages import Request
from shared.domain.ports import Documents, Lease

T = TypeVar("T")

log = logging.getLogger("relearn.records")


@dataclass(frozen=True)
class StoredJob:
    """A job and the version of its record that it was read from."""

    job: RetrainingJob
    etag: str


@dataclass(frozen=True)
class StoredWatch:
    watch: Watch
    etag: str


class ChangeMark(msgspec.Struct, frozen=True):
    """When to ask next for the change under way to be finished."""

    not_before: Moment


class HeldChampion:
    """The champion's record while this run alone may write it.

    `abandoned`: the run before did not give it back. It may have died, or have been stopped and go on some day.
    """

    def __init__(
        self, documents: Documents, name: str, champion: Champion, etag: str, lease: Lease, *, abandoned: bool
    ) -> None:
        self.champion, self.abandoned = champion, abandoned
        self._documents, self._name, self._etag, self._lease = documents, name, etag, lease

    def save(self, champion: Champion) -> None:
        self._etag = self._documents.replace(self._name, encode(champion), self._etag, self._lease)
        self.champion = champion

    def renew(self) -> None:
        """Keep the right to write, or raise `Busy`."""
        self._lease.renew()

    def confirm(self) -> None:
        """Raise `Busy` unless this run still is the one that may change the endpoints, by lease and by fence."""
        self._lease.renew()
        document = self._documents.read(self._name)
        fence = decode(document.content, Champion, self._name).fence if document else None
        if fence != self.champion.fence:
            raise Busy(
                f"Another run has overtaken this one: the fence is {fence}, and this run's {self.champion.fence}"
            )


class Records:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def open(self, job: RetrainingJob) -> StoredJob:
        """Record the job, or return the record that is there already."""
        if stored := self.load(job.id):
            return stored
        self._documents.create(_active(job.id), encode(job))
        etag = self._documents.create(_job(job.id), encode(job))
        return StoredJob(job, etag) if etag else self.require(job.id)

    def load(self, job_id: str) -> StoredJob | None:
        document = self._documents.read(_job(job_id))
        if document is None:
            return None
        return StoredJob(decode(document.content, RetrainingJob, _job(job_id)), document.etag)

    def require(self, job_id: str) -> StoredJob:
        stored = self.load(job_id)
        if stored is None:
            raise RecordChanged(f"Job {job_id} has no record")
        return stored

    def of(self, request: Request) -> StoredJob:
        """Return the job that a message names, or raise `BadMessage`."""
        stored = self.load(request.job) if request.job else None
        if stored is None or stored.job.pipeline != request.pipeline:
            raise BadMessage(f"Pipeline {request.pipeline} has no job {request.job}")
        return stored

    def save(self, stored: StoredJob, job: RetrainingJob) -> StoredJob:
        etag = self._documents.replace(_job(job.id), encode(job), stored.etag)
        return StoredJob(job, etag)

    def close(self, job: RetrainingJob) -> None:
        """Take the final job off the list of active ones."""
        self._documents.delete(_active(job.id))

    def active(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of the jobs, of one pipeline or of all, that may not be final yet."""
        names = self._documents.names(f"active/jobs/{pipeline}-" if pipeline else "active/jobs/")
        return [job_id for job_id in map(stem, names) if pipeline is None or pipeline_of(job_id) == pipeline]

    def activate(self, job: RetrainingJob) -> None:
        self._documents.create(_active(job.id), encode(job))

    def park(self, job: RetrainingJob, fleet: str) -> None:
        """Have the accepted job wait for a rollout of the fleet, which no poll looks at."""
        self._documents.create(_parked(fleet, job.id), b"{}")
        self.close(job)

    def parked(self, fleet: str | None = None) -> list[str]:
        """Return the ids of the jobs that wait for a rollout of the fleet, or of any."""
        return [stem(name) for name in self._documents.names(f"parked/{fleet}/" if fleet else "parked/")]

    def unpark(self, fleet: str, job_id: str) -> None:
        self._documents.delete(_parked(fleet, job_id))

    def job_ids(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of all jobs, or of the pipeline's, those of the newest data first."""
        ids = [stem(name) for name in self._documents.names(f"jobs/{pipeline}-" if pipeline else "jobs/")]
        ids = [each for each in ids if pipeline in (None, pipeline_of(each))]
        return sorted(ids, key=lambda each: each.rsplit("-", 2)[1:], reverse=True)

    def take_up(self, job_id: str) -> StoredJob | None:
        """Return an active job's record; write it anew if the run that marked it died before it could."""
        if stored := self.load(job_id):
            return stored
        mark = self._documents.read(_active(job_id))
        return self.open(decode(mark.content, RetrainingJob, _active(job_id))) if mark else None

    def look_at(self, job_id: str) -> RetrainingJob | None:
        """Return an active job as its record has it, or the mark of a run that has not written the record yet."""
        if stored := self.load(job_id):
            return stored.job
        mark = self._documents.read(_active(job_id))
        return decode(mark.content, RetrainingJob, _active(job_id)) if mark else None

    def is_readable(self, job_id: str) -> bool:
        try:
            self.look_at(job_id)
        except BadConfiguration as error:
            log.error("%s", error)
            return False
        return True

    def champion(self, pipeline: str) -> Champion:
        document = self._documents.read(_champion(pipeline))
        return decode(document.content, Champion, _champion(pipeline)) if document else Champion(pipeline=pipeline)

    def champions(self) -> Iterator[Champion]:
        """Yield every champion's record, also those of pipelines that the file has no more."""
        for name in self._documents.names("champions/"):
            yield self.champion(stem(name))

    def pipelines(self) -> list[str]:
        """Return the pipelines whose endpoints there is a record of."""
        return [stem(name) for name in self._documents.names("champions/")]

    @contextmanager
    def hold(self, pipeline: str) -> Iterator[HeldChampion]:
        """Give this run alone the champion's record; raise `Busy` when another has it."""
        name = _champion(pipeline)
        former = self._documents.read(name)
        if former is None:
            self._documents.create(name, encode(Champion(pipeline=pipeline)))
        with self._documents.lease(name) as lease:
            document = self._documents.read(name)
            if document is None:
                raise RecordChanged(f"{name} is gone")
            champion = decode(document.content, Champion, name)
            yield HeldChampion(
                self._documents, name, champion, document.etag, lease, abandoned=former is not None and former.held
            )

    def history(self, pipeline: str, number: int) -> HistoryEntry | None:
        name = _history(pipeline, number)
        document = self._documents.read(name)
        return decode(document.content, HistoryEntry, name) if document else None

    def append(self, champion: Champion, entry: HistoryEntry) -> Champion:
        """Write the entry as the next of the champion's history; return the champion's record that names it.

        A run that died before it could name the entry in the champion's record left it behind: the same
        entry is not written twice, another one stays in the history and this one comes after it.
        """
        chain, number = champion.head, champion.last + 1
        while True:
            name = _history(champion.pipeline, number)
            entry = msgspec.structs.replace(entry, number=number, chain=chain)
            content = encode(entry)
            if self._documents.create(name, content) is None:
                document = self._documents.read(name)
                if document is None:
                    raise RecordChanged(f"{name} is gone")
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
        self._put(_change(pipeline), encode(ChangeMark(not_before)))

    def unmark_change(self, pipeline: str) -> None:
        self._documents.delete(_change(pipeline))

    def changes_to_finish(self, now: datetime) -> list[str]:
        """Return the pipelines whose change by hand was left unfinished; also where the mark cannot be read."""
        return [stem(name) for name in self._documents.names("active/changes/") if self._is_due(name, now)]

    def _is_due(self, mark: str, now: datetime) -> bool:
        document = self._documents.read(mark)
        try:
            return document is not None and decode(document.content, ChangeMark, mark).not_before <= now
        except BadConfiguration as error:
            log.error("%s; the change is finished now", error)
            return True

    def watch(self, pipeline: str, watch: Watch) -> None:
        """Have the pipeline's endpoints looked at, in place of an earlier watch."""
        self._put(_watch(pipeline), encode(watch))

    def watched(self) -> list[str]:
        """Return the pipelines whose endpoints are to be looked at."""
        return [stem(name) for name in self._documents.names("active/watches/")]

    def load_watch(self, pipeline: str) -> StoredWatch | None:
        document = self._documents.read(_watch(pipeline))
        return StoredWatch(decode(document.content, Watch, _watch(pipeline)), document.etag) if document else None

    def save_watch(self, pipeline: str, stored: StoredWatch, watch: Watch) -> StoredWatch:
        return StoredWatch(watch, self._documents.replace(_watch(pipeline), encode(watch), stored.etag))

    def unwatch(self, pipeline: str, stored: StoredWatch) -> None:
        """End this watch, or raise `RecordChanged`: a promotion has begun another one."""
        self._documents.delete(_watch(pipeline), stored.etag)

    def note_request(self, request_id: str, note: dict[str, str]) -> None:
        """Write down what became of a message, in place of what was said of an earlier try."""
        self._put(f"requests/{request_id}.json", msgspec.json.encode(note))

    def requests(self) -> list[tuple[str, datetime]]:
        """Return the ids of the messages of which something is written down, and when it was, the newest first."""
        return [(stem(name), at) for name, at in self._documents.latest("requests/")]

    def request(self, request_id: str) -> dict[str, str]:
        """Return what is written down about a message: its outcome, and of some the pipeline, who asked, and why."""
        name = f"requests/{request_id}.json"
        document = self._documents.read(name)
        return decode(document.content, dict[str, str], name) if document else {}

    def outcome(self, request_id: str) -> str | None:
        """Return what is said of a message: `done: ...`, or `not done`, `not yet`, `failed`, `refused`."""
        return self.request(request_id).get("outcome")

    def _put(self, name: str, content: bytes) -> None:
        if self._documents.create(name, content) is None and (document := self._documents.read(name)):
            self._documents.replace(name, content, document.etag)


def encode(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record)


def decode(content: bytes, kind: type[T], name: str) -> T:
    try:
        return from_json(content, kind)
    except msgspec.MsgspecError as error:
        raise BadConfiguration(f"The record {name} cannot be read: {error}") from None


def _job(job_id: str) -> str:
    return f"jobs/{job_id}.json"


def _active(job_id: str) -> str:
    return f"active/jobs/{job_id}.json"


def _parked(fleet: str, job_id: str) -> str:
    return f"parked/{fleet}/{job_id}.json"


def _champion(pipeline: str) -> str:
    return f"champions/{pipeline}.json"


def _change(pipeline: str) -> str:
    return f"active/changes/{pipeline}.json"


def _watch(pipeline: str) -> str:
    return f"active/watches/{pipeline}.json"


def _history(pipeline: str, number: int) -> str:
    return f"history/{pipeline}/{number:06}.json"


def stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".json")
