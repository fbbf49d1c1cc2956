"""Which rows show which model answers, and when two answers are the same. No I/O."""

import math
from collections.abc import Sequence

from shared.domain.rows import Rows

SCORED = "Scored "  #: how the names of the columns begin that a model fills
ALIKE = 1e-6  #: relative: a number may have been written as text and read again in between
TELLING_AT_MOST = 50  #: held-out rows that a switch is proven on beside the kept ones
ENOUGH = 20  #: of them, where the answers are numbers that no two rows share
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
    return all(_same_row(row, there, tolerance) for row, there in pairs)


def most_telling(candidate: Rows, champion: Rows | None, at_most: int = TELLING_AT_MOST) -> list[int]:
    """Return the places of the rows that two models' answers differ most on; the first ones if only one is known.

    They are few where the candidate answers each with a number of its own and unlike the champion: a third model gives
    other numbers too. Where rows share an answer, such as a label or the leaf of a tree, a third model may give the
    same for some, and only more rows show it.
    """
    places = range(len(candidate.values))
    if champion is None or len(champion.values) != len(candidate.values):
        return list(places[:at_most])
    shared = [name for name in candidate.columns if name in champion.columns]
    ours, theirs = candidate.only(shared).values, champion.only(shared).values
    difference = [
        sum(_difference(a, b) for a, b in zip(row, there, strict=True)) for row, there in zip(ours, theirs, strict=True)
    ]
    telling = sorted(places, key=lambda place: -difference[place])[:at_most]
    few = telling[:ENOUGH]
    own_numbers = len({tuple(ours[place]) for place in few}) == len(few)
    if own_numbers and not any(_same_row(ours[place], theirs[place], ALIKE) for place in few):
        telling = few
    return sorted(telling)


def last(rows: Rows, count: int) -> Rows:
    return Rows(rows.columns, rows.values[len(rows.values) - count :])


def first(rows: Rows, count: int) -> Rows:
    return Rows(rows.columns, rows.values[:count])


def _same_row(one: Sequence[str], other: Sequence[str], tolerance: float) -> bool:
    return one == other or all(_same_cell(a, b, tolerance) for a, b in zip(one, other, strict=True))


def _same_cell(one: str, other: str, tolerance: float) -> bool:
    if one.casefold() == other.casefold():  # True of one service is true of another
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=tolerance, abs_tol=tolerance / 1000)
    except ValueError:
        return False


def _difference(one: str, other: str) -> float:
    """Return how far apart two cells are: text that differs, or no number, counts as 1."""
    try:
        difference = abs(float(one) - float(other))
    except ValueError:
        return float(one != other)
    return difference if math.isfinite(difference) else 1.0
