"""A file's bytes as whole lines of UTF-8 text, whatever chunks they come in."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from shared.domain.table import encoding
from shared.domain.table.form import ROW_AT_MOST, Unreadable

_OF_ONE_SIZE, _LONGER = 16, 4  #: after so many pieces they are so many times as long


class _Part(NamedTuple):
    """The bytes of a chunk from `start` to `end`: they are copied once only, into a block."""

    chunk: bytes
    start: int
    end: int

    def size(self) -> int:
        return self.end - self.start


class Lines:
    """Gives blocks of whole lines by `next`, without a byte order mark; the last line may have no end.

    Afterwards `broken` says why the rest cannot be read, given the number of the line that follows the blocks; it is
    None when all was read.
    """

    def __init__(self, name: str, chunks: Iterable[bytes], size: int) -> None:
        self._name = name
        self._pieces = _pieces(chunks, size)
        self._offset = 0
        self._blocks = self._read()
        self.broken: Callable[[int], Unreadable] | None = None
        self.ended = False

    def next(self) -> bytes:
        """Return the next lines, or nothing at the end."""
        block = next(self._blocks, None)
        self.ended = block is None
        return block or b""

    def _read(self) -> Iterator[bytes]:
        waiting: list[_Part] = []  #: of the line that is not ended yet
        for number, (parts, last) in enumerate(self._pieces):
            if not number:
                first = _joined(parts)
                if (other := encoding.named(first[: encoding.HEAD])) is not None:
                    self.broken = self._other(other)
                    return
                self._offset = len(encoding.BOM) if first.startswith(encoding.BOM) else 0
                parts = [_Part(first, self._offset, len(first))]
            whole, rest = (parts, []) if last else _after_last_line(parts)
            if whole:
                yield from self._checked(_joined([*waiting, *whole]))
                waiting = []
            waiting += rest
            if sum(map(_Part.size, waiting)) > ROW_AT_MOST and not self.broken:
                yield from self._checked(_joined(waiting))
            if self.broken:
                return

    def _checked(self, block: bytes) -> Iterator[bytes]:
        """Give the lines up to the first that is not text or too long, and say in `broken` what that is."""
        start, self.broken = self._not_text(block)
        if len(block) > ROW_AT_MOST:
            at = 0
            while at < len(block) and (start is None or at <= start):
                end = block.find(b"\n", at)
                end = len(block) if end < 0 else end
                if end - at > ROW_AT_MOST:
                    start, self.broken = at, self._too_long(block[at : at + 1000])
                    break
                at = end + 1
        block = block if start is None else block[:start]
        self._offset += len(block)
        if block:
            yield block

    def _not_text(self, block: bytes) -> tuple[int | None, Callable[[int], Unreadable] | None]:
        """Return where the first line starts that is not text, and what it is."""
        at = block.find(0)
        try:
            if not block.isascii():
                (block if at < 0 else block[:at]).decode()
        except UnicodeDecodeError as error:
            at = error.start
        if at < 0:
            return None, None
        start = block.rfind(b"\n", 0, at) + 1
        where, byte = self._offset + at, block[at]
        why = encoding.guess(block[start : start + 4096], byte) if byte else "no text has that"
        line = block[start : at + 200].partition(b"\n")[0]

        def broken(row: int) -> Unreadable:
            message = f"is not UTF-8 text: byte {where} is 0x{byte:02x}, in line {row} ({why}); save it as UTF-8"
            return Unreadable(f"{self._name} {message}", "encoding", row, line)

        return start, broken

    def _other(self, what: str) -> Callable[[int], Unreadable]:
        return lambda _: Unreadable(f"{self._name} is not UTF-8 text: it is {what}; save it as UTF-8 text", "encoding")

    def _too_long(self, line: bytes) -> Callable[[int], Unreadable]:
        def broken(row: int) -> Unreadable:
            message = f"line {row} is longer than {ROW_AT_MOST >> 20} MiB; are its line ends missing?"
            return Unreadable(f"{self._name} {message}", "too large", row, line)

        return broken


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[tuple[list[_Part], bool]]:
    """Give the bytes in pieces, and whether a piece is the last: a report must not depend on the chunks.

    The first piece is long enough to see what the file is. After some pieces of `size` bytes they are longer, so that
    the threads that look at a large file wait less often for each other.
    """
    parts: list[_Part] = []
    waiting, wanted, given = 0, max(size, encoding.HEAD), 0
    for chunk in chunks:
        at = 0
        # One byte stays behind, so that the last piece is known as such.
        while waiting + len(chunk) - at > wanted:
            end = at + wanted - waiting
            yield [*parts, _Part(chunk, at, end)], False
            given += 1
            parts, waiting, at, wanted = [], 0, end, size if given < _OF_ONE_SIZE else size * _LONGER
        parts.append(_Part(chunk, at, len(chunk)))
        waiting += len(chunk) - at
    yield parts, True


def _after_last_line(parts: list[_Part]) -> tuple[list[_Part], list[_Part]]:
    """Return the parts that are whole lines, and the parts that follow the last line end."""
    for index in reversed(range(len(parts))):
        chunk, start, end = parts[index]
        if cut := chunk.rfind(b"\n", start, end) + 1:
            return [*parts[:index], _Part(chunk, start, cut)], [_Part(chunk, cut, end), *parts[index + 1 :]]
    return [], parts


def _joined(parts: list[_Part]) -> bytes:
    return b"".join([memoryview(chunk)[start:end] for chunk, start, end in parts])
