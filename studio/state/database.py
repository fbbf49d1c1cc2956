"""Where the Studio's records are kept, and what a client gets for a record that is not there, or there already."""

from __future__ import annotations

from typing import Any, TypeVar

from service.database import Database, Record, Taken
from studio.errors import StudioError, not_found

T = TypeVar("T", bound=Record)


class Records(Database):
    FILE, VERSION = "studio.sqlite", 3
    OTHER = "another version of this Studio; remove it and publish again"

    def add(self, *records: Any) -> None:
        """Write new records, all or none; raise `Conflict` when a parent has one of that kind and name already."""
        try:
            super().add(*records)
        except Taken as taken:
            raise StudioError("Conflict", f"{taken.kind}AlreadyExists", str(taken), taken.name) from None

    def get(self, kind: type[T], record_id: str) -> T:
        """Return the record; its absence is the client's 404."""
        found = self.find(kind, record_id)
        if found is None:
            raise not_found(f"{kind.__name__}NotFound", f"No {kind.__name__} could be found: {record_id}.")
        return found
