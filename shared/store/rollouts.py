"""Records of rollouts. Every write is conditional; nothing is deleted but marks.

rollouts/{fleet}/{number}.json   one rollout with a line for each member
active/rollouts/{fleet}.json     a mark while one is running, so that a poll costs nothing when none is
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.ports import Documents
from shared.domain.rollouts import Rollout
from shared.store.shelf import Shelf, Stored


class RolloutRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents, self._rollouts = documents, Shelf(documents, Rollout)

    def all(self, fleet: str) -> Iterator[Stored[Rollout]]:
        """Yield the fleet's rollouts, newest first."""
        for name in reversed(list(self._documents.names(f"rollouts/{fleet}/"))):
            if stored := self._rollouts.load(name):
                yield stored

    def latest(self, fleet: str) -> Stored[Rollout] | None:
        return next(self.all(fleet), None)

    def create(self, rollout: Rollout) -> Stored[Rollout] | None:
        """Record it, or return None when another one has taken its number."""
        return self._rollouts.create(f"rollouts/{rollout.fleet}/{rollout.number:06}.json", rollout)

    def save(self, stored: Stored[Rollout], rollout: Rollout) -> Stored[Rollout]:
        return self._rollouts.replace(stored, rollout)

    def mark(self, fleet: str) -> None:
        self._documents.create(_active(fleet), b"{}")

    def unmark(self, fleet: str) -> None:
        self._documents.delete(_active(fleet))


def _active(fleet: str) -> str:
    return f"active/rollouts/{fleet}.json"
