"""What this process has last read or written of some records, so that it need not read them again.

Others may have written since. Only a conditional write shows that, so this is for those who make one before they act.
"""

from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

BYTES = 8 << 20  #: of the records as they are stored; the ones that were used last stay


class Recent(Generic[T]):
    def __init__(self) -> None:
        self._kept: dict[str, tuple[T, int]] = {}
        self._size = 0
        self._one = Lock()

    def get(self, name: str) -> T | None:
        with self._one:
            kept = self._kept.get(name)
        return kept[0] if kept else None

    def keep(self, name: str, stored: T, size: int) -> None:
        with self._one:
            self._drop(name)
            if size > BYTES:
                return
            self._kept[name] = stored, size
            self._size += size
            while self._size > BYTES:
                self._drop(next(iter(self._kept)))

    def forget(self, name: str) -> None:
        with self._one:
            self._drop(name)

    def _drop(self, name: str) -> None:
        if kept := self._kept.pop(name, None):
            self._size -= kept[1]
