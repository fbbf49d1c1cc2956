"""Records of one kind, as JSON documents. Every write is conditional."""

from __future__ import annotations

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
    def __init__(self, documents: Documents, kind: type[T], recent: Recent[Stored[T]] | None = None) -> None:
        self._documents, self._kind, self._recent = documents, kind, recent

    def recent(self, name: str) -> Stored[T] | None:
        """Return the record as this process has last read or written it, for those who write it before they act."""
        return self._recent.get(name) if self._recent else None

    def load(self, name: str) -> Stored[T] | None:
        self.forget(name)
        document = self._documents.read(name)
        if document is None:
            return None
        return self._kept(name, decode(document.content, self._kind, name), document.etag, len(document.content))

    def require(self, name: str) -> Stored[T]:
        stored = self.load(name)
        if stored is None:
            raise RecordChanged(f"The record {name} is gone")
        return stored

    def create(self, name: str, record: T) -> Stored[T] | None:
        """Write the record, or return None when there is one of this name."""
        content = encode(record)
        etag = self._documents.create(name, content)
        return self._kept(name, record, etag, len(content)) if etag else None

    def replace(self, stored: Stored[T], record: T, lease: Lease | None = None) -> Stored[T]:
        """Write the record, unless another run wrote first: then raise `RecordChanged`."""
        if not stored.etag:
            if created := self.create(stored.name, record):
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

    def put(self, name: str, record: T) -> None:
        """Write the record in place of the one of this name, if there is one."""
        if self.create(name, record) is None and (document := self._documents.read(name)):
            self._documents.replace(name, encode(record), document.etag)


def encode(record: Any) -> bytes:
    return msgspec.json.encode(record)


def decode(content: bytes, kind: type[T], name: str) -> T:
    try:
        return from_json(content, kind)
    except msgspec.MsgspecError as error:
        raise BadConfiguration(f"The record {name} cannot be read: {error}") from None


def stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".json")
