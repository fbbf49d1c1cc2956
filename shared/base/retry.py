"""When to try again: exponential back-off, bounded, never sooner than the service asked for."""

from __future__ import annotations

from datetime import timedelta

from shared.base.errors import AskHuman, RetrainingError, TryLater

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)
FOR_A_HUMAN = timedelta(minutes=2)  #: a key is not mended within seconds


def delay(attempt: int, error: RetrainingError | None = None) -> timedelta:
    """Return how long to wait after the `attempt`-th failed try in a row (1, 2, ...)."""
    shortest = FOR_A_HUMAN if isinstance(error, AskHuman) else FIRST
    wait = min(shortest * (1 << min(attempt - 1, 16)), LONGEST)
    if isinstance(error, TryLater) and error.retry_after is not None:
        wait = max(wait, timedelta(seconds=min(error.retry_after, 3600)))
    return wait
