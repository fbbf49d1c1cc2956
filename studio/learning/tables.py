"""Tables as blobs, in the forms that Studio reads and writes: CSV and TSV, with a header or without one, and ARFF.

A table is its columns by name, each a list of text. Text, as only who knows a column can say what it is: the cell
`007` of a table to score is a number to one model and a category to another, and is given back as it came.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from studio.errors import ModuleError
from studio.learning.arff import NotArff, arff_lines, read_arff

READABLE = (".csv", ".tsv", ".nh.csv", ".nh.tsv", ".arff")
WRITABLE = (".csv", ".tsv", ".arff")

Columns = dict[str, list[str]]


def read_table(content: bytes, name: str = ".csv") -> Columns:
    """Return the table's columns; a missing cell is empty.

    `name` ends as the blob's does. A column without a name is Col1, Col2, ... by its place. Raises `ModuleError`.
    """
    name = name.lower()
    try:
        text = content.decode("utf-8-sig")
        if name.endswith(".arff"):
            header, rows = read_arff(text)
        else:
            # csv treats the end of a line itself, as cells may have some in them.
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(name), strict=True)
            rows = [row for row in lines if row]
            header = [""] * len(rows[0]) if name.endswith((".nh.csv", ".nh.tsv")) and rows else rows.pop(0)
        if not rows:
            raise IndexError
        columns = list(zip(header, *rows, strict=True))
    except UnicodeDecodeError as error:
        raise _unreadable(
            "InvalidEncoding", f"The file is not UTF-8 text: byte {error.start} is not part of one"
        ) from None
    except csv.Error as error:
        raise _unreadable("InvalidTable", f"The file is not a table: {error}") from None
    except NotArff as error:
        raise _unreadable("InvalidArff", f"The file is not an ARFF table: {error}") from None
    except IndexError:
        raise ModuleError("Reader", 21, "TooFewRowsInDataset", "The dataset has no rows") from None
    except ValueError:
        raise _unreadable("AllRowsMustHaveSameElements", "All rows must have same number of elements") from None
    read = {first or f"Col{number}": list(cells) for number, (first, *cells) in enumerate(columns, 1)}
    if len(read) != len(columns):
        names = Counter(first or f"Col{number}" for number, (first, *_) in enumerate(columns, 1))
        raise _unreadable("DuplicateColumnNames", f'The column "{names.most_common(1)[0][0]}" is there twice')
    return read


def write_table(columns: Mapping[str, Sequence[Any]], name: str = ".csv") -> bytes:
    """Return the columns as the file that the name ends like; None is a missing cell."""
    name = name.lower()
    text = _Lines(newline="")
    rows = zip(*columns.values(), strict=True)
    if name.endswith(".arff"):
        text.writelines(arff_lines(columns, rows))
    else:
        writer = csv.writer(text, delimiter=_separator(name), lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return text.getvalue().encode()


def number(value: float) -> str:
    """Return the number in as many digits as give it back exactly."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = repr(float(value))
    return f"{Decimal(text):f}" if "e" in text else text.removesuffix(".0")


class _Lines(io.StringIO):
    r"""Rows that end in \n, of a writer that ends them in \r\n: it quotes the cells that have either in them."""

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _separator(name: str) -> str:
    return "\t" if name.endswith(".tsv") else ","


def _unreadable(error_id: str, message: str) -> ModuleError:
    return ModuleError("Reader", 1000, error_id, message)
