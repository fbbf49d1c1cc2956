"""Records of rollouts. Every write is conditional; nothing is deleted but marks.

rollouts/{fleet}/{number}.json   one rollout with a line for each member
active/rollouts/{fleet}.json     a mark while one is running, so that a poll costs nothing when none is
"""

from collections.abc import Iterator

from shared.domain.ports import Documents
from shared.domain.rollouts import Rollout
from shared.store.shelf import Shelf, Stored


class RolloutRecords(Shelf[Rollout]):
    def __init__(self, documents: Documents) -> None:
        super().__init__(documents, Rollout, "rollouts")
        self._marks = Shelf(documents, dict[str, str], "active/rollouts")

    def all(self, fleet: str) -> Iterator[Stored[Rollout]]:
        """Yield the fleet's rollouts, newest first."""
        for key in reversed([*self.listed(f"{fleet}/")]):
            if stored := self.load(key):
                yield stored

    def latest(self, fleet: str) -> Stored[Rollout] | None:
        return next(self.all(fleet), None)

    def begin(self, rollout: Rollout) -> Stored[Rollout] | None:
        """Record it, or return None when another one has taken its number."""
        return self.create(f"{rollout.fleet}/{rollout.number:06}", rollout)

    def mark(self, fleet: str) -> None:
        self._marks.create(fleet, {})

    def unmark(self, fleet: str) -> None:
        self._marks.delete(fleet)
