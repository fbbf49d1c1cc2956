"""What an installation says: one line that is rewritten in a terminal, or a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time

_EVERY = 5.0


def say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)


class Progress:
    """How far the parts are that are installed at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[str, str] = {}
        self._shown, self._last = "", time.monotonic()
        self._terminal = sys.stderr.isatty()

    def show(self, part: str, done: int, total: int, name: str) -> None:
        """Say that so many packages of a part are there, and which one is the newest."""
        with self._lock:
            self._parts[part] = f"{part} {min(done, total)} of {total}" + (f", {name}" if name else "")
            line = " · ".join(self._parts.values())
            if line == self._shown:
                return
            if self._terminal:
                print(f"\r\033[K{line[:79]}", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - self._last < _EVERY:
                return
            else:
                say(line)
            self._shown, self._last = line, time.monotonic()

    def end(self) -> None:
        with self._lock:
            if self._terminal and self._shown:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
