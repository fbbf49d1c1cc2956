"""The common case: lines that are rows, whose cells are what is between the separators."""

from __future__ import annotations

import re

from shared.domain.table.form import CELL_AT_MOST, Form

#: what ARFF reads in other ways: white space, quotes, remarks, braces, and values that are not there
_NOT_PLAIN_ARFF = re.compile(rb"[\x00-\x09\x0b-\x20\x7f'\"%{}]|,,|\n,|,\n|\A,|,\Z")


def plain(block: bytes, form: Form) -> bytes | None:
    """Return the block's lines, each ended by LF, without quotes; or None where they have to be parsed.

    Quotes may go where each pair of them encloses one cell, and nothing that needs them.
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
    parts = lines.split(b'"')
    inside = b"".join(parts[1::2])
    pairs, odd = divmod(len(parts) - 1, 2)
    if odd or b'""' in lines or separator in inside or b"\n" in inside:
        return None
    begins = lines.count(separator + b'"') + lines.count(b'\n"') + lines.startswith(b'"')
    ends = lines.count(b'"' + separator) + lines.count(b'"\n')
    return b"".join(parts) if begins == ends == pairs else None
