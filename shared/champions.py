"""What each pipeline's endpoints serve, the change under way, and the history of both. No I/O."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from shared.evaluation import Evaluation
from shared.jobs import Dataset, Model

SETTLED_KEPT = 100  #: requests whose second delivery is still recognized


class Action(Enum):
    FOUND = "found"  #: somebody else deployed it; seen before the app's own change
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"  #: a former model, put back because somebody asked for it


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became live, from when, why, and on which data. Written once, never changed.

    `models` maps each target's name to the model it serves; `previous` is the number of the entry that a
    rollback goes back to.
    """

    number: int
    at: datetime
    action: Action
    reason: str
    models: dict[str, Model]
    previous: int | None = None
    job: str | None = None
    dataset: Dataset | None = None
    evaluation: Evaluation | None = None
    proof: dict[str, str] = {}


class Phase(Enum):
    UPDATING = "updating"
    RESTORING = "restoring"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A switch of models under way: written before the first endpoint is touched.

    `before` and `answers` say, by target, what was live and what it answered for the kept rows.
    """

    request: str
    begun: datetime
    entry: HistoryEntry  #: what the history will say when the switch is proven
    before: dict[str, Model]
    answers: dict[str, list[list[str]]]
    phase: Phase = Phase.UPDATING
    reason: str = ""  #: why the former models are put back


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """What one pipeline's endpoints serve."""

    pipeline: str
    live: HistoryEntry | None = None
    last: int = 0  #: number of the newest history entry
    newest_data: tuple[datetime, datetime] | None = None  #: order of the newest data ever promoted
    change: Change | None = None
    settled: tuple[str, ...] = ()  #: the latest requests that are done with

    @property
    def evaluation(self) -> Evaluation | None:
        return self.live.evaluation if self.live else None

    def serving(self, entry: HistoryEntry) -> Champion:
        """Return the record once the entry is the newest of the history."""
        return self.but(live=entry, last=entry.number)

    def having_promoted(self, order: tuple[datetime, datetime]) -> Champion:
        """Return the record after a promotion of data of this order (see `RetrainingJob.order`)."""
        return self.but(newest_data=max(order, self.newest_data or order))

    def settle(self, request: str) -> Champion:
        """Return the record with the request done with, so that its next delivery does nothing."""
        return self.but(change=None, settled=(*self.settled, request)[-SETTLED_KEPT:])

    def but(self, **facts: Any) -> Champion:
        return msgspec.structs.replace(self, **facts)
