"""Tables as blobs, in the forms that Studio reads and writes: CSV and TSV, with a header or without one, and ARFF."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd

from studio.errors import ModuleError

READABLE = (".csv", ".tsv", ".nh.csv", ".nh.tsv", ".arff")
WRITABLE = (".csv", ".tsv", ".arff")


def read_table(content: bytes, name: str = ".csv") -> pd.DataFrame:
    """Return the columns as numbers where all cells are, else as text; only empty cells are missing.

    `name` ends as the blob's does. A table without a header has the columns Col1, Col2, ... Raises `ModuleError`.
    """
    name = name.lower()
    data = _read_arff(content) if name.endswith(".arff") else _read_lines(content, name)
    if data.empty:
        raise ModuleError("Reader", 21, "TooFewRowsInDataset", "The dataset has no rows")
    return data


def write_table(columns: Mapping[str, Sequence[Any]], name: str = ".csv") -> bytes:
    """Return the columns as the file that the name ends like."""
    name = name.lower()
    if name.endswith(".arff"):
        return _written_arff(columns)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=_separator(name), lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _separator(name: str) -> str:
    return "\t" if name.endswith(".tsv") else ","


def _read_lines(content: bytes, name: str) -> pd.DataFrame:
    separator, headless = _separator(name), name.endswith((".nh.csv", ".nh.tsv"))
    try:
        text = content.decode("utf-8-sig")
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        # pandas fills short rows up, which Studio's reader refuses.
        lengths = {len(row) for row in rows if row}
        if len(lengths) != 1:
            raise _uneven()
        options: dict[str, Any] = {"sep": separator, "index_col": False, "keep_default_na": False, "na_values": [""]}
        if headless:
            options |= {"header": None, "names": [f"Col{number}" for number in range(1, lengths.pop() + 1)]}
        data = pd.read_csv(io.StringIO(text), **options)
        if truths := [column for column in data if pd.api.types.is_bool_dtype(data[column])]:
            # A truth value stays spelled as it was, as the rows to score will be.
            data = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(truths, str), **options)
    except (UnicodeDecodeError, csv.Error, ValueError):  # pandas' own errors are ValueErrors
        raise _uneven() from None
    return cast(pd.DataFrame, data)


def _uneven() -> ModuleError:
    return ModuleError("Reader", 1000, "AllRowsMustHaveSameElements", "All rows must have same number of elements")


def _read_arff(content: bytes) -> pd.DataFrame:
    from scipy.io import arff

    try:
        records, _ = arff.loadarff(io.StringIO(content.decode("utf-8-sig")))
    except Exception as error:
        # What is no ARFF can break its reader in any way.
        raise ModuleError("Reader", 1000, "InvalidArff", f"The file is no ARFF table: {error}") from None
    data = pd.DataFrame(records)
    for column in data.select_dtypes(exclude="number"):
        data[column] = data[column].str.decode("utf-8")
    return data


def _written_arff(columns: Mapping[str, Sequence[Any]]) -> bytes:
    lines = ["@relation results"]
    for name, cells in columns.items():
        kind = "numeric" if all(_is_number(cell) for cell in cells) else _nominal(cells)
        lines.append(f"@attribute {_quoted(name)} {kind}")
    lines.append("@data")
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join("?" if cell in (None, "") else _quoted(str(cell)) for cell in row))
    return ("\n".join(lines) + "\n").encode()


def _nominal(cells: Sequence[Any]) -> str:
    return (
        "{"
        + ",".join(_quoted(value) for value in sorted({str(cell) for cell in cells if cell not in (None, "")}))
        + "}"
    )


def _quoted(text: str) -> str:
    plain = text.replace(".", "").replace("-", "").replace("_", "").isalnum()
    return text if plain else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _is_number(cell: Any) -> bool:
    try:
        float(cell if cell not in (None, "") else 0)
        return True
    except (TypeError, ValueError):
        return False
