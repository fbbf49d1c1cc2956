"""The share of rows that repeat an earlier row, in bounded memory."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

AT_MOST = 1 << 19  #: digests kept, and as many that wait: 16 MiB
_STEP = 3  #: bits
_LEVELS = 11


class Duplicates:
    """Counts rows that are written alike.

    A row is known by 8 bytes: Python's hash, or in a large table the number that `digests.py` finds. When more are to
    be kept than may be, only rows whose number ends in three more zero bits are looked at from then on, and what is
    known of the others is dropped. Rows that are alike have the same number, so the share among the rows looked at is
    an estimate without bias of the share among all, and is 0 where no row is repeated (after P. Gibbons, Distinct
    sampling, VLDB 2001). An estimate differs a little from process to process, as both do.
    """

    def __init__(self, at_most: int = AT_MOST) -> None:
        self._at_most = at_most
        self._new: list[Any] = []  #: lists and arrays of digests that wait, so that many are sorted at once
        self._waiting = 0
        self._kept: Any = None  #: a sorted array without repetitions
        self._level = 0
        # The counts of the next levels are kept from the first row on, so that they are there when rows are dropped.
        self._rows = [0] * _LEVELS

    @property
    def one_in(self) -> int:
        """Return 1 when every row was looked at, or n for one in about n."""
        self._counted()
        return 1 << (_STEP * self._level)

    @property
    def share(self) -> float:
        rows, different = self._counted()
        return (rows - different) / max(1, rows)

    def add(self, rows: Iterable[bytes]) -> None:
        self.add_digests([*map(hash, rows)])

    def add_digests(self, digests: Any) -> None:
        """Do the same for a list or an array of the numbers of rows."""
        if self._level:
            digests = _of_level(digests, self._level)
        self._new.append(digests)
        self._waiting += len(digests)
        if self._waiting > self._at_most:
            self._take_in()

    def _counted(self) -> tuple[int, int]:
        """Return how many rows were looked at, and how many different ones are among them."""
        if self._kept is None and all(isinstance(digests, list) for digests in self._new):
            return self._waiting, len({*chain(*self._new)})  # for a small table NumPy is not loaded
        if self._new:
            self._take_in()
        return self._rows[self._level], len(self._kept)

    def _take_in(self) -> None:
        import numpy as np

        kept = () if self._kept is None else (self._kept,)
        digests = np.concatenate([np.asarray(each, np.int64) for each in (*self._new, *kept)])
        new = digests[: self._waiting]
        for level in range(self._level, _LEVELS):
            new = _of_level(new, level)
            self._rows[level] += len(new)
        digests.sort()
        self._kept = digests[np.append(True, digests[1:] != digests[:-1])[: len(digests)]]
        self._new, self._waiting = [], 0
        while len(self._kept) > self._at_most and self._level + 1 < _LEVELS:
            self._level += 1
            self._kept = _of_level(self._kept, self._level)


def _of_level(digests: Any, level: int) -> Any:
    import numpy as np

    digests = np.asarray(digests, np.int64)
    return digests[digests & ((1 << (_STEP * level)) - 1) == 0]
