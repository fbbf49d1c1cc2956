"""The common case: lines that are rows, whose cells are what is between the separators."""

from __future__ import annotations

import re

from shared.domain.table.form import CELL_AT_MOST, Form

#: what ARFF reads in other ways: white space, quotes, remarks, braces, and values that are not there
_NOT_PLAIN_ARFF = re.compile(rb"[\x00-\x09\x0b-\x20\x7f'\"%{}]|,,|\n,|,\n|\A,|,\Z")
_QUOTE = b"\0"  #: for a quote within a cell; no text has this sign


def plain(block: bytes, form: Form) -> bytes | None:
    """Return the block's lines, each ended by LF, without quotes; or None where they have to be parsed.

    Quotes may go where each pair of them encloses one cell, without a separator or a line end in it; two quotes there
    stand for one.
    """
    lines = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if not lines.endswith(b"\n"):
        lines += b"\n"
    if len(lines) > CELL_AT_MOST and max(map(len, lines.split(b"\n"))) > CELL_AT_MOST:
        return None
    if form.arff:
        return None if _NOT_PLAIN_ARFF.search(lines) else lines
    if b"\r" in lines:
        return None
    return _unquoted(lines, form.separator.encode()) if b'"' in lines else lines


def _unquoted(lines: bytes, separator: bytes) -> bytes | None:
    if b'""' in lines:
        lines = _marked(lines, separator)
    parts = lines.split(b'"')
    inside, outside = b"".join(parts[1::2]), b"".join(parts[0::2])
    pairs, odd = divmod(len(parts) - 1, 2)
    if odd or _QUOTE in outside or separator in inside or b"\n" in inside:
        return None
    begins = lines.count(separator + b'"') + lines.count(b'\n"') + lines.startswith(b'"')
    ends = lines.count(b'"' + separator) + lines.count(b'"\n')
    return b"".join(parts).replace(_QUOTE, b'"') if begins == ends == pairs else None


def _marked(lines: bytes, separator: bytes) -> bytes:
    """Take the quotes of empty cells away, and put a mark for each two quotes that stand for one.

    A cell with a separator or a line end between its quotes keeps it, and so is seen not to be plain. A lone empty
    cell keeps its quotes: without them its line would be blank.
    """
    empty, mark = separator + b'""', b'"' + _QUOTE
    for _ in range(2):  # of two empty cells side by side the first takes the separator of the second
        lines = lines.replace(empty + separator, separator * 2)
    lines = lines.replace(empty + b"\n", separator + b"\n").replace(b'\n""' + separator, b"\n" + separator)
    for start in (separator, b"\n"):
        lines = lines.replace(start + b'"""', start + mark)
    return lines.replace(b'""', _QUOTE)
