"""A line of the table: what, measured, against what, and the ratio of the two."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Row = tuple[str, str, str, str]


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.05 else f"{1000 * seconds:.2f} ms"


def p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[98]
