"""What data looks like, kept small, and how far other data is from it.

The measure is the population stability index over the bins of the reference, PSI = sum((p - q) * ln(p / q)) with p the
share of a bin now and q its share in the reference (N. Siddiqi, Credit Risk Scorecards, Wiley 2006, chapter 10; there
below 0.1 is not a shift, from 0.25 on a large one). An empty bin counts as half a row, as the logarithm needs. Missing
cells, and what is of no bin, have their own bins, so that a change in these is a drift as well.
"""

import math
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec

ROWS = 10_000  #: rows a profile is made of at most, chosen at random: that blurs a PSI by about 0.002
CELLS = 400_000  #: the same for wide tables: 30 MiB of memory
_DRAWS = 500  #: of rows at once, as one by one takes five times as long
QUANTILES = 10
CATEGORIES = 50
SEEN_AT_LEAST = 5  #: times before a text is a category, so that ids and free text are none
LENGTH = 64  #: characters of a text that distinguish categories
#: without a part that may be matched in two ways: a cell of 100,000 digits and a letter takes one pass
NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")

_SIGNS_OF_NUMBERS = re.compile(r"[0-9.eE+ -]*+")


class Numbers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="numbers"):
    """A column of numbers: `counts[i]` cells are above `edges[i - 1]` and not above `edges[i]`.

    The first edge is just below the least number and the last is the greatest, so that the outer bins are what was
    outside of the range.
    """

    edges: list[float]
    counts: list[int]
    other: int  #: cells that are not numbers
    missing: int

    def bins(self) -> list[int]:
        return [*self.counts, self.other, self.missing]

    def recount(self, cells: Sequence[str]) -> list[int]:
        present = [*filter(None, cells)]
        known = _numbers(present)
        return [*_counts(known, self.edges), len(present) - len(known), len(cells) - len(present)]


class Categories(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="categories"):
    """A column of texts: the most frequent ones."""

    counts: dict[str, int]
    other: int
    missing: int

    def bins(self) -> list[int]:
        return [*self.counts.values(), self.other, self.missing]

    def recount(self, cells: Sequence[str]) -> list[int]:
        found = Counter(cell[:LENGTH] for cell in cells)
        counts = [found[category] for category in self.counts]
        return [*counts, len(cells) - sum(counts) - found[""], found[""]]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A data set by columns; a few hundred bytes for each."""

    rows: int  #: that it was made of
    columns: dict[str, Numbers | Categories]


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column is from the reference, and how far chance alone may take it with so few rows."""

    psi: float
    by_chance: float


