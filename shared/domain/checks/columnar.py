"""The fast look at a block of plain lines: all of its cells at once, by NumPy.

What a cell is made of is seen without cutting it out: where the bytes are that are not digits, and which they are. That
tells a number in its common spelling and a missing cell for sure; every other cell is looked at by itself where a rule
asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

EMPTY, INTEGER, NUMBER, OTHER = range(4)  #: what a cell is; a number in another spelling, such as 1e5, is OTHER
_LENGTH = 300  #: bytes of a number that is finite for sure
_LF, _POINT, _MINUS, _PLUS, _SPACE, _TAB = b"\n.-+ \t"


class Cells:
    """The cells of a block whose rows all have the same number of cells."""

    def __init__(self, plain: bytes, separator: bytes, kinds: Any, starts: Any, ends: Any) -> None:
        self._plain, self._kinds, self._starts, self._ends = plain, kinds, starts, ends
        self._separator, self._has_marks = separator.decode(), False
        self.rows = len(kinds)
        self.highest: list[int] = kinds.max(axis=0).tolist()
        self.missing: list[int] = (kinds == EMPTY).sum(axis=0).tolist()

    def row(self, index: int) -> list[str]:
        """Return the cells of a row, the missing ones empty."""
        cells = self._plain[self._starts[index, 0] : self._ends[index, -1]].decode().split(self._separator)
        if not self._has_marks:
            return cells
        return [cell if kind else "" for cell, kind in zip(cells, self._kinds[index].tolist(), strict=True)]

    def column(self, index: int, above: int) -> tuple[list[int], list[str]]:
        """Return the cells of a column that are of a kind above that one, and in which rows of the block they are."""
        rows = (self._kinds[:, index] > above).nonzero()[0]
        bounds = zip(self._starts[rows, index].tolist(), self._ends[rows, index].tolist(), strict=True)
        return rows.tolist(), [self._plain[start:end].decode() for start, end in bounds]

    def spaced(self) -> list[tuple[int, list[int], list[str]]]:
        """Return the cells that may begin or end with a space, by column: its index, the rows and the cells."""
        import numpy as np

        data = np.frombuffer(self._plain, np.uint8)
        others = np.flatnonzero(self._kinds.ravel() == OTHER)
        first, last = data[self._starts.ravel()[others]], data[self._ends.ravel()[others] - 1]
        # Of a no-break space the first byte is 0xC2 and the last 0xA0, as those of other letters are.
        may = (first == _SPACE) | (first == _TAB) | (first == 0xC2) | (last == _SPACE) | (last == _TAB) | (last == 0xA0)
        width = self._kinds.shape[1]
        found: dict[int, list[int]] = {}
        for place in others[may].tolist():
            found.setdefault(place % width, []).append(place // width)
        return [
            (index, rows, [self._plain[self._starts[row, index] : self._ends[row, index]].decode() for row in rows])
            for index, rows in found.items()
        ]

    def blank(self, marks: Iterable[bytes]) -> dict[bytes, Sequence[int]]:
        """Take the cells that are one of these marks for missing; return in which columns each mark is."""
        import numpy as np

        data = np.frombuffer(self._plain, np.uint8)
        found: dict[bytes, Sequence[int]] = {}
        starts, lengths = self._starts.ravel(), (self._ends - self._starts).ravel()
        for mark in marks:
            if not mark or mark not in self._plain:
                continue
            places = np.flatnonzero(lengths == len(mark))
            for offset, sign in enumerate(mark):
                places = places[data[starts[places] + offset] == sign]
            if len(places):
                self._kinds.ravel()[places] = EMPTY
                found[mark] = np.unique(places % self._kinds.shape[1]).tolist()
        if found:
            self._has_marks = True
            self.highest = self._kinds.max(axis=0).tolist()
            self.missing = (self._kinds == EMPTY).sum(axis=0).tolist()
        return found


def look(plain: bytes, separator: bytes, width: int) -> Cells | None:
    """Return the cells of these lines, which end in LF each, or None where a row is not like the others."""
    import numpy as np

    data = np.frombuffer(plain, np.uint8)
    places = np.flatnonzero((data - np.uint8(ord("0"))) > 9)  # of what is not a digit
    signs = data[places]
    line_ends = signs == _LF
    bounds = np.flatnonzero(line_ends | (signs == separator[0]))
    rows, odd = divmod(len(bounds), width)
    if odd or np.count_nonzero(line_ends) != rows or not line_ends[bounds[width - 1 :: width]].all():
        return None
    ends = places[bounds]
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts
    if width == 1 and not lengths.all():
        return None  # in a table of one column a blank line is not a missing cell
    kinds = _kinds(signs, places, bounds, starts, lengths)
    shape = (rows, width)
    return Cells(plain, separator, kinds.reshape(shape), starts.reshape(shape), ends.reshape(shape))


def _kinds(signs: Any, places: Any, bounds: Any, starts: Any, lengths: Any) -> Any:
    """Return of each cell what it is, by the bytes in it that are not digits."""
    import numpy as np

    firsts = np.empty_like(bounds)  # of these bytes, as an index of `signs`; where there is none, the end of the cell
    firsts[0], firsts[1:] = 0, bounds[:-1] + 1
    count = bounds - firsts
    first = signs[firsts]
    second = signs[np.minimum(firsts + 1, bounds)]
    signed = ((first == _MINUS) | (first == _PLUS)) & (places[firsts] == starts) & (count > 0)
    pointed = np.where(signed, second, first) == _POINT
    pointed &= count > signed
    known = count == signed.view(np.uint8) + pointed.view(np.uint8)
    kinds = np.full(len(bounds), OTHER, np.uint8)
    kinds[known & (lengths > count) & (lengths < _LENGTH)] = INTEGER
    kinds[(kinds == INTEGER) & pointed] = NUMBER
    kinds[lengths == 0] = EMPTY
    return kinds
