"""What the Studio knows, in one SQLite file: services, endpoints, jobs, operations.

The file holds keys, so only its owner may read it. Every process that opens it sees every other's writes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from studio.errors import not_found

T = TypeVar("T", bound="Record")


class Record(msgspec.Struct, kw_only=True):
    """Something kept by its id, listed by its parent in the order it was made."""

    id: str
    parent: str = ""


class Identity(Record):
    """Who this Studio is: one workspace, one subscription, and the tokens that manage them."""

    workspace: str
    workspace_token: str
    subscription: str
    arm_token: str


class Reference(msgspec.Struct, kw_only=True, rename="pascal"):
    """A blob as the protocols name it."""

    connection_string: str | None = None
    relative_location: str | None = None
    base_location: str | None = None
    sas_blob_token: str | None = None


class Resource(msgspec.Struct, kw_only=True):
    """The trained model of an endpoint: its name, where it came from, and which file it is.

    `former` serves until `since` (seconds since the epoch): an update takes a while to take effect.
    """

    name: str
    location: Reference
    sha256: str
    former: str | None = None
    since: float = 0.0

    def serving(self, now: float) -> str:
        return self.former if self.former and now < self.since else self.sha256

    def becoming(self, sha256: str, location: Reference, now: float, after: float) -> Resource:
        return Resource(name=self.name, location=location, sha256=sha256, former=self.serving(now), since=now + after)


class Service(Record):
    """A Classic web service. `experiment` is set on a training service, whose jobs train it."""

    name: str
    created: datetime
    experiment: str | None = None


class Endpoint(Record):
    """One address of a web service: Classic (`parent` is its service) or New (the service's own)."""

    name: str
    created: datetime
    primary_key: str
    secondary_key: str
    experiment: str | None = None
    resource: Resource | None = None
    description: str = ""
    max_concurrent_calls: int = 4
    throttle_level: str = "Low"
    diagnostics: str = "None"
    prevent_update: bool = False

    def opens(self, key: str) -> bool:
        return key in (self.primary_key, self.secondary_key)


class WebService(Record):
    """A New web service: `id` is its ARM id in lower case, `endpoint` serves it, `storage_key` is never told."""

    endpoint: str
    definition: dict[str, Any]


class Operation(Record):
    """A long-running operation of the resource manager."""

    status: str
    started: datetime
    ended: datetime | None = None
    error: dict[str, Any] | None = None


class Job(Record):
    """A BES job of an endpoint (`parent`). `queued` is what NotStarted hides: whether it was started."""

    inputs: dict[str, Reference]
    outputs: dict[str, Reference]
    parameters: dict[str, str]
    state: str = "NotStarted"
    queued: bool = False
    details: str | None = None
    results: dict[str, Reference] = {}


class Records:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "studio.sqlite"
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, "
                "id TEXT NOT NULL, parent TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
            )
            database.execute("CREATE INDEX IF NOT EXISTS by_parent ON records (kind, parent)")

    def put(self, record: Record) -> None:
        with self._open() as database:
            _put(database, record)

    def find(self, kind: type[T], record_id: str) -> T | None:
        with self._open() as database:
            return _find(database, kind, record_id)

    def get(self, kind: type[T], record_id: str) -> T:
        """Return the record; its absence is the client's 404."""
        found = self.find(kind, record_id)
        if found is None:
            raise not_found(f"{kind.__name__}NotFound", f"No {kind.__name__} could be found: {record_id}.")
        return found

    def all(self, kind: type[T], parent: str | None = None) -> list[T]:
        """Return the records in the order they were made, of one parent or of all."""
        where, values = ("", []) if parent is None else (" AND parent = ?", [parent])
        with self._open() as database:
            rows = database.execute(
                f"SELECT body FROM records WHERE kind = ?{where} ORDER BY number", [kind.__name__, *values]
            ).fetchall()
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def change(self, kind: type[T], record_id: str, change: Callable[[T], T | None]) -> T | None:
        """Replace the record by what `change` makes of it, alone; None leaves it as it is."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            found = _find(database, kind, record_id)
            changed = change(found) if found else None
            if changed:
                _put(database, changed)
            return changed

    def find_or_make(self, kind: type[T], record_id: str, make: Callable[[], T]) -> T:
        """Return the record, made once even when two processes ask at the same time."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            found = _find(database, kind, record_id)
            if found is None:
                found = make()
                _put(database, found)
            return found

    def delete(self, record: Record) -> None:
        with self._open() as database:
            database.execute("DELETE FROM records WHERE kind = ? AND id = ?", [type(record).__name__, record.id])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One connection a call: any thread and any process may come, and SQLite keeps them apart.
        database = sqlite3.connect(self._file, timeout=30.0, isolation_level=None)
        try:
            yield database
            if database.in_transaction:
                database.execute("COMMIT")
        finally:
            database.close()


def _find(database: sqlite3.Connection, kind: type[T], record_id: str) -> T | None:
    row = database.execute("SELECT body FROM records WHERE kind = ? AND id = ?", [kind.__name__, record_id]).fetchone()
    return msgspec.json.decode(row[0], type=kind) if row else None


def _put(database: sqlite3.Connection, record: Record) -> None:
    database.execute(
        "INSERT INTO records (kind, id, parent, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, id) DO UPDATE SET parent = excluded.parent, body = excluded.body",
        [type(record).__name__, record.id, record.parent, msgspec.json.encode(record)],
    )


def now() -> datetime:
    return datetime.now(UTC)
