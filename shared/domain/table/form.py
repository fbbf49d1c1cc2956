"""Which form a table has by its file's name, its limits, and how it is said that it cannot be read."""

from __future__ import annotations

from typing import NamedTuple

EXTENSIONS = (".csv", ".tsv", ".arff", ".nh.csv", ".nh.tsv")
CELL_AT_MOST = 131_072  #: characters, as the csv module has it
ROW_AT_MOST = 4 << 20  #: bytes
COLUMNS_AT_MOST = 100_000
SHOWN = 120  #: characters of a line or cell that a message repeats


class Form(NamedTuple):
    """How a file's rows are written."""

    arff: bool
    headless: bool  #: its columns have no names: Col1, Col2, ...
    separator: str

    @classmethod
    def of(cls, name: str) -> Form:
        lower = name.lower()
        separator = "\t" if lower.endswith(".tsv") else ","
        return cls(lower.endswith(".arff"), lower.endswith((".nh.csv", ".nh.tsv")), separator)


class Unreadable(Exception):
    """The table cannot be read on. `kind` is a value of `checks.Kind`; `row` and `line` say where, if it is known."""

    def __init__(self, message: str, kind: str, row: int | None = None, line: bytes | None = None) -> None:
        super().__init__(message)
        self.message, self.kind, self.row = message, kind, row
        self.line = None if line is None else shown(line)


def shown(line: bytes) -> str:
    """Return the start of the line for people."""
    return cut(line[:1000].decode(errors="replace"))


def cut(text: str) -> str:
    """Return the text on one line, at most `SHOWN` characters of it."""
    text = text[: SHOWN * 4].rstrip("\r\n").replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def named(names: list[str]) -> list[str]:
    """Return the columns' names: one without a name is called by its place, as the training service does."""
    return [name or f"Col{number}" for number, name in enumerate(names, 1)]