class Sample:
    """Rows chosen at random in one pass, each with the same chance; the same rows of the same data.

    Algorithm L of K.-H. Li, Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n))), ACM TOMS 20 (1994).
    """

    def __init__(self, columns: int) -> None:
        self.rows: list[Sequence[str] | bytes] = []  #: cells, or a row as it is in the file
        self._size = max(20, min(ROWS, CELLS // max(1, columns)))
        self._seen = 0
        self._choices = self._choose()
        self._chosen: tuple[Any, Any] | None = None  #: the next of them

    def offer(self, count: int, some: Callable[[Sequence[int]], Sequence[Sequence[str] | bytes]]) -> None:
        """Let `count` more rows pass; `some` gives those at these indices."""
        end = self._seen + count
        self.rows += some(range(min(self._size - len(self.rows), count)))
        while end > self._size:
            numbers, places = self._chosen or next(self._choices)
            passing = int(numbers.searchsorted(end))
            chosen = (numbers[:passing] - self._seen).tolist()
            for place, row in zip(places[:passing].tolist(), some(chosen), strict=True):
                self.rows[place] = row
            if passing < len(numbers):
                self._chosen = numbers[passing:], places[passing:]
                break
            self._chosen = None
        self._seen = end

    def _choose(self) -> Iterator[tuple[Any, Any]]:
        """Give the numbers of the rows that are chosen once the sample is full, and whose places they take."""
        import numpy as np

        chance, number, weight = random.Random(0).random, self._size - 1, 0.0
        while True:
            draws = np.array([[chance() for _ in range(_DRAWS)] for _ in range(3)])
            weights = weight + np.log(1 - draws[0]).cumsum() / self._size  # logarithms
            gaps = np.floor(np.log(1 - draws[1]) / np.log1p(-np.exp(weights))).astype(np.int64)
            numbers = number + (gaps + 1).cumsum()
            yield numbers, (draws[2] * self._size).astype(np.int64)
            number, weight = int(numbers[-1]), float(weights[-1])


def profile_of(columns: dict[str, Sequence[str]]) -> Profile:
    """Return the profile of these cells by column; an empty cell is missing."""
    rows = max(map(len, columns.values()), default=0)
    return Profile(rows=rows, columns={name: _column(cells) for name, cells in columns.items()})


def shifts(reference: Profile, columns: dict[str, Sequence[str]]) -> dict[str, Shift]:
    """Return for each column that the reference knows how far these cells are from it."""
    found = {}
    for name in columns.keys() & reference.columns.keys():
        then, now = reference.columns[name].bins(), reference.columns[name].recount(columns[name])
        found[name] = Shift(psi=psi(then, now), by_chance=_by_chance(then, now))
    return {name: found[name] for name in columns if name in found}


def psi(reference: Sequence[int], counts: Sequence[int]) -> float:
    """Return the population stability index of two counts over the same bins."""
    shares = []
    for bins in (reference, counts):
        # A bin that neither has carries no information, and must not make others smaller.
        smooth = [max(count, 0.5) for count, *both in zip(bins, reference, counts, strict=True) if any(both)]
        shares.append([count / sum(smooth) for count in smooth])
    return math.fsum((now - then) * math.log(now / then) for then, now in zip(*shares, strict=True))


def _by_chance(reference: Sequence[int], counts: Sequence[int]) -> float:
    """Return what the PSI of rows drawn from the same population exceeds once in a thousand times.

    It is then chi-squared with bins - 1 degrees of freedom, times (1/n + 1/m) (B. Yurdakul, Statistical Properties of
    Population Stability Index, 2018); the quantile is Wilson's and Hilferty's approximation.
    """
    free = sum(1 for pair in zip(reference, counts, strict=True) if any(pair)) - 1
    if free < 1 or not sum(reference) or not sum(counts):
        return 0.0
    quantile = free * math.pow(1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free)), 3)
    return quantile * (1 / sum(reference) + 1 / sum(counts))


def _column(cells: Sequence[str]) -> Numbers | Categories:
    present = [*filter(None, cells)]
    known = _numbers(present)
    # A column of numbers stays one when a few cells are wrong.
    if len(known) * 2 > len(present):
        steps = range(1, QUANTILES + 1)
        edges = {known[math.ceil(len(known) * step / QUANTILES) - 1] for step in steps}
        bounds = sorted({math.nextafter(known[0], -math.inf), *edges})
        other, missing = len(present) - len(known), len(cells) - len(present)
        return Numbers(edges=bounds, counts=_counts(known, bounds), other=other, missing=missing)
    found = Counter(cell[:LENGTH] for cell in present)
    kept = dict(
        sorted(((c, n) for c, n in found.items() if n >= SEEN_AT_LEAST), key=lambda e: (-e[1], e[0]))[:CATEGORIES]
    )
    return Categories(counts=kept, other=len(present) - sum(kept.values()), missing=len(cells) - len(present))


def _counts(known: list[float], edges: list[float]) -> list[int]:
    """Return how many of the sorted numbers are in each bin."""
    until = [0, *(bisect_right(known, edge) for edge in edges), len(known)]
    return [upper - lower for lower, upper in pairwise(until)]


def _numbers(cells: list[str]) -> list[float]:
    """Return the finite numbers among the cells, sorted."""
    # Made of these signs alone, a text is a number for Python just where it is one here.
    numbers = None
    if _SIGNS_OF_NUMBERS.fullmatch("".join(cells)):
        with suppress(ValueError):
            numbers = [*map(float, cells)]
    if numbers is None:
        numbers = [float(cell) for cell in cells if NUMBER.fullmatch(cell.strip(" "))]
    return sorted(filter(math.isfinite, numbers))
