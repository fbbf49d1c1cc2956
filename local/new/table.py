"""What a training will see in a table: types, missing cells, columns that teach nothing. Decides only; no I/O.

A column is numeric to the training when each of its cells is a number or missing, so the same rule is used here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from shared.base.suggestion import nearest
from studio.experiments.types import Kind

#: What R, Weka, pandas, SAS and SQL exports write for a missing value.
STANDS_FOR_MISSING = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-", ".")
#: Of these, words that are also plain text ("NA" is Namibia): they count only where a column is numeric without them.
_ONLY_BESIDE_NUMBERS = {"NA", "None", "-", "."}
CATEGORIES_AT_MOST = 100  #: more different texts in a column are an id or free text, not categories
AMOUNT_FROM = 13  #: a numeric label with so many different values is an amount unless a person says otherwise
ROWS_OF_A_CLASS = 4  #: fewer cannot be split into rows to learn from and rows to judge on, now and after a drop
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}(?:[T ].*)?|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4}")


class Form(Enum):
    """What the cells of a column are to the training."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True)
class ColumnSeen:
    """One column: `counts` are its different cells that are not missing, most frequent first."""

    name: str
    form: Form
    missing: int
    counts: Mapping[str, int]
    useless: str = ""  #: why a model should not learn from it; empty where it should

    @property
    def numeric(self) -> bool:
        return self.form in (Form.INTEGER, Form.NUMBER)

    @property
    def seen(self) -> str:
        """What its cells are, in a few words."""
        gaps = f", {self.missing:,} missing" if self.missing else ""
        if self.form is Form.EMPTY:
            return "no cell at all"
        if self.numeric:
            numbers = [float(cell) for cell in self.counts]
            return f"{min(numbers):g} to {max(numbers):g}{gaps}"
        shown = ", ".join(short(cell) for cell in list(self.counts)[:4])
        return f"{len(self.counts):,} different: {shown}{', ...' if len(self.counts) > 4 else ''}{gaps}"


@dataclass(frozen=True)
class TableSeen:
    """A table as the training will see it. `missing` are the texts that stand for a missing value."""

    rows: int
    columns: tuple[ColumnSeen, ...]
    missing: tuple[str, ...]

    def column(self, name: str) -> ColumnSeen:
        """Return the column; raise ValueError that names the columns there are."""
        for column in self.columns:
            if column.name == name:
                return column
        names = [each.name for each in self.columns]
        if same := next((each for each in names if each.casefold() == name.strip().casefold()), None):
            hint = f"{same!r} differs in case or spaces only"
        elif near := nearest(name, names):
            hint = f"did you mean {near!r}?"
        else:
            hint = f"the columns are: {_listed(self.columns)}"
        raise ValueError(f"The table has no column {name!r}; {hint}")

    def with_every_column(self) -> TableSeen:
        """Return the table with each column to be learnt from that has a cell."""
        kept = (replace(each, useless="") if each.form is not Form.EMPTY else each for each in self.columns)
        return replace(self, columns=tuple(kept))

    def useless(self, label: str) -> list[str]:
        """Return the names of the columns that a model should not learn from."""
        return [column.name for column in self.columns if column.useless and column.name != label]

    def features(self, label: str) -> list[ColumnSeen]:
        """Return the columns that a model learns from."""
        return [column for column in self.columns if column.name != label and not column.useless]


def look(columns: Mapping[str, Sequence[str]]) -> TableSeen:
    """Return what the training will see in the table, given as text by column."""
    missing = _missing(columns)
    rows = len(next(iter(columns.values()), []))
    return TableSeen(rows, tuple(_seen(name, cells, missing, rows) for name, cells in columns.items()), missing)


def kind_of(label: ColumnSeen) -> Kind:
    """Return the kind of model that the label asks for."""
    if label.numeric and (label.form is Form.NUMBER or len(label.counts) >= AMOUNT_FROM):
        return "regression"
    return "two-class" if len(label.counts) == 2 else "multiclass"


def kinds_of(label: ColumnSeen) -> tuple[Kind, ...]:
    """Return the kinds that the label allows, the likely one first."""
    likely = kind_of(label)
    if not label.numeric or len(label.counts) <= 2:
        return (likely,)
    return (likely, "multiclass" if likely == "regression" else "regression")


