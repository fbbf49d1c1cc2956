"""Tables as blobs, in the forms that Studio reads and writes: CSV and TSV, with a header or without one, and ARFF.

A table is its columns by name, each a list of text. Text, as only who knows a column can say what it is: the cell
`007` of a table to score is a number to one model and a category to another, and is given back as it came.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from studio.errors import ModuleError

READABLE = (".csv", ".tsv", ".nh.csv", ".nh.tsv", ".arff")
WRITABLE = (".csv", ".tsv", ".arff")

Columns = dict[str, list[str]]

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+\S""", re.IGNORECASE)


def read_table(content: bytes, name: str = ".csv") -> Columns:
    """Return the table's columns; a missing cell is empty.

    `name` ends as the blob's does. A column without a name is Col1, Col2, ... by its place. Raises `ModuleError`.
    """
    name = name.lower()
    try:
        # csv treats the end of a line itself, as cells may have some in them.
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        if name.endswith(".arff"):
            header, rows = _read_arff(text)
        else:
            lines = csv.reader(text, delimiter=_separator(name))
            rows = [row for row in lines if row]
            header = [""] * len(rows[0]) if name.endswith((".nh.csv", ".nh.tsv")) and rows else rows.pop(0)
        if not rows:
            raise IndexError
        columns = list(zip(header, *rows, strict=True))
    except UnicodeDecodeError as error:
        raise _unreadable(
            "InvalidEncoding", f"The file is not UTF-8 text: byte {error.start} is no part of it"
        ) from None
    except csv.Error as error:
        raise _unreadable("InvalidTable", f"The file is no table: {error}") from None
    except IndexError:
        raise ModuleError("Reader", 21, "TooFewRowsInDataset", "The dataset has no rows") from None
    except ValueError:
        raise _unreadable("AllRowsMustHaveSameElements", "All rows must have same number of elements") from None
    read = {first or f"Col{number}": list(cells) for number, (first, *cells) in enumerate(columns, 1)}
    if len(read) != len(columns):
        twice = next(each for each in header if header.count(each) > 1)
        raise _unreadable("DuplicateColumnNames", f'The column "{twice}" is there twice')
    return read


def write_table(columns: Mapping[str, Sequence[Any]], name: str = ".csv") -> bytes:
    """Return the columns as the file that the name ends like; None is a missing cell."""
    name = name.lower()
    text = _Lines(newline="")
    rows = zip(*columns.values(), strict=True)
    if name.endswith(".arff"):
        _write_arff(columns, rows, text)
    else:
        writer = csv.writer(text, delimiter=_separator(name), lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return text.getvalue().encode()


class _Lines(io.StringIO):
    r"""Rows that end in \n, of a writer that ends them in \r\n: it quotes the cells that have either in them."""

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _separator(name: str) -> str:
    return "\t" if name.endswith(".tsv") else ","


def _unreadable(error_id: str, message: str) -> ModuleError:
    return ModuleError("Reader", 1000, error_id, message)


def _read_arff(text: io.StringIO) -> tuple[list[str], list[list[str]]]:
    """Return the names and the rows. scipy's reader is no choice: it refuses attributes that are strings."""
    header = []
    for line in text:
        line = line.strip()
        if line.lower() == "@data":
            break
        if match := _ATTRIBUTE.match(line):
            header.append(_plain(match[1]))
        elif line and not line.startswith("%") and not line.lower().startswith("@relation"):
            raise _unreadable("InvalidArff", f"The file is no ARFF table: {line[:40]!r} is no attribute")
    if not header:
        raise _unreadable("InvalidArff", "The file is no ARFF table: it has no attributes")
    lines = (line for line in text if line.strip() and not line.startswith("%"))
    rows = csv.reader(lines, quotechar="'", escapechar="\\", skipinitialspace=True)
    return header, [["" if cell == "?" else cell for cell in row] for row in rows]


def _write_arff(columns: Mapping[str, Sequence[Any]], rows: Iterator[Any], text: io.StringIO) -> None:
    text.write("@relation results")
    for name, cells in columns.items():
        text.write(f"@attribute {_quoted(name)} {_kind(cells)}")
    text.write("@data")
    for row in rows:
        text.write(",".join("?" if cell in (None, "") else _quoted(str(cell)) for cell in row))


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
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name[0] in "'\"" else name
