"""One column as it passes by: are its cells what they should be, and how many are missing."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from shared.domain.checks import numerals
from shared.domain.checks.drift import NUMBER
from shared.domain.checks.report import Fault
from shared.domain.checks.rules import Column, Type
from shared.domain.table.form import cut

_KINDS = {Type.INTEGER: numerals.INTEGER, Type.NUMBER: numerals.NUMBER}
_INTEGER = re.compile(r" *[+-]?[0-9]+ *")
_BOOLEAN = re.compile(r"(?i)true|false|0|1")
_RIGHT = {
    Type.NUMBER: "a number (decimal point, no thousands separator)",
    Type.INTEGER: "a whole number",
    Type.BOOLEAN: "true, false, 0 or 1",
    Type.DATETIME: "a date as ISO 8601 writes it, 2026-11-30 or 2026-11-30T06:00:00Z",
}
CLASSES_AT_MOST = 10_000  #: of a label that are compared
_SPACES = (" ", "\t", "\xa0")
_NOT_A_NUMBER = {"nan", "na", "n/a", "null", "none", "inf", "-inf", "infinity", "?", "-"}


class Twice(NamedTuple):
    """A class that is there with a space and without: the row of the second, and what to say."""

    row: int
    message: str


class ColumnCheck:
    """What is known of one column so far."""

    def __init__(self, rule: Column, label: bool) -> None:
        self.rule, self.label = rule, label
        self.missing = 0
        self.words: set[str] = set()  #: of the rule `missing`, that stand for missing cells
        self.wrong = 0  #: cells that are not what the rule says
        self.first: tuple[int, str] | None = None  #: row and cell of the first of them
        self.fault: Fault | None = None  #: that one, as it is reported
        self.classes: list[str] = []  #: the first two: more need not be known
        self.spaced = 0  #: texts that begin or end with a space
        self.spaced_row = 0  #: of the first of them
        self.twice: Twice | None = None  #: a class that is there with a space and without
        self.classes_left_out = False  #: whether there are more classes than are compared
        self._variants: dict[str, tuple[int, str]] = {}  #: row and text of each class, by the class without spaces
        self._values = frozenset(rule.values)
        self._fits = self._values.__contains__ if rule.values else _FITS.get(rule.type, _anything)

    @property
    def right(self) -> str:
        """Return what a cell of this column has to be."""
        if self._values:
            known = [repr(value) for value in self.rule.values[:10]]
            return f"one of {', '.join(known)}{', ...' if len(self.rule.values) > 10 else ''}"
        return _RIGHT.get(self.rule.type, "text") if self.rule.type else "text"

    def hint(self, cell: str) -> str:
        """Return what to do about a cell that is often met, or nothing."""
        if not cell.strip():
            return "; a missing cell has nothing in it, not even a space"
        if cell != cell.strip() and self._fits(cell.strip()):
            return "; the training takes the space around it for a part of it, so take it away"
        if cell.lower() in _NOT_A_NUMBER:
            return f"; leave missing cells empty: a training reads {cell!r} as text, and the whole column with it"
        if self.rule.type in (Type.NUMBER, Type.INTEGER) and "," in cell:
            return "; the decimal sign is a point"
        return ""

    @property
    def looked_at_above(self) -> int | None:
        """Return the kind (see `numerals.py`) above which each cell has to be seen; None where only spaces count."""
        if self.label and len(self.classes) < 2:
            return numerals.EMPTY
        if self.rule.type in _KINDS and not self._values:
            return _KINDS[self.rule.type]
        if self.label and self.rule.type is None and not self._values:
            return numerals.NUMBER
        return None if self._is_text and not self.label else numerals.EMPTY

    @property
    def looked_at_once(self) -> bool:
        """Return whether it is likely that many rows have the same cell, so that each is looked at once."""
        return self.label or bool(self._values) or self.rule.type in (Type.BOOLEAN, Type.DATETIME)

    def by_cell(self, cells: Sequence[str], rows: Sequence[int], counts: Sequence[int]) -> None:
        """Take in cells that are not missing: the line in which each is first, and how many rows have it."""
        if self.label and len(self.classes) < 2:
            self.classes = [*dict.fromkeys([*self.classes, *cells])][:2]
        if not all(map(self._fits, cells)):
            for cell, row, count in zip(cells, rows, counts, strict=True):
                if not self._fits(cell):
                    self.wrong += count
                    self.first = self.first or (row, cell)
        if self._is_text and any(map(_has_space, cells)):
            self.count_spaces(cells, rows, counts)
        if self.label and self._is_text and not self.twice:
            self._compare_classes(cells, rows)

    @property
    def _is_text(self) -> bool:
        return not self._values and self.rule.type in (None, Type.TEXT)

    def count_spaces(self, cells: Sequence[str], rows: Sequence[int], counts: Sequence[int]) -> None:
        """Count the texts that begin or end with a space."""
        for cell, row, count in zip(cells, rows, counts, strict=True):
            # What may be a number is one, with spaces and without.
            if _has_space(cell) and not (self.rule.type is None and NUMBER.fullmatch(cell.strip(" "))):
                self.spaced += count
                self.spaced_row = self.spaced_row or row

    def _compare_classes(self, cells: Sequence[str], rows: Sequence[int]) -> None:
        for cell, row in zip(cells, rows, strict=True):
            bare = cell.strip()
            known = self._variants.get(bare)
            if known is None:
                if self.rule.type is None and NUMBER.fullmatch(bare):
                    continue  # a number is one, with spaces and without
                if len(self._variants) == CLASSES_AT_MOST:
                    self.classes_left_out = True
                else:
                    self._variants[bare] = (row, cell)
            elif known[1] != cell:
                message = f"line {row}, column {self.rule.name!r} is {cut(cell)!r}, and in line {known[0]} "
                message = f"{message}{cut(known[1])!r}: the training takes them for two classes; take the space away"
                self.twice = Twice(row, message)
                return


def _anything(_: str) -> bool:
    return True


def _has_space(cell: str) -> bool:
    return cell[:1] in _SPACES or cell[-1:] in _SPACES


def _is_number(cell: str) -> bool:
    bare = cell.strip(" ")
    return NUMBER.fullmatch(bare) is not None and math.isfinite(float(bare))


def _is_datetime(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
        return True
    except ValueError:
        return False


_FITS: dict[Type | None, Callable[[str], object]] = {
    Type.NUMBER: _is_number,
    Type.INTEGER: _INTEGER.fullmatch,
    Type.BOOLEAN: _BOOLEAN.fullmatch,
    Type.DATETIME: _is_datetime,
}
