"""The numbers by which rows that are written alike are known, for all rows of a block at once by NumPy.

A row's number is the sum of its words of eight bytes, each mixed with a key of its place. The keys differ from process
to process. Rows that are not alike have the same number about as seldom as with Python's hash. NumPy is called seldom,
for many words at once: after each call, a thread may have to wait for the lock of the interpreter.
"""

from collections.abc import Sequence
from typing import Any

_WORD = 8  #: bytes
_AT_ONCE = 1 << 17  #: most words that one copy takes, of all rows together; a row that has more is copied alone
_LONG = 256  #: bytes; a row with more is hashed by itself, so that one long row does not slow down the others
_FACTOR, _OTHER_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  #: odd, with about as many bits 1 as 0
_START, _KEY = (hash(word) & (1 << 64) - 1 for word in (b"the start of a row", b"the place of a word"))


def padded(lines: bytes) -> bytes:
    """Return the lines with as many bytes behind them as are read beyond the end of a row."""
    return lines + bytes(_LONG)


def digests(lines: bytes, starts: Any, ends: Any) -> Any:
    """Return the number of each row between these places of padded lines."""
    import numpy as np

    lengths = ends - starts
    if lengths.min() > _LONG:
        found = np.empty(len(lengths), np.int64)
    else:
        found = _numbers(lines, starts, ends, lengths).view(np.int64)
    for row in np.flatnonzero(lengths > _LONG).tolist():
        found[row] = hash(lines[int(starts[row]) : int(ends[row])])
    return found


def digests_of(rows: Sequence[bytes]) -> Any:
    """Return the number of each of these rows."""
    import numpy as np

    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ends = lengths.cumsum()
    return digests(padded(b"".join(rows)), ends - lengths, ends) if len(rows) else lengths


def _numbers(lines: bytes, starts: Any, ends: Any, lengths: Any) -> Any:
    import numpy as np

    counts = lengths // _WORD
    in_all, at_most = int(counts.min()), min(int(counts.max()), _LONG // _WORD)
    # The last eight bytes, of which some are in the word before too; a row of less than eight has zeros before them.
    last = _words(lines, np.maximum(ends - _WORD, starts), 0, 1)[0]
    last <<= np.maximum(_WORD - lengths, 0).astype(np.uint64) << np.uint64(3)
    total = _mixed(last, _START) + lengths.astype(np.uint64) * np.uint64(_FACTOR)
    step = max(1, _AT_ONCE // len(starts))
    for first in range(0, at_most, step):
        places = np.arange(first, min(first + step, at_most))[:, None]
        words = _mixed(_words(lines, starts, first, len(places)), (places + 1).astype(np.uint64) * np.uint64(_KEY))
        some = max(0, in_all - first)
        words[some:] *= places[some:] < counts  # a shorter row has no such word
        total += words.sum(axis=0)
    return _mixed(total, 0)


def _words(lines: bytes, starts: Any, first: int, count: int) -> Any:
    """Return so many words of each row, from the word of this number on: an array for each place in the rows."""
    import numpy as np

    size = count * _WORD
    each = np.ndarray((len(lines) - size + 1,), f"V{size}", lines, 0, (1,))[starts + first * _WORD]
    return np.ascontiguousarray(each.view("<u8").reshape(len(starts), count).T)


def _mixed(words: Any, keys: Any) -> Any:
    """Change the words so that each bit of a word and its key is in many bits."""
    import numpy as np

    words ^= np.uint64(keys)
    words *= np.uint64(_FACTOR)
    words ^= words >> np.uint64(32)
    words *= np.uint64(_OTHER_FACTOR)
    words ^= words >> np.uint64(29)
    return words
