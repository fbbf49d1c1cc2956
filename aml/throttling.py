"""How many calls the resource manager takes: a bucket of each kind, which is filled again at a rate."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping

from aml.errors import ArmError

#: kind: calls that a full bucket holds, and how many a second are added
LIMITS: Mapping[str, tuple[float, float]] = {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def kind_of(method: str) -> str:
    """Return the kind of a call by its method."""
    return _KINDS.get(method, "writes")


class Buckets:
    """Any thread may take a call out of a bucket."""

    def __init__(
        self, limits: Mapping[str, tuple[float, float]] = LIMITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._clock = limits, clock
        self._left = {kind: (most, clock()) for kind, (most, _) in limits.items()}
        self._lock = threading.Lock()

    def take(self, method: str) -> dict[str, str]:
        """Return the header that says how many calls are left. Raises 429 with `Retry-After` where none is."""
        kind = kind_of(method)
        most, rate = self._limits[kind]
        with self._lock:
            left, since = self._left[kind]
            moment = self._clock()
            left = min(most, left + (moment - since) * rate)
            taken = left >= 1
            self._left[kind] = (left - taken, moment)
        if not taken:
            message = (
                f"The request was throttled: number of '{kind}' exceeded the limit of {most:.0f}. Please try later."
            )
            raise ArmError(429, "ResourceRequestsThrottled", message, retry_after=math.ceil((1 - left) / rate))
        return {f"x-ms-ratelimit-remaining-subscription-{kind}": f"{left - 1:.0f}"}
