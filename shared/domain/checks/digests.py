"""The numbers by which rows that are written alike are known, for all rows of a block at once by NumPy.

Each eight bytes of a row are mixed into its number by a multiplication, from a start that differs from process to
process; rows that are not alike have the same number about as seldom as with Python's hash.
"""

from collections.abc import Sequence
from typing import Any

_WORD = 8  #: bytes that are mixed in at once
_LONG = 256  #: bytes; a row with more is hashed by itself, so that one long row does not slow down the others
_FACTOR, _OTHER_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  #: odd, with about as many bits 1 as 0
_START = hash(b"the start of a row") & (1 << 64) - 1


def padded(lines: bytes) -> bytes:
    """Return the lines with as much behind them as a row is mixed beyond its end."""
    return lines + bytes(_LONG + _WORD - len(lines) % _WORD)


def digests(lines: bytes, starts: Any, ends: Any) -> Any:
    """Return the number of each row between these places of padded lines."""
    import numpy as np

    lengths = ends - starts
    if lengths.min() > _LONG:
        found = np.empty(len(lengths), np.int64)
    else:
        found = _mixed(np.frombuffer(lines, "<u8"), starts, ends, lengths).view(np.int64)
    for row in np.flatnonzero(lengths > _LONG).tolist():
        found[row] = hash(lines[int(starts[row]) : int(ends[row])])
    return found


def digests_of(rows: Sequence[bytes]) -> Any:
    """Return the number of each of these rows."""
    import numpy as np

    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ends = lengths.cumsum()
    return digests(padded(b"".join(rows)), ends - lengths, ends) if len(rows) else lengths


def _mixed(words: Any, starts: Any, ends: Any, lengths: Any) -> Any:
    import numpy as np

    state = lengths.astype(np.uint64) * np.uint64(_FACTOR) ^ np.uint64(_START)
    in_all, at_most = int(lengths.min()) // _WORD, min(int(lengths.max()), _LONG) // _WORD
    place, low, high = _parted(starts)
    word = words[place]
    for number in range(at_most):
        place += 1
        after = words[place]
        mixed = word >> low
        mixed |= after << high
        mixed ^= state
        _step(mixed, _FACTOR)
        state = mixed if number < in_all else np.where(lengths >= (number + 1) * _WORD, mixed, state)
        word = after
    # The last eight bytes, of which some are mixed in a second time; a shorter row has nothing before them.
    place, low, high = _parted(np.maximum(ends - _WORD, starts))
    last = words[place] >> low | words[place + 1] << high
    last <<= np.maximum(_WORD - lengths, 0).astype(np.uint64) << np.uint64(3)
    return _step(_step(state ^ last, _FACTOR), _OTHER_FACTOR)


def _parted(places: Any) -> tuple[Any, Any, Any]:
    """Return which word each place is in, and by how many bits it and the next word are moved to begin there."""
    import numpy as np

    low = (places & (_WORD - 1)).astype(np.uint64) << np.uint64(3)
    return places // _WORD, low, np.uint64(_WORD * 8) - low  # NumPy gives 0 for a number moved by 64 bits


def _step(state: Any, factor: int) -> Any:
    import numpy as np

    state *= np.uint64(factor)
    state ^= state >> np.uint64(29)
    return state
