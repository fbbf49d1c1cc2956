"""The header and the rows of ARFF, the format of Weka that Studio reads and writes.

https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

from __future__ import annotations

import re

from shared.domain.checks.rules import Column, Type

_NAME = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s{]+"
_ATTRIBUTE = re.compile(rf"(?i)@attribute\s+({_NAME})\s+(.+)")
_CELL = re.compile(r"\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^,]*?)\s*(?:,|$)")
_TYPES = {"numeric": Type.NUMBER, "real": Type.NUMBER, "integer": Type.INTEGER, "string": Type.TEXT}


def read_attribute(line: str) -> Column | None:
    """Return the column that a line declares, or None for a line that declares none.

    Raises ValueError where it should declare one and does not.
    """
    text = line.strip()
    if not text.lower().startswith("@attribute"):
        return None
    match = _ATTRIBUTE.fullmatch(text)
    kind = match[2].strip() if match else ""
    if match and kind.startswith("{") and kind.endswith("}"):
        return Column(name=unquoted(match[1]), values=tuple(split(kind[1:-1])))
    if match and (name := kind.split()[0].lower()) in _TYPES:
        return Column(name=unquoted(match[1]), type=_TYPES[name])
    if match and kind.lower().startswith("date"):
        return Column(name=unquoted(match[1]), type=Type.TEXT)
    raise ValueError("an attribute is written @attribute NAME numeric, real, integer, string, date or {a,b}")


def is_data(line: str) -> bool:
    return line.strip().lower() == "@data"


def split(line: str) -> list[str]:
    """Return the cells of a row, without quotes. Raises ValueError where a quote is not closed."""
    cells, at = [], 0
    while True:
        match = _CELL.match(line, at)
        if match is None or (match[1][:1] in ("'", '"') and match[1] == unquoted(match[1])):
            raise ValueError("a quote is not closed")
        cells.append(unquoted(match[1]))
        at = match.end()
        if at == len(line) and not match[0].endswith(","):
            return cells


def unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
