"""The common case of a small block: lines that are rows, whose cells are what is between the separators."""

import re

from shared.domain.table.form import CELL_AT_MOST, Form

#: what ARFF reads in other ways: white space, quotes, remarks, braces, and values that are not there
_NOT_PLAIN_ARFF = re.compile(rb"[\x00-\x09\x0b-\x20\x7f'\"%{}]|,,|\n,|,\n|\A,|,\Z")


def plain(block: bytes, form: Form) -> bytes | None:
    """Return the block's lines, each ended by LF; or None where something in them has to be parsed."""
    lines = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if not lines.endswith(b"\n"):
        lines += b"\n"
    if _has_long_line(lines):
        return None
    if form.arff:
        return None if _NOT_PLAIN_ARFF.search(lines) else lines
    return None if b"\r" in lines or b'"' in lines else lines


def _has_long_line(lines: bytes) -> bool:
    at = 0
    while len(lines) - at > CELL_AT_MOST:
        end = lines.rfind(b"\n", at, at + CELL_AT_MOST + 1)
        if end < 0:
            return True
        at = end + 1
    return False
