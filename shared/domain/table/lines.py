"""A file's bytes as whole lines of UTF-8 text, whatever chunks they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.domain.table import encoding
from shared.domain.table.form import ROW_AT_MOST, Unreadable


class Lines:
    """Gives blocks of whole lines by `next`, without a byte order mark; the last line may have no end.

    Afterwards `broken` says why the rest cannot be read, or is None when all was read.
    """

    def __init__(self, name: str, chunks: Iterable[bytes], size: int) -> None:
        self._name = name
        self._pieces = _pieces(chunks, size)
        self._offset, self._line = 0, 1
        self._blocks = self._read()
        self.broken: Unreadable | None = None
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
                    self.broken = self._fault(f"is not UTF-8 text: it is {other}; save it as UTF-8 text")
                    return
                if piece.startswith(encoding.BOM):
                    piece, self._offset = piece[len(encoding.BOM) :], len(encoding.BOM)
            end = len(piece) if last else piece.rfind(b"\n") + 1
            if end:
                yield from self._checked(b"".join([*parts, piece[:end]]))
                parts, waiting = [], 0
            parts.append(piece[end:])
            waiting += len(piece) - end
            if waiting > ROW_AT_MOST and not self.broken:
                yield from self._checked(b"".join(parts))
            if self.broken:
                return

    def _checked(self, block: bytes) -> Iterator[bytes]:
        """Give the lines up to the first that is not text or too long, and say in `broken` what that is."""
        start, broken = self._not_text(block)
        if len(block) > ROW_AT_MOST:
            at, line = 0, self._line
            while at < len(block) and (start is None or at <= start):
                end = block.find(b"\n", at)
                end = len(block) if end < 0 else end
                if end - at > ROW_AT_MOST:
                    told = f"line {line} is longer than {ROW_AT_MOST >> 20} MiB; are its line ends missing?"
                    start, broken = at, Unreadable(f"{self._name} {told}", "too large", line, block[at : at + 1000])
                    break
                at, line = end + 1, line + 1
        self.broken = broken
        block = block if start is None else block[:start]
        self._line += block.count(b"\n")
        self._offset += len(block)
        if block:
            yield block

    def _not_text(self, block: bytes) -> tuple[int | None, Unreadable | None]:
        """Return where the first line starts that is not text, and what it is."""
        at = block.find(0)
        try:
            (block if at < 0 else block[:at]).decode()
        except UnicodeDecodeError as error:
            at = error.start
        if at < 0:
            return None, None
        start = block.rfind(b"\n", 0, at) + 1
        row = self._line + block.count(b"\n", 0, at)
        told = f"is not UTF-8 text: byte {self._offset + at} is 0x{block[at]:02x}, in line {row}"
        why = encoding.guess(block[start : start + 4096], block[at]) if block[at] else "no text has that"
        line = block[start : at + 200].partition(b"\n")[0]
        return start, self._fault(f"{told} ({why}); save it as UTF-8", row, line)

    def _fault(self, told: str, row: int | None = None, line: bytes | None = None) -> Unreadable:
        return Unreadable(f"{self._name} {told}", "encoding", row, line)


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Give the bytes in pieces of one size, and whether a piece is the last: a report must not depend on the chunks.

    The first piece is long enough to see what the file is.
    """
    buffer, wanted = bytearray(), max(size, encoding.HEAD)
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            buffer += chunk[start : start + size]
            # One byte stays behind, so that the last piece is known as such.
            while len(buffer) > wanted:
                yield bytes(memoryview(buffer)[:wanted]), False
                del buffer[:wanted]
                wanted = size
    yield bytes(buffer), True
