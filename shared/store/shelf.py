"""Records of one kind, as JSON documents `{place}/{key}.json`. Every write is conditional."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from shared.base.decoding import from_json
from shared.base.errors import BadConfiguration, RecordChanged
from shared.domain.ports import Documents, Lease
from shared.store.recent import Recent

T = TypeVar("T")


@dataclass(frozen=True)
class Stored(Generic[T]):
    """A record, and the version of its document that it was read from.

    `written`: the document has this record. Without it there is another one, or, where the etag is empty, none yet.
    """

    name: str
    record: T
    etag: str
    written: bool = True

    def ahead(self, record: T) -> Stored[T]:
        """Return it with a record that a later write brings."""
        return replace(self, record=record, written=False)


class Shelf(Generic[T]):
    def __init__(
        self, documents: Documents, kind: type[T], place: str, recent: Recent[Stored[T]] | None = None
    ) -> None:
        self._documents, self._kind, self._place, self._recent = documents, kind, place, recent

    def name(self, key: str) -> str:
        return f"{self._place}/{key}.json"

    def listed(self, beginning: str = "") -> Iterator[str]:
        """Yield the keys that begin so, in their order."""
        for name in self._documents.names(f"{self._place}/{beginning}"):
            yield name.removeprefix(f"{self._place}/").removesuffix(".json")

    def known(self, key: str) -> Stored[T] | None:
        """Return the record as this process has last read or written it, for those who write it before they act."""
        return self._recent.get(self.name(key)) if self._recent else None

    def load(self, key: str) -> Stored[T] | None:
        name = self.name(key)
        self.forget(name)
        document = self._documents.read(name)
        if document is None:
            return None
        return self._kept(name, decode(document.content, self._kind, name), document.etag, len(document.content))

    def record(self, key: str) -> T | None:
        stored = self.load(key)
        return stored.record if stored else None

    def require(self, key: str) -> Stored[T]:
        if stored := self.load(key):
            return stored
        raise RecordChanged(f"The record {self.name(key)} is gone")

    def create(self, key: str, record: T) -> Stored[T] | None:
        """Write the record, or return None when there is one of this key."""
        return self._created(self.name(key), record)

    def _created(self, name: str, record: T) -> Stored[T] | None:
        content = encode(record)
        etag = self._documents.create(name, content)
        return self._kept(name, record, etag, len(content)) if etag else None

    def save(self, stored: Stored[T], record: T, lease: Lease | None = None) -> Stored[T]:
        """Write the record, unless another run wrote first: then raise `RecordChanged`."""
        if not stored.etag:
            if created := self._created(stored.name, record):
                return created
            raise RecordChanged(f"The record {stored.name} was made by another run")
        self.forget(stored.name)
        content = encode(record)
        etag = self._documents.replace(stored.name, content, stored.etag, lease)
        return self._kept(stored.name, record, etag, len(content))

    def forget(self, name: str) -> None:
        if self._recent:
            self._recent.forget(name)

    def _kept(self, name: str, record: T, etag: str, size: int) -> Stored[T]:
        stored = Stored(name, record, etag)
        if self._recent:
            self._recent.keep(name, stored, size)
        return stored

    def put(self, key: str, record: T) -> None:
        """Write the record in place of the one of this key, if there is one."""
        if self.create(key, record) is None and (document := self._documents.read(self.name(key))):
            self._documents.replace(self.name(key), encode(record), document.etag)

    def delete(self, key: str) -> None:
        self._documents.delete(self.name(key))

    def end(self, stored: Stored[T]) -> None:
        """Delete the record, unless another run wrote first: then raise `RecordChanged`."""
        self._documents.delete(stored.name, stored.etag)


class MarkedShelf(Shelf[T]):
    """Records that have a mark while they are open: an `active/` record, as it was until the first step wrote it."""

    def __init__(self, documents: Documents, kind: type[T], place: str) -> None:
        super().__init__(documents, kind, place, Recent())
        self.marks = Shelf(documents, kind, f"active/{place}")

    def load(self, key: str, seen: T | None = None) -> Stored[T] | None:
        """Return the record, or what its mark has (`seen`, if that is known) where no step has written it yet."""
        if stored := super().load(key):
            return stored
        if seen is None and (mark := self.marks.load(key)):
            seen = mark.record
        return self.announced(key, seen) if seen is not None else None

    def announced(self, key: str, record: T) -> Stored[T]:
        """Return a record that has a mark and is not written yet."""
        return Stored(self.name(key), record, "")


def encode(record: Any) -> bytes:
    return msgspec.json.encode(record)


def decode(content: bytes, kind: type[T], name: str) -> T:
    try:
        return from_json(content, kind)
    except msgspec.MsgspecError as error:
        raise BadConfiguration(f"The record {name} cannot be read: {error}") from None


def stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".json")
