"""The numbers by which rows that are written alike are known, for all rows of a block at once by NumPy.

Each eight bytes of a row are mixed into its number by a multiplication, from a start that differs from process to
process; rows that are not alike have the same number about as seldom as with Python's hash.
"""

from collections.abc import Iterator, Sequence
from typing import Any

_WORD = 8  #: bytes that are mixed in at once
_AT_ONCE = 1 << 16  #: words of all rows that are copied at once, if a row has no more
_LONG = 256  #: bytes; a row with more is hashed by itself, so that one long row does not slow down the others
_FACTOR, _OTHER_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  #: odd, with about as many bits 1 as 0
_START = hash(b"the start of a row") & (1 << 64) - 1


def padded(lines: bytes) -> bytes:
    """Return the lines with as much behind them as a row is mixed beyond its end."""
    return lines + bytes(_LONG)


def digests(lines: bytes, starts: Any, ends: Any) -> Any:
    """Return the number of each row between these places of padded lines."""
    import numpy as np

    lengths = ends - starts
    if lengths.min() > _LONG:
        found = np.empty(len(lengths), np.int64)
    else:
        found = _mixed(lines, starts, ends, lengths).view(np.int64)
    for row in np.flatnonzero(lengths > _LONG).tolist():
        found[row] = hash(lines[int(starts[row]) : int(ends[row])])
    return found


def digests_of(rows: Sequence[bytes]) -> Any:
    """Return the number of each of these rows."""
    import numpy as np

    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ends = lengths.cumsum()
    return digests(padded(b"".join(rows)), ends - lengths, ends) if len(rows) else lengths


def _mixed(lines: bytes, starts: Any, ends: Any, lengths: Any) -> Any:
    import numpy as np

    state = lengths.astype(np.uint64) * np.uint64(_FACTOR) ^ np.uint64(_START)
    in_all, at_most = int(lengths.min()) // _WORD, min(int(lengths.max()), _LONG) // _WORD
    for number, words in enumerate(_words(lines, starts, at_most)):
        if number < in_all:
            state ^= words
            _step(state, _FACTOR)
        else:
            state = np.where(lengths >= (number + 1) * _WORD, _step(state ^ words, _FACTOR), state)
    # The last eight bytes, of which some are mixed in a second time; a shorter row has nothing before them.
    [last] = _words(lines, np.maximum(ends - _WORD, starts), 1)
    last <<= np.maximum(_WORD - lengths, 0).astype(np.uint64) << np.uint64(3)
    return _step(_step(state ^ last, _FACTOR), _OTHER_FACTOR)


def _words(lines: bytes, places: Any, count: int) -> Iterator[Any]:
    """Give the first, second, ... eight bytes from each of these places on."""
    import numpy as np

    step = max(1, _AT_ONCE // len(places))
    for first in range(0, count, step):
        size = min(count - first, step) * _WORD
        each = np.ndarray((len(lines) - size + 1,), f"V{size}", lines, 0, (1,))[places + first * _WORD]
        yield from np.ascontiguousarray(each.view("<u8").reshape(len(places), -1).T)


def _step(state: Any, factor: int) -> Any:
    import numpy as np

    state *= np.uint64(factor)
    state ^= state >> np.uint64(29)
    return state
