"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.05


def until(condition: Callable[[], bool], what: str | Callable[[], object], seconds: float = 60.0) -> None:
    """Return once the condition holds; fail with `what` when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(PAUSE)
