"""Where the cells of a large block are, found by NumPy for all of them at once.

Quotes may enclose separators and line ends. What the exact reader may read in another way, or refuse, is left to it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.domain.table.form import CELL_AT_MOST, ROW_AT_MOST, Form

_LF, _CR, _QUOTE = b'\n\r"'
#: what ARFF reads in other ways; of CR only the one of a line end is left
_ODD_IN_ARFF = bytes(sign for sign in range(0x80) if (sign <= 0x20 and sign not in b"\n\r") or sign in b"'\"%{}\x7f")


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of whole rows, one after another: `starts` and `ends` have one value for each cell."""

    lines: bytes  #: the rows; each ends in LF
    text: Any  #: the same, byte by byte
    starts: Any  #: of the cells, after an opening quote
    ends: Any  #: before a closing quote
    before: Any  #: whether a byte is the last before a cell
    bounds: Any  #: for each cell, the place of the separator or the LF behind it
    row_bounds: Any  #: for each row, the place of its LF
    quoted: bool  #: whether quotes are around some cells; a quote within one is then written twice
    line_count: int

    @property
    def gaps(self) -> bool:
        """Return whether a cell has nothing at all, not even quotes."""
        begin, end = self.starts, self.ends
        if self.quoted:
            begin, end = begin - (self.text[begin - 1] == _QUOTE), end + (self.text[end] == _QUOTE)
        return not (end > begin).all()


class _Bytes(NamedTuple):
    """The rows byte by byte."""

    text: Any
    bounds: Any  #: whether a byte ends a cell
    line_ends: Any
    outside: Any  #: whether a byte is outside of quotes; None if the piece has no quotes


def find(lines: bytes, form: Form, width: int = 1) -> Grid | None:
    """Return the cells of the whole rows at the start of these lines; None where the exact reader has to look.

    It takes less time where each row has `width` cells.
    """
    import numpy as np

    if form.arff and len(lines.translate(None, _ODD_IN_ARFF)) < len(lines):
        return None
    if not lines.endswith(b"\n"):
        lines += b"\n"
    text = np.frombuffer(lines, np.uint8)
    line_ends = text == _LF
    bounds = text == ord(form.separator)
    bounds |= line_ends
    found = _Bytes(text, bounds, line_ends, None)
    if b'"' in lines:
        whole = _whole_rows(found, ord(form.separator))
        if whole is None:
            return None
        found, lines = whole, lines[: len(whole.text)]
    grid = _grid(lines, found, width)
    return None if grid is None or _too_long(grid) or (form.arff and grid.gaps) else grid


def _whole_rows(found: _Bytes, separator: int) -> _Bytes | None:
    """Return the bytes up to the end of the last whole row: an open quote leaves the start of a row for later."""
    import numpy as np

    quotes = found.text == _QUOTE
    outside = ~np.logical_xor.accumulate(quotes)
    row_ends = found.line_ends & outside
    size = len(row_ends) - int(row_ends[::-1].argmax())
    if not row_ends[size - 1] or not _enclose_cells(found.text, np.flatnonzero(quotes[:size]), separator):
        return None
    return _Bytes(found.text[:size], (found.bounds & outside)[:size], found.line_ends[:size], outside[:size])


def _enclose_cells(text: Any, quotes: Any, separator: int) -> bool:
    """Return whether each quote begins a cell, ends one, or is one of two that stand for a quote within the cell.

    An even number of quotes comes before each that opens, and two that stand for one close and open again.
    """
    before, after = text[quotes[::2] - 1], text[quotes[1::2] + 1]  # before the first byte comes the last, an LF
    opens = (before == separator) | (before == _LF) | (before == _QUOTE)
    closes = (after == separator) | (after == _LF) | (after == _QUOTE) | (after == _CR)
    return bool(opens.all() and closes.all())


def _grid(lines: bytes, found: _Bytes, width: int) -> Grid | None:
    import numpy as np

    text, quoted = found.text, found.outside is not None
    before, bounds = found.bounds, np.flatnonzero(found.bounds)
    last = _last_cells(found, bounds, width)
    row_bounds = bounds[last].copy()
    starts, ends = np.empty_like(bounds), bounds
    starts[0] = 0
    np.add(bounds[:-1], 1, out=starts[1:])
    if b"\r" in lines:
        returns = text == _CR
        ended = text[row_bounds - 1] == _CR
        if np.count_nonzero(ended) != np.count_nonzero(returns & found.outside if quoted else returns):
            return None  # a CR without an LF
        ends = bounds.copy()
        ends[last] -= ended
    if quoted:
        opened = text[starts] == _QUOTE
        starts, ends = starts + opened, ends - opened
        before = np.zeros(len(text), np.bool_)
        before[starts - 1] = True  # before the first byte comes the last, an LF
    line_count = int(np.count_nonzero(found.line_ends)) if quoted else len(row_bounds)
    return Grid(lines, text, starts, ends, before, bounds, row_bounds, quoted, line_count)


def _last_cells(found: _Bytes, bounds: Any, width: int) -> Any:
    """Return which cells are the last of their rows; a cell ends at each of the bounds."""
    import numpy as np

    each = slice(width - 1, None, width)
    row_ends = found.line_ends if found.outside is None else found.line_ends & found.outside
    if len(bounds[each]) == np.count_nonzero(row_ends) and row_ends[bounds[each]].all():
        return each
    return found.text[bounds] == _LF


def _too_long(grid: Grid) -> bool:
    import numpy as np

    longest = int(np.diff(grid.row_bounds, prepend=-1).max())
    return longest > ROW_AT_MOST or (longest > CELL_AT_MOST and int((grid.ends - grid.starts).max()) > CELL_AT_MOST)
