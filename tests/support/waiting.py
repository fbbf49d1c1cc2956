"""Waiting for a condition instead of sleeping. Every wait and every call of the tests has the same deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from local.children import PATIENCE

PAUSE = 0.05


def until(condition: Callable[[], bool], what: str | Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return once the condition holds; fail with `what` when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(PAUSE)
