"""The fast look at a large block: all of its cells at once, by NumPy.

A missing cell and a number in its common spellings are recognized in place; every other cell is looked at
by itself where a rule asks for it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from shared.domain.checks import digests
from shared.domain.checks.numerals import EMPTY, Spelled, kinds, spelled
from shared.domain.table.grid import Grid

_WORD, _WORDS_AT_MOST = 8, 8  #: bytes of a cell that are compared at once, and how many times
_DISTINCT_AT_MOST = 64  #: different cells of a block that are found without cutting out all
_GLANCE = 256  #: cells that show whether there are more
_SPACE, _TAB = b" \t"


class Seen(NamedTuple):
    """Cells that are looked at one by one: the (first) row of each in the block, and how many rows have it."""

    rows: list[int]
    cells: list[str]
    counts: list[int]


class Cells:
    """The cells of a block whose rows all have the same number of cells."""

    def __init__(self, grid: Grid, rows: int, width: int, marks: Iterable[str] = ()) -> None:
        self._grid, self.rows, self._width, self._marks = grid, rows, width, marks
        self._starts = grid.starts.reshape(rows, width)

    @cached_property
    def _sized(self) -> tuple[Any, dict[str, list[int]]]:
        """Return the lengths of the cells, 0 where one is missing, and in which columns each of the marks is."""
        lengths = self._grid.ends - self._grid.starts
        marked = dict(self._blank(lengths))
        return lengths.reshape(self.rows, self._width), marked

    @property
    def _lengths(self) -> Any:
        return self._sized[0]

    @property
    def marked(self) -> dict[str, list[int]]:
        """Return in which columns each of the marks for missing is."""
        return self._sized[1]

    @property
    def missing(self) -> list[int]:
        """Return how many cells of each column are missing."""
        import numpy as np

        empty = np.flatnonzero(self._lengths.ravel() == 0)
        return list(np.bincount(empty % self._width, minlength=self._width).tolist())

    @cached_property
    def spelled(self) -> Spelled:
        """Return where numbers are."""
        grid = self._grid
        return spelled(grid.lines, grid.before, bool(grid.starts[0] == 0))

    @cached_property
    def kinds(self) -> Any:
        """Return of each cell what it is."""
        return kinds(self.spelled, self._grid.ends, self._lengths.ravel()).reshape(self._lengths.shape)

    @cached_property
    def _words(self) -> Any:
        """For each place in the block, the number that the eight bytes from there on make."""
        import numpy as np

        return np.ndarray((len(self._grid.lines) + 1,), "<u8", self._padded, 0, (1,))

    @cached_property
    def _padded(self) -> bytes:
        return digests.padded(self._grid.lines)

    def raw(self, rows: Sequence[int]) -> list[bytes]:
        """Return these rows as they are in the file, without their line ends."""
        lines, starts, ends = self._grid.lines, self._row_starts[rows].tolist(), self._grid.row_bounds[rows].tolist()
        return [lines[start:end].removesuffix(b"\r") for start, end in zip(starts, ends, strict=True)]

    @cached_property
    def _row_starts(self) -> Any:
        import numpy as np

        return np.append(0, self._grid.row_bounds[:-1] + 1)

    def digests(self) -> Any:
        """Return the number of each row by which rows that are written alike are known."""
        lines, ends = self._grid.lines, self._grid.row_bounds
        if b"\r" in lines:
            ends = ends - (self._grid.text[ends - 1] == ord("\r"))  # where a row is empty, that byte is an LF
        return digests.digests(self._padded, self._row_starts, ends)

    def lines_of(self, rows: list[int]) -> list[int]:
        """Return in which line of the block each of these rows begins, from 0."""
        if self._grid.line_count == self.rows:
            return rows
        return list(self._row_lines[rows].tolist())

    @cached_property
    def _row_lines(self) -> Any:
        """For each row, the number of the line in which it begins."""
        import numpy as np

        line_ends = np.flatnonzero(self._grid.text == ord("\n"))
        return line_ends.searchsorted(self._row_starts)

    def column(self, index: int, above: int, once: bool = False) -> Seen:
        """Return the cells of a column that are of a kind above that one, in their order; see `columns`."""
        return next((seen for _, seen in self.columns([index], above, [index] if once else ())), Seen([], [], []))

    def columns(self, indices: Sequence[int], above: int, once: Collection[int] = ()) -> Iterator[tuple[int, Seen]]:
        """Give of each of these columns the cells that are of a kind above that one, where there are such.

        Where a column in `once` has few different cells, each is given once with its first row, whatever its kind.
        """
        if above == EMPTY:
            yield from self._seen(indices, self._lengths.T[indices] > 0, once)
            return
        # Few different cells are looked at sooner than it is known which of all cells are numbers.
        few = {index: self._few(index, self._lengths[:, index].nonzero()[0]) for index in once}
        yield from ((index, seen) for index, seen in few.items() if seen)
        if left := [index for index in indices if not few.get(index)]:
            yield from self._seen(left, self.kinds.T[left] > above, once)

    def _seen(self, indices: Sequence[int], chosen: Any, once: Collection[int] = ()) -> Iterator[tuple[int, Seen]]:
        """Give by column the chosen cells of these columns; each row of `chosen` is a column of the block."""
        import numpy as np

        columns, rows = np.divmod(np.flatnonzero(chosen), self.rows)
        bounds = columns.searchsorted(range(len(indices) + 1)).tolist()
        for index, (start, end) in zip(indices, pairwise(bounds), strict=True):
            if start < end:
                yield index, self._of_rows(index, rows[start:end], index in once)

    def _of_rows(self, index: int, rows: Any, once: bool) -> Seen:
        if once and (few := self._few(index, rows)):
            return few
        return Seen(rows.tolist(), self._texts(self._starts[rows, index], self._lengths[rows, index]), [1] * len(rows))

    def _few(self, index: int, rows: Any) -> Seen | None:
        """Return the different cells of a column in these rows; None where there are many."""
        # With few rows for each column the calls of NumPy take longer than the cells.
        if not len(rows) or len(rows) < self._width:
            return None
        starts, lengths = self._starts[rows, index], self._lengths[rows, index]
        found = _distinct(self._words, starts, lengths)
        if found is None:
            return None
        at, counts = found
        return Seen(rows[at].tolist(), self._texts(starts[at], lengths[at]), counts)

    def _texts(self, starts: Any, lengths: Any) -> list[str]:
        lines = self._grid.lines
        bounds = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        cells = [lines[start:end].decode() for start, end in bounds]
        # In a grid a quote within a cell is written twice.
        return [cell.replace('""', '"') for cell in cells] if self._grid.quoted else cells

    def spaced(self, indices: Sequence[int]) -> Iterator[tuple[int, Seen]]:
        """Give of each of these columns the cells that may begin or end with a space, where there are such."""
        if not any(sign in self._grid.lines for sign in (b" ", b"\t", b"\xc2")):
            return iter(())
        text, starts, lengths = self._grid.text, self._starts.T[indices], self._lengths.T[indices]
        first, last = text[starts], text[starts + lengths - 1]
        # Of a no-break space the first byte is 0xC2 and the last 0xA0, as those of other letters are.
        may = (first == _SPACE) | (first == _TAB) | (first == 0xC2) | (last == _SPACE) | (last == _TAB) | (last == 0xA0)
        return self._seen(indices, may & (lengths > 0))

    def _blank(self, lengths: Any) -> Iterator[tuple[str, list[int]]]:
        """Take the cells that are one of the marks for missing; give in which columns each mark is."""
        import numpy as np

        starts = self._starts.ravel()
        for mark in filter(None, self._marks):
            written = mark.encode().replace(b'"', b'""')
            places = np.flatnonzero(lengths == len(written))
            for offset, sign in enumerate(written):
                places = places[self._grid.text[starts[places] + offset] == sign]
            if len(places):
                lengths[places] = 0
                yield mark, np.unique(places % self._width).tolist()


def look(grid: Grid, width: int, marks: Iterable[str] = ()) -> Cells | None:
    """Return the cells of a grid with so many columns, or None where a row is not like the others.

    A cell that is one of the marks is missing, as an empty one is.
    """
    rows = len(grid.row_bounds)
    if rows * width != len(grid.bounds) or not (grid.bounds[width - 1 :: width] == grid.row_bounds).all():
        return None
    if width == 1 and grid.gaps:
        return None  # in a table of one column a blank line is not a missing cell
    return Cells(grid, rows, width, marks)


def _distinct(every: Any, starts: Any, lengths: Any) -> tuple[list[int], list[int]] | None:
    """Return where each different cell is for the first time, and how often; None where there are many or long ones.

    A cell is compared by the words from its start on, less what is behind its end.
    """
    import numpy as np

    longest = int(lengths.max())
    if longest > _WORD * _WORDS_AT_MOST:
        return None
    words = []
    for offset in range(0, longest, _WORD):
        shift = np.clip(_WORD + offset - lengths, 0, _WORD).astype(np.uint64) << np.uint64(3)
        words.append(every[np.minimum(starts + offset, starts + lengths)] << shift)
    glance = zip(*(word[:_GLANCE].tolist() for word in words), strict=True)
    if len(set(glance)) > _DISTINCT_AT_MOST:
        return None
    left = np.ones(len(starts), np.bool_)
    places, counts = [0], [0]
    while True:
        same = words[0] == words[0][places[-1]]
        for word in words[1:]:
            same &= word == word[places[-1]]
        counts[-1] = int(np.count_nonzero(same))
        if sum(counts) == len(left):
            break
        if len(places) == _DISTINCT_AT_MOST:
            return None
        np.greater(left, same, out=left)
        places.append(int(left.argmax()))
        counts.append(0)
    return places, counts
