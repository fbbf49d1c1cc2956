"""What two models answered for the same rows, as numbers to be drawn. Pure, and by the columns of Score Model.

Two-class has `Scored Labels` and `Scored Probabilities` (of the positive class), multiclass `Scored Probabilities for
Class "x"` and `Scored Labels`, regression `Scored Labels` alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from shared.evaluation import Kind
from shared.rows import Rows

LABELS, PROBABILITIES, OF_CLASS = "Scored Labels", "Scored Probabilities", "Scored Probabilities for Class"

Point = tuple[float, float]


@dataclass(frozen=True)
class Roc:
    """`points` go from (0, 0) to (1, 1): the share of false alarms, and of the positive rows that were found."""

    points: list[Point]

    @property
    def area(self) -> float:
        """Return the area below, by trapezoids: the chance that a positive row scores above a negative one."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairs)


@dataclass(frozen=True)
class Residuals:
    """By row: what was predicted, and the truth less that."""

    points: list[Point]

    @property
    def root_mean_square(self) -> float:
        return math.sqrt(sum(error * error for _, error in self.points) / len(self.points))


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: rows of class i that were scored as class j."""

    classes: list[str]
    counts: list[list[int]]

    @property
    def accuracy(self) -> float:
        right = sum(row[place] for place, row in enumerate(self.counts))
        return right / sum(map(sum, self.counts))


Curve = Roc | Residuals | Confusion


def kind_of(answers: Rows) -> Kind:
    if any(name.startswith(OF_CLASS) for name in answers.columns):
        return Kind.MULTICLASS
    return Kind.TWO_CLASS if PROBABILITIES in answers.columns else Kind.REGRESSION


def curves(truth: Sequence[str], answers: Sequence[Rows]) -> list[Curve]:
    """Return one curve for each model's answers; rows without a truth are left out of all.

    Raises ValueError, naming the column or the cell, where they are not what Score Model writes.
    """
    kept = [place for place, cell in enumerate(truth) if cell.strip()]
    if not kept:
        raise ValueError("no row has a truth in the label's column")
    known = [truth[place].strip() for place in kept]
    tables = [each.at(kept) for each in answers]
    match kind_of(answers[0]):
        case Kind.TWO_CLASS:
            return _rocs(known, tables)
        case Kind.MULTICLASS:
            labels = [_cells(table, LABELS) for table in tables]
            classes = sorted({*known, *(label for each in labels for label in each)})
            return [_confusion(known, each, classes) for each in labels]
        case Kind.REGRESSION:
            right = [_number(cell) for cell in known]
            predicted = [_numbers(table, LABELS) for table in tables]
            return [Residuals([(p, t - p) for p, t in zip(each, right, strict=True)]) for each in predicted]


def _rocs(truth: list[str], tables: list[Rows]) -> list[Curve]:
    positive = _positive(truth, tables)
    of_it = [label == positive for label in truth]
    if all(of_it) or not any(of_it):
        raise ValueError("all rows are of one class, and a ROC curve needs two")
    return [_roc(of_it, _numbers(table, PROBABILITIES)) for table in tables]


def _positive(truth: list[str], tables: list[Rows]) -> str:
    """Return the class that the probabilities are of: that of the labels given above one half."""
    given: Counter[str] = Counter()
    for table in tables:
        pairs = zip(_cells(table, LABELS), _numbers(table, PROBABILITIES), strict=True)
        for label, chance in pairs:
            given[label] += (chance > 0.5) - (chance < 0.5)
    [(likeliest, votes)] = given.most_common(1)
    if votes > 0:
        return likeliest
    others = set(truth) - {likeliest}  # no row is scored as the positive class
    return min(others) if others else likeliest


def _roc(of_it: list[bool], scores: list[float]) -> Roc:
    positives, negatives = of_it.count(True), of_it.count(False)
    points, found, alarms = [(0.0, 0.0)], 0, 0
    ranked = sorted(zip(scores, of_it, strict=True), key=lambda pair: -pair[0])
    for _, group in groupby(ranked, key=lambda pair: pair[0]):  # rows of one score cannot be told apart
        for _, positive in group:
            found, alarms = found + positive, alarms + (not positive)
        points.append((alarms / negatives, found / positives))
    return Roc(points)


def _confusion(truth: list[str], labels: list[str], classes: list[str]) -> Confusion:
    counts = Counter(zip(truth, labels, strict=True))
    return Confusion(classes, [[counts[right, given] for given in classes] for right in classes])


def _cells(table: Rows, column: str) -> list[str]:
    return [cell.strip() for [cell] in table.only([column]).values]


def _numbers(table: Rows, column: str) -> list[float]:
    return [_number(cell) for cell in _cells(table, column)]


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{cell[:40]!r} is no number")
    return number
