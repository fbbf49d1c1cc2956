"""Where the values of a metric are in a plot. Decides only; a template draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 120  #: of a plot, in its own units
_MARGIN = 6
_DIGITS = 4


@dataclass(frozen=True)
class Plot:
    """`lines` are the points of each stretch without a gap; a value alone is a dot in `dots`."""

    lines: Sequence[str]
    dots: Sequence[tuple[float, float]]
    lowest: str
    highest: str
    first: str
    last: str


def plot(points: Sequence[tuple[int, float]]) -> Plot | None:
    """Return the plot of the values over their steps, or None where fewer than two are numbers."""
    points = sorted(points, key=lambda point: point[0])
    values = [value for _, value in points if math.isfinite(value)]
    steps = [step for step, value in points if math.isfinite(value)]
    if len(values) < 2:
        return None
    lowest, highest = min(values), max(values)
    lines: list[list[tuple[float, float]]] = [[]]
    for step, value in points:
        if not math.isfinite(value):
            lines.append([])
            continue
        x = _place(step, steps[0], steps[-1], WIDTH)
        y = HEIGHT - _place(value, lowest, highest, HEIGHT)
        lines[-1].append((x, y))
    return Plot(
        lines=[" ".join(f"{x:g},{y:g}" for x, y in line) for line in lines if len(line) > 1],
        dots=[line[0] for line in lines if len(line) == 1],
        lowest=number(lowest),
        highest=number(highest),
        first=str(steps[0]),
        last=str(steps[-1]),
    )


def number(value: float) -> str:
    """Return a number as people read it: the digits that matter."""
    return (
        f"{value:.{_DIGITS}g}"
        if math.isfinite(value)
        else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    )


def _place(value: float, lowest: float, highest: float, size: int) -> float:
    """Return how far from the edge a value is; in the middle where all are the same."""
    # Halves: the difference of two large numbers may not be one.
    span = highest / 2 - lowest / 2
    share = (value / 2 - lowest / 2) / span if span else 0.5
    return round(_MARGIN + share * (size - 2 * _MARGIN), 1)
