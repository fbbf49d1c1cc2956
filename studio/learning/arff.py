"""ARFF, the format of Weka: what it, OpenML and KEEL write is read; what tools read in different ways is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: a value and what follows it: quoted, or without white space and the signs that mean something
_VALUE = re.compile(
    r"""(?x) [ \t]*+
    (?: '(?P<one>[^'\\]*+(?:\\.[^'\\]*+)*+)' | "(?P<two>[^"\\]*+(?:\\.[^"\\]*+)*+)"
        | (?P<bare>[^\x00-\x20\x7f,%'"{}]++) )
    (?P<white>[ \t]*+)"""
)
_ESCAPED = re.compile(r"\\(?:u(?![dD][89a-fA-F])([0-9a-fA-F]{4})|(.))")
_MEANINGS = dict(zip("ntrbf", "\n\t\r\b\f", strict=True))
_KINDS = re.compile(
    r"""(?ix)
    (?: (?:numeric|real|integer) [ \t]*+ (?:\[[^\[\]]*\])?+ | string | date
        (?:[ \t]++ (?:'[^'\\]*+(?:\\.[^'\\]*+)*+'|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\S++))?+ )
    [ \t]*+ (?:%.*)?+"""
)
_LONGEST = 131_072  #: characters of a value, as in the other forms
_WHITE = " \t\r\n"


class NotArff(ValueError):
    """A line that is not ARFF: its number, and why."""


def read_arff(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the names and the rows. Raises `NotArff`.

    SciPy's reader cannot be used: it refuses attributes that are strings.
    """
    lines = enumerate(text.split("\n"), 1)
    names: list[str] = []
    for number, line in lines:
        bare = line.strip(_WHITE)
        word = re.split(r"[ \t%]", bare, maxsplit=1)[0].lower()
        if word == "@attribute":
            names.append(_attribute(number, bare[len(word) :]))
        elif word == "@data" and _is_end(bare, len(word)):
            break
        elif word and word not in ("@relation", "@input", "@inputs", "@output", "@outputs"):
            raise NotArff(f"line {number}: {bare[:40]!r} is not an attribute")
    if not names:
        raise NotArff("it has no attributes")
    rows = [_row(number, line.strip(_WHITE)) for number, line in lines]
    return names, [row for row in rows if row]


def arff_lines(columns: Mapping[str, Sequence[Any]], rows: Iterable[Any]) -> Iterator[str]:
    """Give the lines of a table, without their ends."""
    yield "@relation results"
    for name, cells in columns.items():
        yield f"@attribute {_quoted(name)} {_kind(cells)}"
    yield "@data"
    for row in rows:
        yield ",".join("?" if cell in (None, "") else _quoted(str(cell)) for cell in row)


def _attribute(number: int, text: str) -> str:
    """Return the name that a line declares."""
    match = _VALUE.match(text)
    if not match or text[:1] not in (" ", "\t"):
        raise NotArff(f"line {number}: {text[:40]!r} is not an attribute")
    kind = text[match.end() :]
    if not (_is_nominal(kind) if kind.startswith("{") else _KINDS.fullmatch(kind)):
        raise NotArff(f"line {number} declares an attribute of a kind that is not read: {kind[:40]!r}")
    return _plain(number, match)


def _is_nominal(kind: str) -> bool:
    at, sign = 1, ","
    if empty := re.match(r"\{[ \t]*+\}", kind):
        return _is_end(kind, empty.end())
    while sign == ",":
        match = _VALUE.match(kind, at)
        if match is None:
            return False
        _plain(0, match)
        sign, at = kind[match.end() : match.end() + 1], match.end() + 1
    return sign == "}" and _is_end(kind, at)


def _is_end(text: str, at: int) -> bool:
    """Return whether nothing follows but a remark."""
    return text[at:].lstrip(" \t")[:1] in ("", "%")


def _row(number: int, line: str) -> list[str]:
    if not line or line[0] == "%":
        return []
    cells, at = [], 0
    while match := _VALUE.match(line, at):
        cells.append("" if match["bare"] == "?" else _plain(number, match))
        at = match.end()
        if at == len(line) or (line[at] == "%" and (match["white"] or match["bare"] is None)):
            return cells
        if line[at] != ",":
            break
        at += 1
    what = "a sparse row" if line[0] == "{" else "a value that is empty, or has signs or spaces and no quotes"
    raise NotArff(f"line {number} has {what}: {line[max(0, at - 10) : at + 30]!r}")


def _plain(number: int, match: re.Match[str]) -> str:
    value = match["bare"]
    if value is None:
        quoted = match["one"] if match["one"] is not None else match["two"]
        value = _ESCAPED.sub(lambda found: _meaning(number, found), quoted)
    if match.end("bare") - match.start("bare") > _LONGEST or len(value) > _LONGEST:
        raise NotArff(f"line {number} has a value of more than {_LONGEST:,} characters")
    return value


def _meaning(number: int, match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    if match[2].isalnum() and match[2] not in _MEANINGS:
        raise NotArff(f"line {number}: {match[0]} stands for no character")
    return _MEANINGS.get(match[2], match[2])


def _kind(cells: Sequence[Any]) -> str:
    known = {str(cell) for cell in cells if cell not in (None, "")}
    try:
        list(map(float, known))
    except ValueError:
        return "{" + ",".join(map(_quoted, sorted(known))) + "}"
    return "numeric"


def _quoted(text: str) -> str:
    if re.fullmatch(r"[\w.+-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
