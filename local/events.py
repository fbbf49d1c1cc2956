"""Turns the log of the trigger loop into one line in words for each event; the whole log is kept in a file."""

from __future__ import annotations

import logging
import re
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

LOG_BYTES = 5_000_000  #: of the file; the one before is kept beside it
#: A line as local.host writes it. The app's own loggers are named `relearn.*`.
_LINE = re.compile(r"\S+ (?P<time>[\d:]{8}),\d+ (?P<level>[A-Z]+) (?P<logger>[\w.]+) (?P<message>.*)")
_COLOURS = {
    "is promoted": "green",
    "is accepted": "green",
    "is rejected": "yellow",
    "is set aside": "yellow",
    "is quarantined": "yellow",
    "is failed": "red",
    "is rolled back": "red",
}


class Events:
    """Receives the log's lines: all go to the file, and those about an event to the terminal too."""

    def __init__(self, console: Console, file: Path, everything: bool) -> None:
        self._console, self._everything = console, everything
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
        self._last = ""

    def hear(self, line: str) -> None:
        self._file.emit(logging.makeLogRecord({"msg": line}))
        shown = line if self._everything else event(line)
        if shown and shown[9:] != self._last[9:]:  # what waits says so in each poll
            self._console.print(Text(shown, style=_style(shown)), soft_wrap=True)
            self._last = shown

    def close(self) -> None:
        self._file.close()


def starting(console: Console, text: str) -> Status:
    """Return a context that shows what goes on: moving on a terminal, one line elsewhere."""
    if not console.is_terminal:
        console.print(text)
    return console.status(text)


def event(line: str) -> str | None:
    """Return the event that a line of the log is about, or None: the host's own lines are about none."""
    found = _LINE.fullmatch(line)
    if not found or (found["level"] == "INFO" and not found["logger"].startswith("relearn")):
        return None
    return f"{found['time']}  {found['message']}"


def _style(shown: str) -> str:
    return next((colour for words, colour in _COLOURS.items() if words in shown), "")
