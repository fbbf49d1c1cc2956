"""When to try again: exponential back-off, bounded, never sooner than the service asked for.

What a service asks for within seconds is waited for in place, so that a step keeps its results.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from shared.base.errors import AskHuman, RetrainingError, ServiceUnavailable, TryLater
from shared.base.threads import pause

T = TypeVar("T")

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)
IN_PLACE = 5.0  #: seconds that one call may wait in all
SHORTEST = 0.1  #: seconds of the first wait in place at least; each further one is at least twice as long
FOR_A_HUMAN = timedelta(minutes=2)  #: a person takes longer than a service to correct something


def delay(attempt: int, error: RetrainingError | None = None) -> timedelta:
    """Return how long to wait after the `attempt`-th failed try in a row (1, 2, ...)."""
    shortest = FOR_A_HUMAN if isinstance(error, AskHuman) else FIRST
    wait = min(shortest * (1 << min(attempt - 1, 16)), LONGEST)
    if isinstance(error, TryLater) and error.retry_after is not None:
        wait = max(wait, timedelta(seconds=min(error.retry_after, 3600)))
    return wait


def asked_again(call: Callable[[], T], sleep: Callable[[float], None] = pause) -> T:
    """Return what the call gives, made again while the service asks for that within a short time."""
    left, shortest = IN_PLACE, SHORTEST
    while True:
        try:
            return call()
        except ServiceUnavailable as error:
            if error.retry_after is None:
                raise
            pause = max(error.retry_after, shortest)
            if pause > left:
                raise
        sleep(pause)
        left, shortest = left - pause, shortest * 2
