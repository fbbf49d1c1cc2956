"""What models answered for rows whose truth is known: from the cells of a table to numbers.

Columns of Score Model by kind: regression `Scored Labels`; two-class `Scored Labels` and `Scored Probabilities`, those
of the positive class; multiclass `Scored Labels` and `Scored Probabilities for Class "x"`. Needs numpy: import it late.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.base.errors import BadEvaluation
from shared.domain.evaluation import Kind
from shared.domain.gate.metrics import Answered, Floats, Multiclass, Regression, TwoClass
from shared.domain.gate.scored import LABELS, PROBABILITIES, kind_of_columns
from shared.domain.rows import Rows


@dataclass(frozen=True)
class _Table:
    """The answers of one model; `name` is what an error calls them."""

    name: str
    rows: Rows
    kept: Sequence[int]

    def cells(self, column: str) -> list[str]:
        if column not in self.rows.columns:
            raise BadEvaluation(
                f"{self.name} have no column {column!r}; their columns are: {', '.join(self.rows.columns)[:500]}"
            )
        place = self.rows.columns.index(column)
        return [self.rows.values[row][place].strip() for row in self.kept]

    def classes(self, column: str) -> list[str]:
        cells = self.cells(column)
        if "" in cells:
            raise self._wrong(column, cells.index(""), "is empty")
        names = {cell: _class(cell) for cell in {*cells}}  # a class is written in few ways, and in many rows
        return [names[cell] for cell in cells]

    def numbers(self, column: str) -> Floats:
        cells = self.cells(column)
        found = np.array([_number(cell) for cell in cells])
        if np.isnan(found).any():
            place = int(np.isnan(found).argmax())
            raise self._wrong(column, place, f"is {cells[place][:40]!r}, which is not a number")
        return found

    def probabilities(self) -> Floats:
        found = self.numbers(PROBABILITIES)
        if ((found < 0) | (found > 1)).any():
            place = int(((found < 0) | (found > 1)).argmax())
            raise self._wrong(PROBABILITIES, place, f"is {found[place]}, which is not a probability")
        return found

    def _wrong(self, column: str, place: int, what: str) -> BadEvaluation:
        return BadEvaluation(f"{self.name}: row {self.kept[place] + 1}: {column!r} {what}")


def read_answers(
    rows: Rows, label: str, champion: Rows | None, by_labels: Kind | None = None
) -> tuple[list[int], Sequence[Answered]]:
    """Return the places of the rows that have a truth, and what the candidate, then the champion if given, answered.

    A row without a truth shows nothing of a model and is left out of both. `by_labels` is the kind of models
    whose labels are enough; without it, each must have given what its kind gives. Raises `BadEvaluation`.
    """
    if label not in rows.columns:
        raise BadEvaluation(f"The scored rows have no column {label!r}, which is the gate's label")
    kept = [row for row, [cell] in enumerate(rows.only([label]).values) if cell.strip()]
    if not kept:
        raise BadEvaluation(f"The scored rows have no truth: their column {label!r} is empty")
    if champion is not None and len(champion.values) != len(rows.values):
        raise BadEvaluation(f"The champion gave {len(champion.values)} answers for {len(rows.values)} scored rows")
    own = _Table("The scored rows", rows, kept)
    tables = [own, *([_Table("The champion's answers", champion, kept)] if champion is not None else [])]
    kind = kind_of_columns(rows.columns)
    if kind is Kind.REGRESSION and by_labels:
        kind = by_labels
    if kind is Kind.REGRESSION:
        truth = own.numbers(label)
        return kept, [Regression(truth, table.numbers(LABELS)) for table in tables]
    known = own.classes(label)
    if kind is Kind.MULTICLASS:
        return kept, _multiclass(known, [table.classes(LABELS) for table in tables])
    return kept, _two_class(known, tables, labels_suffice=by_labels is not None)


def _multiclass(truth: list[str], answers: list[list[str]]) -> list[Answered]:
    names = sorted({*truth, *(label for labels in answers for label in labels)})
    number = {name: place for place, name in enumerate(names)}
    of = np.array([number[name] for name in truth])
    return [Multiclass(of, np.array([number[name] for name in labels]), names) for labels in answers]


def _two_class(truth: list[str], tables: list[_Table], *, labels_suffice: bool) -> list[Answered]:
    """Return what the models answered. Where labels suffice and one gave only labels, both are read by labels."""
    labels = [table.classes(LABELS) for table in tables]
    full = [not labels_suffice or PROBABILITIES in table.rows.columns for table in tables]
    probabilities = [table.probabilities() for table, has in zip(tables, full, strict=True) if has]
    said = [label for each, has in zip(labels, full, strict=True) if has for label in each]
    if probabilities:
        positive = positive_class(truth, said, np.concatenate(probabilities))
    else:
        positive = _positive_by_name(_two_known(truth, [label for each in labels for label in each]))
    of = np.array([float(name == positive) for name in truth])
    scored = [np.array([float(name == positive) for name in given]) for given in labels]
    if not all(full):
        return [TwoClass(of, given, given, has_probabilities=False) for given in scored]
    return [TwoClass(of, given, chance) for given, chance in zip(scored, probabilities, strict=True)]


def positive_class(truth: Sequence[str], labels: Sequence[str], probabilities: Floats) -> str | None:
    """Return the class that the probabilities are of, or None where no row is and none is scored as it.

    It is the class that is answered where they are high. Where only one class is answered, it is that class if all are
    0.5 or more, else the other. Only a model that knows nothing (0.5 for each row) leaves it to Studio's rule:
    `true` or `1`, else the second in the alphabet.
    """
    known = _two_known(truth, labels)
    answered = sorted(set(labels))
    given = np.array(labels)
    ranges = [(probabilities[given == name].min(), probabilities[given == name].max()) for name in answered]
    if all(low == high == 0.5 for low, high in ranges):
        return _positive_by_name(known)
    if len(answered) == 2:
        (low, high), (other_low, other_high) = ranges
        if low >= other_high and high > other_low:
            return answered[0]
        if other_low >= high and other_high > low:
            return answered[1]
    elif ranges[0][0] >= 0.5:
        return answered[0]
    elif ranges[0][1] <= 0.5:
        return next((name for name in known if name != answered[0]), None)
    raise BadEvaluation(
        f"{LABELS!r} do not follow {PROBABILITIES!r}: neither class is the one answered where they are high"
    )


def _two_known(truth: Sequence[str], labels: Sequence[str]) -> list[str]:
    known = sorted({*truth, *labels})
    if len(known) > 2:
        shown = ", ".join(known[:5])
        raise BadEvaluation(f"A two-class model has two classes, and these rows have {len(known)}: {shown}")
    return known


def _positive_by_name(known: Sequence[str]) -> str:
    """Return Studio's positive class: `true` or `1`, else the second in the alphabet."""
    return next((name for name in known if name in ("true", "1")), known[-1])


def _class(cell: str) -> str:
    """Return a class as one name, however a number or a truth value was written: 1 and 1.0, True and true."""
    number = _number(cell)
    if not math.isnan(number):
        return str(int(number)) if number.is_integer() else repr(number)
    return cell.casefold() if cell.casefold() in ("true", "false") else cell


def _number(cell: str) -> float:
    """Return NaN for what is not a finite number (2026_11 and nan are some to Python alone)."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) and "_" not in cell else math.nan