def refuse_label(label: ColumnSeen, kind: Kind) -> None:
    """Raise ValueError, which says what to do, for a label that no such model can learn."""
    if len(label.counts) < 2:
        raise ValueError(
            f"The label {label.name!r} has {len(label.counts)} different values; a model needs two or more"
        )
    if kind == "regression":
        if not label.numeric:
            raise ValueError(f"The label {label.name!r} is text, and a regression needs numbers")
        return
    few = [cell for cell, count in label.counts.items() if count < ROWS_OF_A_CLASS]
    if len(label.counts) > CATEGORIES_AT_MOST:
        raise ValueError(
            f"The label {label.name!r} has {len(label.counts):,} classes; at most {CATEGORIES_AT_MOST} can be learnt"
        )
    if few:
        names = ", ".join(repr(short(cell)) for cell in few[:5])
        raise ValueError(
            f"The label {label.name!r} has classes with fewer than {ROWS_OF_A_CLASS} rows: {names}; "
            "remove those rows, or give them another class"
        )


def likely_label(table: TableSeen) -> str:
    """Return the column that is probably to be predicted: one with a usual name, else the last that can be learnt."""
    usual = {"label", "target", "class", "y", "outcome"}
    named = [column.name for column in table.columns if column.name.casefold() in usual]
    able = [column.name for column in table.columns if not column.useless]
    return next(iter(named), able[-1] if able else table.columns[-1].name)


def _missing(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    found: set[str] = set()
    for cells in columns.values():
        different = {cell for cell in set(cells) if cell}
        texts = {cell for cell in different if not _NUMBER.fullmatch(cell)}
        numeric = texts < different and texts <= set(STANDS_FOR_MISSING)
        found |= texts if numeric else texts & set(STANDS_FOR_MISSING) - _ONLY_BESIDE_NUMBERS
    return tuple(each for each in STANDS_FOR_MISSING if each in found)


def _seen(name: str, cells: Sequence[str], missing: tuple[str, ...], rows: int) -> ColumnSeen:
    counts = Counter(cell for cell in cells if cell and cell not in missing)
    form = _form(counts)
    ordered = dict(counts.most_common())
    return ColumnSeen(name, form, rows - counts.total(), ordered, _useless(form, cells, ordered))


def _form(counts: Mapping[str, int]) -> Form:
    if not counts:
        return Form.EMPTY
    if not all(map(_NUMBER.fullmatch, counts)):
        return Form.TEXT
    return Form.INTEGER if all(re.fullmatch(r"[+-]?[0-9]+", cell) for cell in counts) else Form.NUMBER


def _useless(form: Form, cells: Sequence[str], counts: Mapping[str, int]) -> str:
    present = sum(counts.values())
    if form is Form.EMPTY:
        return "it is empty"
    if len(counts) == 1:
        return "all its cells are the same"
    if form is Form.TEXT and len(counts) > 10 and all(map(_DATE.fullmatch, counts)):
        return "it is a date; add a column such as the month to learn from it"
    if form is Form.TEXT and (len(counts) > CATEGORIES_AT_MOST or (len(counts) > 20 and len(counts) > present / 2)):
        return f"it has {len(counts):,} different texts: an id or free text"
    if present * 5 < len(cells):
        return f"{1 - present / len(cells):.0%} of its cells are missing"
    if form is Form.INTEGER and len(counts) == present > 20 and _counts_up(cells):
        return "it numbers the rows"
    return ""


def _counts_up(cells: Sequence[str]) -> bool:
    numbers = [int(cell) for cell in cells if _NUMBER.fullmatch(cell)]
    return all(later - earlier == 1 for earlier, later in pairwise(numbers))


def short(cell: str) -> str:
    cell = " ".join(cell.split())  # a cell may have ends of lines in it
    return cell if len(cell) <= 24 else f"{cell[:23]}…"


def _listed(columns: Sequence[ColumnSeen], most: int = 20) -> str:
    names = ", ".join(repr(column.name) for column in columns[:most])
    return f"{names} and {len(columns) - most:,} more" if len(columns) > most else names
