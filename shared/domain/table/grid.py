"""Where the cells of a large block are, found by NumPy for all of them at once.

Quotes may enclose separators and line ends. What the exact reader may read in another way, or refuse, is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.domain.table.form import CELL_AT_MOST, ROW_AT_MOST, Form

_LF, _CR, _QUOTE = b'\n\r"'
#: what ARFF reads in other ways; of CR only the one of a line end is left
_ODD_IN_ARFF = bytes((sign <= 0x20 and sign not in b"\n\r") or sign in b"'\"%{}\x7f" for sign in range(256))


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of whole rows, one after another: each array has one value for each cell."""

    lines: bytes  #: the rows; each ends in LF
    text: Any  #: the same, byte by byte
    signs: Any  #: its bytes that are not digits
    places: Any  #: of these
    starts: Any  #: of the cells, after an opening quote
    ends: Any  #: before a closing quote
    firsts: Any  #: index of the first sign within the cell
    counts: Any  #: of the signs within the cell
    row_ends: Any  #: whether a cell is the last of its row
    row_bounds: Any  #: for each row, the place of its LF
    gaps: bool  #: whether a cell has nothing at all, not even quotes
    quoted: bool  #: whether quotes are around some cells; a quote within one is then written twice
    line_count: int


class _Signs(NamedTuple):
    """The bytes that are not digits, where they are, and which of them end a cell or a line."""

    signs: Any
    places: Any
    bounds: Any
    line_ends: Any
    returns: Any  #: outside of quotes


def find(lines: bytes, form: Form) -> Grid | None:
    """Return the cells of the whole rows at the start of these lines; None where the exact reader has to look."""
    import numpy as np

    if not lines.endswith(b"\n"):
        lines += b"\n"
    text = np.frombuffer(lines, np.uint8)
    places = np.flatnonzero((text - np.uint8(ord("0"))) > 9)
    signs = text[places]
    line_ends, returns = signs == _LF, signs == _CR
    found = _Signs(signs, places, line_ends | (signs == ord(form.separator)), line_ends, returns)
    if form.arff and np.frombuffer(_ODD_IN_ARFF, np.bool_)[signs].any():
        return None
    quoted = b'"' in lines
    if quoted:
        whole = _whole_rows(text, found, ord(form.separator))
        if whole is None:
            return None
        found, lines = whole, lines[: whole.places[-1] + 1]
    grid = _grid(lines, text, found, quoted)
    return None if grid is None or _too_long(grid) or (form.arff and grid.gaps) else grid


def _whole_rows(text: Any, found: _Signs, separator: int) -> _Signs | None:
    """Return the signs up to the end of the last whole row: an open quote leaves the start of a row for later."""
    import numpy as np

    outside = ~np.logical_xor.accumulate(found.signs == _QUOTE)
    bounds = found.bounds & outside
    row_bounds = np.flatnonzero(bounds & found.line_ends)
    if not len(row_bounds):
        return None
    found = found._replace(bounds=bounds, returns=found.returns & outside)
    found = _Signs(*(each[: row_bounds[-1] + 1] for each in found))
    return found if _enclose_cells(text, found.places[found.signs == _QUOTE], separator) else None


def _enclose_cells(text: Any, quotes: Any, separator: int) -> bool:
    """Return whether each quote begins a cell, ends one, or is one of two that stand for a quote within the cell.

    An even number of quotes comes before each that opens, and two that stand for one close and open again.
    """
    before, after = text[quotes[::2] - 1], text[quotes[1::2] + 1]  # before the first byte comes the last, an LF
    opens = (before == separator) | (before == _LF) | (before == _QUOTE)
    closes = (after == separator) | (after == _LF) | (after == _QUOTE) | (after == _CR)
    return bool(opens.all() and closes.all())


def _grid(lines: bytes, text: Any, found: _Signs, quoted: bool) -> Grid | None:
    import numpy as np

    signs, places = found.signs, found.places
    bounds = np.flatnonzero(found.bounds)
    row_ends = found.line_ends[bounds]
    ends = places[bounds]
    row_bounds = ends[row_ends]
    starts, firsts = _behind(ends), _behind(bounds)
    counts = bounds - firsts
    if found.returns.any():
        before = np.maximum(bounds - 1, 0)
        ended = row_ends & found.returns[before] & (places[before] == ends - 1)
        if np.count_nonzero(ended) != np.count_nonzero(found.returns):
            return None  # a CR without an LF
        ends, counts = ends - ended, counts - ended
    gaps = not (ends > starts).all()
    if quoted:
        opened = text[starts] == _QUOTE
        starts, ends, firsts, counts = starts + opened, ends - opened, firsts + opened, counts - 2 * opened
    line_count = int(np.count_nonzero(found.line_ends))
    return Grid(
        lines, text, signs, places, starts, ends, firsts, counts, row_ends, row_bounds, gaps, quoted, line_count
    )


def _behind(ends: Any) -> Any:
    """Return where the next cell begins after each end; the first begins at 0."""
    import numpy as np

    starts = np.empty_like(ends)
    starts[0] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    return starts


def _too_long(grid: Grid) -> bool:
    import numpy as np

    if len(grid.lines) <= CELL_AT_MOST:
        return False
    rows = np.diff(grid.row_bounds, prepend=-1)
    return bool((grid.ends - grid.starts).max() > CELL_AT_MOST or rows.max() > ROW_AT_MOST)
