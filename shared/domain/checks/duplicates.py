"""The share of rows that repeat an earlier row, in bounded memory."""

from collections.abc import Callable, Iterable
from typing import Any

AT_MOST = 1 << 19  #: digests kept: 60 MiB
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
        self._kept: set[int] = set()
        self._level = 0
        # The counts of the next levels are kept from the first row on, so that they are there when rows are dropped.
        self._rows = [0] * _LEVELS

    @property
    def one_in(self) -> int:
        """Return 1 when every row was looked at, or n for one in about n."""
        return 1 << (_STEP * self._level)

    @property
    def share(self) -> float:
        rows = self._rows[self._level]
        return (rows - len(self._kept)) / max(1, rows)

    def add(self, rows: Iterable[bytes]) -> None:
        self._add([*map(hash, rows)], _of_level)

    def add_digests(self, digests: Any) -> None:
        """Do the same for an array of the numbers of rows."""
        self._add(digests, lambda some, level: some[some & _mask(level) == 0])

    def _add(self, digests: Any, of_level: Callable[[Any, int], Any]) -> None:
        if self._level:
            digests = of_level(digests, self._level)
        self._kept.update(digests if isinstance(digests, list) else digests.tolist())
        for level in range(self._level, _LEVELS):
            self._rows[level] += len(digests)
            digests = of_level(digests, level + 1)
            if not len(digests):
                break
        while len(self._kept) > self._at_most and self._level + 1 < _LEVELS:
            self._level += 1
            self._kept = set(_of_level(self._kept, self._level))


def _mask(level: int) -> int:
    return (1 << (_STEP * level)) - 1


def _of_level(digests: Iterable[int], level: int) -> list[int]:
    mask = _mask(level)
    return [digest for digest in digests if not digest & mask]
