"""The fast look at a large block: all of its cells at once, by NumPy.

What a cell is made of is seen without cutting it out: where the bytes are that are not digits, and which they are. That
tells a number in its common spellings and a missing cell for sure; every other cell is looked at by itself where a rule
asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from shared.domain.table.grid import Grid

EMPTY, INTEGER, NUMBER, OTHER = range(4)  #: what a cell is; a number in a rare spelling, such as 1e100, is OTHER
_NUMBER_AT_MOST = 300  #: bytes of a number that is finite for sure
_DIGITS_AT_MOST = 200  #: before an exponent, for the same
_ROWS_AT_ONCE = 16  #: that NumPy takes for one: it is slow where it has many short ones
_WORD, _WORDS_AT_MOST = 8, 8  #: bytes of a cell that are compared at once, and how many times
_DISTINCT_AT_MOST = 64  #: different cells of a block that are found without cutting out all
_POINT, _MINUS, _PLUS, _SPACE, _TAB = b".-+ \t"


class Seen(NamedTuple):
    """Cells that are looked at one by one: the (first) row of each in the block, and how many rows have it."""

    rows: list[int]
    cells: list[str]
    counts: list[int]


class Cells:
    """The cells of a block whose rows all have the same number of cells."""

    def __init__(self, grid: Grid, rows: int, width: int) -> None:
        self._grid, self._kinds = grid, _kinds(grid).reshape(rows, width)
        self._starts, self._ends = grid.starts.reshape(rows, width), grid.ends.reshape(rows, width)
        self.rows = rows
        self._sum_up()

    def _sum_up(self) -> None:
        import numpy as np

        rows, width = self._kinds.shape
        whole = self._kinds[: rows - rows % _ROWS_AT_ONCE].reshape(-1, _ROWS_AT_ONCE * width)
        some = whole.max(axis=0, initial=EMPTY).reshape(_ROWS_AT_ONCE, width)
        rest = self._kinds[rows - rows % _ROWS_AT_ONCE :]
        self.highest: list[int] = np.maximum(some.max(axis=0), rest.max(axis=0, initial=EMPTY)).tolist()
        empty = np.flatnonzero(self._kinds.ravel() == EMPTY)
        self.missing: list[int] = np.bincount(empty % width, minlength=width).tolist()

    @cached_property
    def _bounds(self) -> list[int]:
        return list(self._grid.row_bounds.tolist())

    @cached_property
    def _line_ends(self) -> Any:
        return self._grid.places[self._grid.signs == ord("\n")]

    @cached_property
    def _words(self) -> Any:
        """For each place in the block, the number that the eight bytes from there on make."""
        import numpy as np

        return np.ndarray((len(self._grid.lines) + 1,), "<u8", self._grid.lines + bytes(_WORD), 0, (1,))

    def raw(self, row: int) -> bytes:
        """Return a row as it is in the file, without its line end."""
        start = self._bounds[row - 1] + 1 if row else 0
        return self._grid.lines[start : self._bounds[row]].removesuffix(b"\r")

    def raws(self) -> list[bytes]:
        """Return all rows as they are in the file, without their line ends."""
        lines = self._grid.lines
        if self._grid.line_count > self.rows:
            return [*map(self.raw, range(self.rows))]
        rows = lines.split(b"\n")[:-1]
        return [row.removesuffix(b"\r") for row in rows] if b"\r" in lines else rows

    def lines_of(self, rows: list[int]) -> list[int]:
        """Return in which line of the block each of these rows begins, from 0."""
        if self._grid.line_count == self.rows:
            return rows
        starts = [self._bounds[row - 1] + 1 if row else 0 for row in rows]
        return list(self._line_ends.searchsorted(starts).tolist())

    def column(self, index: int, above: int, once: bool = False) -> Seen:
        """Return the cells of a column that are of a kind above that one, in their order.

        With `once` those of many rows are given once, with their first row, where there are few different ones.
        """
        rows = (self._kinds[:, index] > above).nonzero()[0]
        starts, ends = self._starts[rows, index], self._ends[rows, index]
        # With few rows for each column the calls of NumPy take longer than the cells.
        found = _distinct(self._words, starts, ends) if once and len(rows) >= self._kinds.shape[1] else None
        if found is None:
            return Seen(rows.tolist(), self._texts(starts, ends), [1] * len(rows))
        at, counts = found
        return Seen(rows[at].tolist(), self._texts(starts[at], ends[at]), counts.tolist())

    def _texts(self, starts: Any, ends: Any) -> list[str]:
        lines = self._grid.lines
        cells = [lines[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        # In a grid a quote within a cell is written twice.
        return [cell.replace('""', '"') for cell in cells] if self._grid.quoted else cells

    def spaced(self) -> dict[int, Seen]:
        """Return the cells that may begin or end with a space, by the index of their column."""
        import numpy as np

        if not any(sign in self._grid.lines for sign in (b" ", b"\t", b"\xc2")):
            return {}
        text = self._grid.text
        others = np.flatnonzero(self._kinds.ravel() == OTHER)
        first, last = text[self._starts.ravel()[others]], text[self._ends.ravel()[others] - 1]
        # Of a no-break space the first byte is 0xC2 and the last 0xA0, as those of other letters are.
        may = (first == _SPACE) | (first == _TAB) | (first == 0xC2) | (last == _SPACE) | (last == _TAB) | (last == 0xA0)
        rows, columns = np.divmod(others[may], self._kinds.shape[1])
        order = np.argsort(columns, kind="stable")
        rows, columns = rows[order], columns[order]
        cells, numbers = self._texts(self._starts[rows, columns], self._ends[rows, columns]), rows.tolist()
        bounds = [0, *(np.flatnonzero(np.diff(columns)) + 1).tolist(), len(cells)]
        return {
            int(columns[start]): Seen(numbers[start:end], cells[start:end], [1] * (end - start))
            for start, end in pairwise(bounds)
            if start < end
        }

    def blank(self, marks: Iterable[bytes]) -> dict[bytes, Sequence[int]]:
        """Take the cells that are one of these marks for missing; return in which columns each mark is."""
        import numpy as np

        found: dict[bytes, Sequence[int]] = {}
        starts, lengths = self._starts.ravel(), (self._ends - self._starts).ravel()
        for mark in filter(None, marks):
            written = mark.replace(b'"', b'""')
            places = np.flatnonzero(lengths == len(written))
            for offset, sign in enumerate(written):
                places = places[self._grid.text[starts[places] + offset] == sign]
            if len(places):
                self._kinds.ravel()[places] = EMPTY
                found[mark] = np.unique(places % self._kinds.shape[1]).tolist()
        if found:
            self._sum_up()
        return found


def look(grid: Grid, width: int) -> Cells | None:
    """Return the cells of a grid with so many columns, or None where a row is not like the others."""
    rows = len(grid.row_bounds)
    if rows * width != len(grid.ends) or not grid.row_ends[width - 1 :: width].all():
        return None
    if width == 1 and grid.gaps:
        return None  # in a table of one column a blank line is not a missing cell
    return Cells(grid, rows, width)


def _kinds(grid: Grid) -> Any:
    """Return of each cell what it is, by the bytes in it that are not digits."""
    import numpy as np

    lengths = grid.ends - grid.starts
    first = grid.signs[grid.firsts]
    pointed = first == _POINT
    signed = np.zeros(len(first), np.uint8)
    places = np.flatnonzero((first == _MINUS) | (first == _PLUS))
    at = grid.firsts[places]
    leads = grid.places[at] == grid.starts[places]
    places, at = places[leads], at[leads]
    signed[places] = 1
    pointed[places] = grid.signs[at + 1] == _POINT
    marks = signed + pointed
    known = (grid.counts == marks) & (lengths > marks) & (lengths < _NUMBER_AT_MOST)
    kinds = np.uint8(OTHER) - known * (np.uint8(NUMBER) - pointed.view(np.uint8))
    kinds[lengths == 0] = EMPTY
    kinds[_with_exponent(grid, np.flatnonzero((kinds == OTHER) & (grid.counts <= marks + 2)), marks)] = NUMBER
    return kinds


def _with_exponent(grid: Grid, cells: Any, marks: Any) -> Any:
    """Return which of these cells are numbers such as 1.5e-07, with at most two digits in the exponent."""
    for_e = grid.firsts[cells] + marks[cells]
    is_e = grid.signs[for_e] | 0x20 == ord("e")
    cells, for_e = cells[is_e], for_e[is_e]
    marks, place, following = marks[cells], grid.places[for_e], grid.signs[for_e + 1]
    signed = ((following == _MINUS) | (following == _PLUS)) & (grid.places[for_e + 1] == place + 1)
    digits, exponent = place - grid.starts[cells] - marks, grid.ends[cells] - place - 1 - signed
    right = (grid.counts[cells] == marks + 1 + signed) & (digits > 0) & (digits < _DIGITS_AT_MOST)
    return cells[right & (exponent > 0) & (exponent < 3)]


def _distinct(every: Any, starts: Any, ends: Any) -> tuple[Any, Any] | None:
    """Return where each different cell is for the first time, and how often; None where there are many or long ones.

    A cell is compared by the words from its start on, less what is behind its end.
    """
    import numpy as np

    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _WORD * _WORDS_AT_MOST:
        return None
    masks = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
    words = []
    for offset in range(0, longest, _WORD):
        left = np.clip(lengths - offset, 0, _WORD)
        words.append(every[np.minimum(starts + offset, ends)] & masks[left])
    keys = words[0]
    for word in words[1:]:
        keys = (keys ^ (keys >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + word
    in_order = np.sort(keys)
    different = in_order[np.append(True, in_order[1:] != in_order[:-1])]
    if len(different) > _DISTINCT_AT_MOST:
        return None
    which = np.searchsorted(different, keys)
    first = np.array([int((which == each).argmax()) for each in range(len(different))], np.int64)
    if len(words) > 1 and not all((word == word[first][which]).all() for word in words):
        return None  # two cells have one key
    counts = np.bincount(which, minlength=len(different))
    order = np.argsort(first)
    return first[order], counts[order]
