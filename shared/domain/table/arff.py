"""The lines of ARFF, the format of Weka that OpenML, KEEL and Studio read and write too.

https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/

What tools read in different ways is refused: a value with spaces or signs and no quotes, an empty value, a sparse row.
"""

import re
from typing import NamedTuple

from shared.domain.table.form import CELL_AT_MOST

_QUOTED = r"""'[^'\\]*+(?:\\.[^'\\]*+)*+'|"[^"\\]*+(?:\\.[^"\\]*+)*+\""""
_VALUE = rf"""({_QUOTED}|[^\x00-\x20\x7f,%'"{{}}]++)"""
_CELL = re.compile(rf"[ \t]*+{_VALUE}[ \t]*+(,|\Z|(?<=[ \t'\"])%.*+)")
_NOMINAL = re.compile(rf"[ \t]*+{_VALUE}[ \t]*+([,}}])")
_ATTRIBUTE = re.compile(rf"(?i)@attribute[ \t]++{_VALUE}[ \t]*+(.*+)")
_RANGE = r"[ \t]*+(?:\[[^\[\]]*+\])?+"
_TYPE = re.compile(rf"(?i)(numeric|real|integer){_RANGE}|string|date(?:[ \t]++(?:{_QUOTED}|\S++))?+")
_REMARK = re.compile(r"[ \t]*+(?:%.*+)?+")
_WITHOUT_COLUMN = re.compile(r"(?i)@(?:relation|inputs?|outputs?)(?:[ \t].*+)?+")
_ESCAPE = re.compile(r"\\(u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WHITE = " \t\r\n"


class Attribute(NamedTuple):
    """A column that an ARFF file declares. `type` is a value of `checks.Type`."""

    name: str
    type: str | None = None
    values: tuple[str, ...] = ()


def is_data(line: str) -> bool:
    """Return whether the rows begin after this line."""
    text = line.strip(_WHITE)
    return text[:5].lower() == "@data" and _REMARK.fullmatch(text, 5) is not None


def read_attribute(line: str) -> Attribute | None:
    """Return the column that a line before the data declares, or None for a line that declares none.

    Raises ValueError for a line that is neither.
    """
    text = line.strip(_WHITE)
    if not text or text.startswith("%") or _WITHOUT_COLUMN.fullmatch(text):
        return None
    match = _ATTRIBUTE.fullmatch(text)
    if match:
        name, kind = _plain(match[1]), match[2]
        if kind.startswith("{"):
            return Attribute(name, values=_nominal(kind))
        declared = _TYPE.match(kind)
        if declared and _REMARK.fullmatch(kind, declared.end()):
            if declared[1]:
                return Attribute(name, "integer" if declared[1].lower() == "integer" else "number")
            return Attribute(name, "text")
    raise ValueError(
        "an attribute is written @attribute NAME numeric, real, integer, string, date or {a,b}, "
        "with a name or value that has spaces or signs in quotes"
    )


def read_cells(line: str) -> list[str] | None:
    """Return the cells of a row, a missing one empty; None for a line without a row. Raises ValueError."""
    text = line.strip(_WHITE)
    if not text or text.startswith("%"):
        return None
    if text.startswith("{"):
        raise ValueError("a sparse row is not read; write all of its values")
    cells, at = [], 0
    while True:
        match = _CELL.match(text, at)
        if match is None:
            raise ValueError(_why(text, at))
        if len(match[1]) > CELL_AT_MOST:
            raise ValueError(f"a value is longer than {CELL_AT_MOST:,} characters")
        cells.append("" if match[1] == "?" else _plain(match[1]))
        at = match.end()
        if match[2] != ",":
            return cells


def _why(text: str, at: int) -> str:
    rest = text[at:].lstrip(" \t")
    if not rest or rest[0] in ",%":
        return "a value is empty; a missing value is written ?"
    if rest[0] in "'\"" and not re.match(_QUOTED, rest):
        return "a quote is not closed"
    return "a value with spaces, quotes, braces or a % in it is written in quotes, with \\ before a quote in it"


def _nominal(kind: str) -> tuple[str, ...]:
    if match := re.fullmatch(r"\{[ \t]*+\}[ \t]*+(?:%.*+)?+", kind):
        return ()
    values, at = [], 1
    while match := _NOMINAL.match(kind, at):
        values.append(_plain(match[1]))
        at = match.end()
        if match[2] == "}":
            if _REMARK.fullmatch(kind, at):
                return tuple(values)
            break
    raise ValueError("the values of an attribute are written {a,b,'c d'}, those with spaces or signs in quotes")


def _plain(value: str) -> str:
    if value[0] not in "'\"":
        return value
    return _ESCAPE.sub(_unescaped, value[1:-1]) if "\\" in value else value[1:-1]


def _unescaped(match: re.Match[str]) -> str:
    sign = match[1]
    if len(sign) == 5:
        return chr(int(sign[1:], 16))
    if sign.isalnum() and sign not in _ESCAPES:
        raise ValueError(f"{match[0]} stands for no character; a \\ is written twice")
    return _ESCAPES.get(sign, sign)
