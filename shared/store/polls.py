"""When the app last polled, so that people see whether it is alive.

polls/last.json   written after a poll that went well, at most once in `EVERY` by each process
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from shared.base.decoding import Moment
from shared.base.errors import RecordChanged
from shared.domain.ports import Documents
from shared.store.jobs_and_champions import decode, encode

EVERY = timedelta(minutes=5)  #: a poll may run every few seconds, and must not cost a write each time
_NAME = "polls/last.json"


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    at: Moment


class PollRecord:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._noted: datetime | None = None

    def note(self, at: datetime) -> None:
        """Record that a poll ended well, unless this process did so a short time ago."""
        if self._noted is not None and at - self._noted < EVERY:
            return
        content = encode(Poll(at=at))
        if self._documents.create(_NAME, content) is None and (document := self._documents.read(_NAME)):
            with suppress(RecordChanged):  # another process has just polled too
                self._documents.replace(_NAME, content, document.etag)
        self._noted = at

    def last(self) -> datetime | None:
        document = self._documents.read(_NAME)
        return decode(document.content, Poll, _NAME).at if document else None
