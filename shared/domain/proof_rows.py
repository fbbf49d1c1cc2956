"""Which rows show which model answers, and when two answers are the same. No I/O."""

import math
from collections.abc import Iterable
from itertools import pairwise

from shared.domain.rows import Rows

SCORED = "Scored "  #: how the names of the columns begin that a model fills
ALIKE = 1e-6  #: relative: a number may have been written as text and read again in between
TELLING_AT_MOST = 50  #: held-out rows that a switch is proven on beside the kept ones
FEW_TELLING = 20  #: of them, that are enough for a model of which training changes every answer
ROUNDING = 1e-9  #: relative: the processors that answer for a service may differ in the last digits


def scored_columns(rows: Rows) -> Rows:
    """Return the columns that the model filled."""
    return rows.only([name for name in rows.columns if name.startswith(SCORED)])


def same_answers(one: Rows, other: Rows, tolerance: float = ROUNDING) -> bool:
    """Return whether two answers are the same in the columns they share, up to the last digits of their numbers."""
    shared = [name for name in one.columns if name in other.columns]
    if not shared or len(one.values) != len(other.values):
        return False
    pairs = zip(one.only(shared).values, other.only(shared).values, strict=True)
    return all(
        row == there or all(_same_cell(a, b, tolerance) for a, b in zip(row, there, strict=True))
        for row, there in pairs
    )


def most_telling(candidate: Rows, champion: Rows | None, at_most: int = TELLING_AT_MOST) -> list[int]:
    """Return the places of the rows that two models' answers differ most on; the first ones if only one is known.

    They are few where the models answer no row the same, and all their answers to these rows are different numbers.
    Training on other data then changes every answer, so that few rows show a third model too. With labels, trees or
    nearest neighbours it changes only some.
    """
    places = range(len(candidate.values))
    if champion is None or len(champion.values) != len(candidate.values):
        return list(places[:at_most])
    shared = [name for name in candidate.columns if name in champion.columns]
    ours, theirs = candidate.only(shared).values, champion.only(shared).values
    difference = [
        sum(_difference(a, b) for a, b in zip(row, there, strict=True)) for row, there in zip(ours, theirs, strict=True)
    ]
    order = sorted(places, key=lambda place: -difference[place])
    telling, few = order[:at_most], order[: min(at_most, FEW_TELLING)]
    answers = [table[place] for table in (ours, theirs) for place in few]
    if all(difference) and any(map(_all_different, zip(*answers, strict=True))):
        telling = few
    return sorted(telling)


def last(rows: Rows, count: int) -> Rows:
    return Rows(rows.columns, rows.values[len(rows.values) - count :])


def first(rows: Rows, count: int) -> Rows:
    return Rows(rows.columns, rows.values[:count])


def _all_different(cells: Iterable[str]) -> bool:
    """Return whether these are numbers of which no two are alike."""
    try:
        numbers = sorted(map(float, cells))
    except ValueError:
        return False
    return all(map(math.isfinite, numbers)) and not any(_close(*pair, ALIKE) for pair in pairwise(numbers))


def _same_cell(one: str, other: str, tolerance: float) -> bool:
    if one.casefold() == other.casefold():  # True of one service is true of another
        return True
    try:
        return _close(float(one), float(other), tolerance)
    except ValueError:
        return False


def _close(one: float, other: float, tolerance: float) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance / 1000)


def _difference(one: str, other: str) -> float:
    """Return how far apart two cells are: text that differs, or no number, counts as 1."""
    try:
        difference = abs(float(one) - float(other))
    except ValueError:
        return float(one != other)
    return difference if math.isfinite(difference) else 1.0
