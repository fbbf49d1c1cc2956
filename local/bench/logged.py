"""What is logged while something is measured: counted, so that the output is the table."""

from __future__ import annotations

import logging
from collections import Counter
from textwrap import shorten

_SHOWN = 240  #: characters of a text

Kind = tuple[str, str]  #: the level, and the text before its values are in it


class Logged(logging.Handler):
    """Counts the warnings and errors of each kind, and keeps the first one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._counts, self._first = Counter[Kind](), dict[Kind, str]()

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.levelname.lower(), str(record.msg)
        self._counts[kind] += 1
        if kind not in self._first:
            error = record.exc_info[1] if record.exc_info else None
            self._first[kind] = shorten(record.getMessage() + (f": {error!r}" if error else ""), _SHOWN)

    def lines(self) -> list[str]:
        """Return a line for each kind, the most frequent first."""
        return [
            f"logged {count:,} x {kind[0]}, the first: {self._first[kind]}"
            for kind, count in self._counts.most_common()
        ]
