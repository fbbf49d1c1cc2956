"""A file's bytes as whole lines of UTF-8 text, whatever chunks they come in."""

from collections.abc import Callable, Iterable, Iterator

from shared.domain.table import encoding
from shared.domain.table.form import ROW_AT_MOST, Unreadable

_OF_ONE_SIZE, _LONGER = 16, 2  #: after so many pieces they are so many times as long


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
        parts: list[bytes] = []
        waiting = 0  #: bytes of the line that is not ended yet
        for number, (piece, last) in enumerate(self._pieces):
            if not number:
                if (other := encoding.named(piece[: encoding.HEAD])) is not None:
                    self.broken = self._other(other)
                    return
                if piece.startswith(encoding.BOM):
                    piece, self._offset = piece[len(encoding.BOM) :], len(encoding.BOM)
            end = len(piece) if last else piece.rfind(b"\n") + 1
            if end:
                yield from self._checked(b"".join([*parts, memoryview(piece)[:end]]))
                parts, waiting = [], 0
            parts.append(piece[end:])
            waiting += len(piece) - end
            if waiting > ROW_AT_MOST and not self.broken:
                yield from self._checked(b"".join(parts))
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


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Give the bytes in pieces, and whether a piece is the last: a report must not depend on the chunks.

    The first piece is long enough to see what the file is. After some pieces of `size` bytes they are longer, so that
    the threads that look at a large file wait less often for each other.
    """
    parts: list[bytes] = []
    waiting, wanted, given = 0, max(size, encoding.HEAD), 0
    for chunk in chunks:
        at = 0
        # One byte stays behind, so that the last piece is known as such.
        while waiting + len(chunk) - at > wanted:
            end = at + wanted - waiting
            yield b"".join([*parts, memoryview(chunk)[at:end]]), False
            given += 1
            parts, waiting, at, wanted = [], 0, end, size if given < _OF_ONE_SIZE else size * _LONGER
        parts.append(chunk[at:])
        waiting += len(chunk) - at
    yield b"".join(parts), True
