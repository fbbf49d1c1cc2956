"""What is written down about rollouts. Every write is conditional; nothing is deleted but marks.

rollouts/{fleet}/{number}.json   one rollout with a line for each member
active/rollouts/{fleet}.json     a mark while one is running, so that a poll costs nothing when none is
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.ports import Documents
from shared.domain.rollouts import Rollout
from shared.store.jobs_and_champions import decode, encode, stem


@dataclass(frozen=True)
class StoredRollout:
    rollout: Rollout
    etag: str


class RolloutRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def all(self, fleet: str) -> Iterator[StoredRollout]:
        """Yield the fleet's rollouts, newest first."""
        for name in reversed(list(self._documents.names(f"rollouts/{fleet}/"))):
            if document := self._documents.read(name):
                yield StoredRollout(decode(document.content, Rollout, name), document.etag)

    def latest(self, fleet: str) -> StoredRollout | None:
        return next(self.all(fleet), None)

    def create(self, rollout: Rollout) -> StoredRollout | None:
        """Record it, or return None when another one has taken its number."""
        etag = self._documents.create(_name(rollout), encode(rollout))
        return StoredRollout(rollout, etag) if etag else None

    def save(self, stored: StoredRollout, rollout: Rollout) -> StoredRollout:
        """Write it, unless another run wrote first: then raise `RecordChanged`."""
        return StoredRollout(rollout, self._documents.replace(_name(rollout), encode(rollout), stored.etag))

    def mark(self, fleet: str) -> None:
        self._documents.create(_active(fleet), b"{}")

    def unmark(self, fleet: str) -> None:
        self._documents.delete(_active(fleet))

    def running(self) -> list[str]:
        """Return the fleets of which a rollout may be running."""
        return [stem(name) for name in self._documents.names("active/rollouts/")]


def _name(rollout: Rollout) -> str:
    return f"rollouts/{rollout.fleet}/{rollout.number:06}.json"


def _active(fleet: str) -> str:
    return f"active/rollouts/{fleet}.json"
