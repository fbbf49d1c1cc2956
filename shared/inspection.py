"""A look at the first bytes of a data set, before it costs a training.

Only the head is read, so that the cost does not grow with the data; rows further down are the training
service's to judge.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

HEAD = 256 * 1024  #: bytes read from the start of a data set
EXTENSIONS = (".csv",)


def find_fault(path: str, head: bytes, whole: bool, columns: Sequence[str]) -> str | None:
    """Return what is wrong with the data set in a sentence, or None.

    `head` is its first bytes, `whole` says that there are no more; `columns` must all be in the header.
    """
    if PurePosixPath(path).suffix.lower() not in EXTENSIONS:
        return f"{path} does not end in {' or '.join(EXTENSIONS)}, which the training service needs to read it"
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        return f"{path} is empty"
    try:
        lines = _lines(head, whole)
    except UnicodeDecodeError as error:
        return f"{path} is not UTF-8 text: byte {error.start} is 0x{head[error.start]:02x}"
    try:
        return _fault_of_rows(path, lines, whole, columns)
    except csv.Error as error:
        return f"{path} is not a CSV table: {error}"


def _lines(head: bytes, whole: bool) -> str:
    if not whole:
        # The last line is cut off somewhere, perhaps inside a character.
        head = head[: head.rfind(b"\n") + 1] or head[: len(head) - 4]
    return head.decode("utf-8-sig")


def _fault_of_rows(path: str, text: str, whole: bool, columns: Sequence[str]) -> str | None:
    reader = csv.reader(io.StringIO(text, newline=""), strict=whole)
    header = [name.strip() for name in next(reader)]
    if duplicates := sorted({name for name in header if header.count(name) > 1}):
        return f"{path} names the column {duplicates[0]!r} twice in its header"
    if missing := [name for name in columns if name not in header]:
        return f"{path} has no column {', '.join(map(repr, missing))}; its header is: {', '.join(header)[:400]}"
    rows = 0
    for line, row in _complete(reader, whole):
        rows += 1
        if len(row) != len(header):
            shown = ",".join(row)[:120]
            return f"{path} line {line} has {len(row)} values where the header has {len(header)}: {shown}"
    if whole and rows == 0:
        return f"{path} has a header and no rows"
    return None


def _complete(reader: Any, whole: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows and their lines; the last one only of a whole file, as it may end within a quoted cell."""
    last: tuple[int, list[str]] | None = None
    for row in reader:
        if last:
            yield last
        last = (reader.line_num, row) if row else None
    if last and whole:
        yield last
