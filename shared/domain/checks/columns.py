"""One column as it passes by: are its cells what they should be, and how many are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import compress

from shared.domain.checks.drift import NUMBER
from shared.domain.checks.report import Fault
from shared.domain.checks.rules import Column, Type

MISSING = b"\0"  #: stands for a missing cell in a shape
MINUS = b"\1"  #: for a minus at the start of a cell
EXPONENT = b"\3"  #: for an exponent after a number
#: shapes (see `shapes.py`) that only numbers have: 12, 1.2, -12, -1.2, and nothing
_SHAPES = {
    Type.INTEGER: {b"", MINUS, MISSING},
    Type.NUMBER: {minus + rest + end for minus in (b"", MINUS) for rest in (b"", b".") for end in (b"", EXPONENT)}
    | {MISSING},
}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_BOOLEAN = re.compile(r"(?i)true|false|0|1")
_RIGHT = {
    Type.NUMBER: "a number (decimal point, no thousands separator)",
    Type.INTEGER: "a whole number",
    Type.BOOLEAN: "true, false, 0 or 1",
    Type.DATETIME: "a date as ISO 8601 writes it, 2026-11-30 or 2026-11-30T06:00:00Z",
}
_NOT_A_NUMBER = {"nan", "na", "n/a", "null", "none", "inf", "-inf", "infinity", "?", "-"}


class ColumnCheck:
    """What is known of one column so far."""

    def __init__(self, rule: Column, label: bool) -> None:
        self.rule, self.label = rule, label
        self.missing = 0
        self.words: set[str] = set()  #: of the rule `missing`, that stand for missing cells
        self.wrong = 0  #: cells that are not what the rule says
        self.first: tuple[int, str] | None = None  #: row and cell of the first of them
        self.fault: Fault | None = None  #: that one, told
        self.classes: list[str] = []  #: the first two: more need not be known
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
        if cell.lower() in _NOT_A_NUMBER:
            return f"; leave missing cells empty: a training reads {cell!r} as text, and the whole column with it"
        if self.rule.type in (Type.NUMBER, Type.INTEGER) and "," in cell:
            return "; the decimal sign is a point"
        return ""

    def by_shape(self, shapes: Sequence[bytes], counts: Sequence[int]) -> bool:
        """Take cells in by their shapes and how often each was; return False where the cells themselves are needed."""
        distinct = set(shapes)
        if self._values or (self.label and len(self.classes) < 2):
            return False
        if self.rule.type in _SHAPES:
            if not distinct <= _SHAPES[self.rule.type]:
                return False
        elif self.rule.type not in (None, Type.TEXT):
            return False
        if MISSING in distinct:
            self.missing += sum(compress(counts, map(MISSING.__eq__, shapes)))
        return True

    def by_cell(self, cells: Sequence[str], rows: Sequence[int]) -> None:
        """Take cells in, without spaces around and empty where missing; `rows` are the numbers of their lines."""
        present = [*filter(None, cells)]
        self.missing += len(cells) - len(present)
        if self.label and len(self.classes) < 2:
            self.classes = [*dict.fromkeys([*self.classes, *present])][:2]
        if not all(map(self._fits, self._distinct(present))):
            for cell, row in zip(cells, rows, strict=True):
                if cell and not self._fits(cell):
                    self.wrong += 1
                    self.first = self.first or (row, cell)

    def _distinct(self, cells: list[str]) -> Iterable[str]:
        return set(cells) if self._values or self.rule.type in (Type.BOOLEAN, Type.DATETIME) else cells


def _anything(_: str) -> bool:
    return True


def _is_datetime(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
        return True
    except ValueError:
        return False


_FITS: dict[Type | None, Callable[[str], object]] = {
    Type.NUMBER: NUMBER.fullmatch,
    Type.INTEGER: _INTEGER.fullmatch,
    Type.BOOLEAN: _BOOLEAN.fullmatch,
    Type.DATETIME: _is_datetime,
}
