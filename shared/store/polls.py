"""When the app last polled, so that people see whether it is alive.

polls/last.json   written after a poll that went well, at most once in `EVERY` by each process
"""

from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from shared.base.decoding import Moment
from shared.base.errors import RecordChanged
from shared.domain.ports import Documents
from shared.store.shelf import Shelf

EVERY = timedelta(minutes=5)  #: a poll may run every few seconds, and must not cost a write each time


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    at: Moment


class PollRecords:
    def __init__(self, documents: Documents) -> None:
        self._polls = Shelf(documents, Poll, "polls")
        self._noted: datetime | None = None

    def note(self, at: datetime) -> None:
        """Record that a poll ended well, unless this process did so a short time ago."""
        if self._noted is not None and at - self._noted < EVERY:
            return
        with suppress(RecordChanged):  # another process has just polled too
            self._polls.put("last", Poll(at=at))
        self._noted = at

    def last(self) -> datetime | None:
        last = self._polls.record("last")
        return last.at if last else None
