"""Where a service's records are kept: one SQLite file.

The file holds keys: only its owner may read it, and its folder. Every process that opens it sees every other's writes.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from service.private import make_private


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Something kept by its id, listed by its parent in the order it was made."""

    id: str
    parent: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"  # the others may be keys

    @property
    def marks(self) -> Collection[str]:
        """By what a page of its parent's records can be narrowed; kinds that have marks are in `Database.MARKED`."""
        return ()


_LAST = (1 << 63) - 1  #: the largest number of a row
_AND_MARKED = (
    " AND EXISTS (SELECT 1 FROM marks AS other WHERE other.kind = marks.kind AND other.parent = marks.parent "
    "AND other.mark = ? AND other.number = marks.number)"
)

T = TypeVar("T", bound=Record)
Named = Any  #: a record with a name


class OtherVersion(Exception):
    """Another version of the program wrote the records."""


class Taken(Exception):
    """A parent has a record of that kind and name already."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"The {kind.lower()} {name!r} is there already.")
        self.kind, self.name = kind, name


class Database:
    """Each service has a subclass with the file's name, the version of what its records hold, and who made them."""

    FILE: ClassVar[str]
    VERSION: ClassVar[int]
    OTHER: ClassVar[str]  #: what made records of another version, and what to do with them
    MARKED: ClassVar[Collection[type[Record]]] = ()  #: the kinds of record that have marks

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._file = folder / self.FILE
        self.idle_at_most = 0  #: connections that stay open; opening one costs a server more than most of its calls do
        self._idle: deque[sqlite3.Connection] = deque()
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            [version] = database.execute("PRAGMA user_version").fetchone()
            empty = database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            if not empty and version != self.VERSION:
                raise OtherVersion(f"{folder} was made by {self.OTHER}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, "
                "id TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
            )
            database.execute("CREATE INDEX IF NOT EXISTS by_parent ON records (kind, parent, name)")
            # A page is read in the order of the numbers: without this index all records of the parent were sorted.
            database.execute("CREATE INDEX IF NOT EXISTS by_age ON records (kind, parent, number)")
            _prepare_marks(database, self.MARKED)
            database.execute(f"PRAGMA user_version = {self.VERSION}")

    def put(self, *records: Record) -> None:
        """Write the records, all or none."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            for record in records:
                _put(database, record)

    def add(self, *records: Named) -> None:
        """Write new records, all or none; raise `Taken` when a parent has one of that kind and name already."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            for record in records:
                if _named(database, type(record), record.parent, record.name):
                    raise Taken(type(record).__name__, record.name)
                _put(database, record)

    def find(self, kind: type[T], record_id: str) -> T | None:
        with self._open() as database:
            return _find(database, kind, record_id)

    def named(self, kind: type[T], parent: str, name: str) -> T | None:
        """Return the parent's record of that name."""
        with self._open() as database:
            return _named(database, kind, parent, name)

    def count(self, kind: type[T], parent: str) -> int:
        with self._open() as database:
            [number] = database.execute(
                "SELECT count(*) FROM records WHERE kind = ? AND parent = ?", [kind.__name__, parent]
            ).fetchone()
            return int(number)

    def all(self, kind: type[T], parent: str | None = None) -> list[T]:
        """Return the records in the order they were made, of one parent or of all."""
        where, values = ("", []) if parent is None else (" AND parent = ?", [parent])
        with self._open() as database:
            return _all(database, kind, where, values)

    def newest(self, kind: type[T], parent: str, size: int) -> list[T]:
        """Return the parent's newest records, the newest first."""
        with self._open() as database:
            rows = database.execute(
                "SELECT body FROM records WHERE kind = ? AND parent = ? ORDER BY number DESC LIMIT ?",
                [kind.__name__, parent, size],
            ).fetchall()
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def page(
        self,
        kind: type[T],
        parent: str | Sequence[str],
        wanted: Callable[[T], bool],
        after: int,
        size: int | None,
        newest_first: bool = False,
        marks: Sequence[str] = (),
    ) -> tuple[list[T], int | None]:
        """Return the wanted records of a parent or of several, and the number after which the next ones come.

        With `marks`, only records that have each of them are read.
        There are `size` at most, None is all. `after` is 0 for the first page; the number is None on the last page.
        """
        beyond, order = ("number < ?", "DESC") if newest_first else ("number > ?", "ASC")
        found: list[T] = []
        last = after or (_LAST if newest_first else 0)
        with self._open() as database:
            asked = f"SELECT number, body FROM records WHERE kind = ? AND parent = ? AND {beyond}"
            if marks:
                asked = "SELECT marks.number, body FROM marks CROSS JOIN records USING (number)"
                asked += f" WHERE marks.kind = ? AND marks.parent = ? AND marks.{beyond} AND mark = ?"
                asked += _AND_MARKED * (len(marks) - 1)
            asked += f" ORDER BY {'marks.' if marks else ''}number {order}"
            parents = [parent] if isinstance(parent, str) else parent
            rows = (database.execute(asked, [kind.__name__, each, last, *marks]) for each in parents)
            # They are read one by one: what is behind the page is not read.
            for number, body in heapq.merge(*rows, key=itemgetter(0), reverse=newest_first):
                record = msgspec.json.decode(body, type=kind)
                if wanted(record):
                    if len(found) == size:
                        return found, last
                    found.append(record)
                    last = number
        return found, None

    def keep_newest(self, kind: type[Record], size: int) -> None:
        """Remove the oldest records of the kind, once there are a tenth more than `size`."""
        with self._open() as database:
            [count] = database.execute("SELECT count(*) FROM records WHERE kind = ?", [kind.__name__]).fetchone()
            if count > size * 1.1:
                database.execute(
                    "DELETE FROM records WHERE kind = ? AND number NOT IN "
                    "(SELECT number FROM records WHERE kind = ? ORDER BY number DESC LIMIT ?)",
                    [kind.__name__, kind.__name__, size],
                )

    def change(self, kind: type[T], record_id: str, change: Callable[[T], T | None]) -> T | None:
        """Replace the record by what `change` makes of it, alone; None leaves it as it is."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            found = _find(database, kind, record_id)
            changed = change(found) if found else None
            if changed:
                _put(database, changed)
            return changed

    def change_all(self, kind: type[T], parent: str, change: Callable[[T], T]) -> None:
        """Replace each record of the parent by what `change` makes of it, all or none."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            for record in _all(database, kind, " AND parent = ?", [parent]):
                _put(database, change(record))

    def find_or_make(self, kind: type[T], record_id: str, make: Callable[[], T]) -> T:
        """Return the record, made once even when two processes ask at the same time."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            found = _find(database, kind, record_id)
            if found is None:
                found = make()
                _put(database, found)
            return found

    def delete(self, *records: Record) -> None:
        """Remove the records, all or none."""
        self.exchange(records, [])

    def exchange(self, removed: Sequence[Record], written: Sequence[Record]) -> None:
        """Remove records and write new ones, all or none; raise `Taken` when one with the id of a new one is there."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            for record in removed:
                database.execute("DELETE FROM records WHERE kind = ? AND id = ?", [type(record).__name__, record.id])
            for record in written:
                if _find(database, type(record), record.id):
                    raise Taken(type(record).__name__, record.id)
                _put(database, record)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A connection is one caller's at a time: any thread and any process may come, and SQLite keeps them apart.
        try:
            database = self._idle.pop()
        except IndexError:
            database = sqlite3.connect(self._file, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            yield database
            if database.in_transaction:
                database.execute("COMMIT")
        except BaseException:
            database.close()  # which takes back what was not committed
            raise
        if len(self._idle) < self.idle_at_most:
            self._idle.append(database)
        else:
            database.close()


def _all(database: sqlite3.Connection, kind: type[T], where: str, values: list[str]) -> list[T]:
    rows = database.execute(
        f"SELECT body FROM records WHERE kind = ?{where} ORDER BY number", [kind.__name__, *values]
    ).fetchall()
    return [msgspec.json.decode(row[0], type=kind) for row in rows]


def _find(database: sqlite3.Connection, kind: type[T], record_id: str) -> T | None:
    row = database.execute("SELECT body FROM records WHERE kind = ? AND id = ?", [kind.__name__, record_id]).fetchone()
    return msgspec.json.decode(row[0], type=kind) if row else None


def _named(database: sqlite3.Connection, kind: type[T], parent: str, name: str) -> T | None:
    row = database.execute(
        "SELECT body FROM records WHERE kind = ? AND parent = ? AND name = ?", [kind.__name__, parent, name]
    ).fetchone()
    return msgspec.json.decode(row[0], type=kind) if row else None


def _put(database: sqlite3.Connection, record: Record) -> None:
    database.execute(
        "INSERT INTO records (kind, id, parent, name, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) "
        "DO UPDATE SET parent = excluded.parent, name = excluded.name, body = excluded.body",
        [type(record).__name__, record.id, record.parent, getattr(record, "name", ""), msgspec.json.encode(record)],
    )
    if type(record).marks is not Record.marks:
        _mark(database, record)


def _prepare_marks(database: sqlite3.Connection, kinds: Collection[type[Record]]) -> None:
    """Make the table of marks, also beside records that an earlier version of the program made."""
    if database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'marks'").fetchone() != (0,):
        return
    database.execute(
        "CREATE TABLE marks (kind TEXT NOT NULL, parent TEXT NOT NULL, mark TEXT NOT NULL, number INTEGER NOT NULL, "
        "PRIMARY KEY (kind, parent, mark, number)) WITHOUT ROWID"
    )
    database.execute("CREATE INDEX marks_of_record ON marks (number)")
    database.execute(
        "CREATE TRIGGER unmarked AFTER DELETE ON records BEGIN DELETE FROM marks WHERE number = OLD.number; END"
    )
    for kind in kinds:
        for record in _all(database, kind, "", []):
            _mark(database, record)


def _mark(database: sqlite3.Connection, record: Record) -> None:
    kind = type(record).__name__
    [number] = database.execute("SELECT number FROM records WHERE kind = ? AND id = ?", [kind, record.id]).fetchone()
    marks = {(kind, record.parent, mark, number) for mark in record.marks}
    kept = set(database.execute("SELECT kind, parent, mark, number FROM marks WHERE number = ?", [number]))
    database.executemany("DELETE FROM marks WHERE kind = ? AND parent = ? AND mark = ? AND number = ?", kept - marks)
    database.executemany("INSERT INTO marks VALUES (?, ?, ?, ?)", marks - kept)
