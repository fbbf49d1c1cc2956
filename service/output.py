"""What commands print: a table for people, JSON for machines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.base.errors import printable

_WIDE = 1000  #: where no terminal says how wide it is, nothing is wrapped
_NAME = 48  #: columns of the widest name that is not folded


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def show(
    as_json: bool,
    value: Any,
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    below: str = "",
    *,
    none: str = "nothing to show",
) -> None:
    """Print the value as JSON, or the same as a table of the rows; without a row, print what `none` says to stderr."""
    rows = list(rows)
    if as_json:
        print_json(value)
    elif rows:
        print_table(titles, rows, below)
    else:
        print(none, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], below: str = "") -> None:
    """Print the rows. On a terminal that is too narrow, the column `below` has its own line under each row."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    room = console.width - 2 * len(titles)
    at = titles.index(below) if below and sum(widths) > room else None
    with console.capture() as printed:
        if at is None:
            console.print(_table(titles, cells))
        else:
            del widths[at]
            while sum(widths) > room:
                widths[widths.index(max(widths))] -= 1
            console.print(_table([*titles[:at], *titles[at + 1 :]], [], widths))
            for row in cells:
                console.print(_table([], [[*row[:at], *row[at + 1 :]]], widths))
                console.print(f"  {escape(row[at])}", soft_wrap=True)
    print(printed.get(), end="")  # rich would hide that the reader has gone


def _table(titles: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> Table:
    """Return the table; without titles it has no head. Parts of one table have the same `widths`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(titles))
    rows = [[*titles], *cells] if titles else cells
    # The first is a name, which is copied: the others are folded before it.
    is_name = len(rows[0]) > 1 and max(cell_len(row[0]) for row in rows) <= _NAME
    for number, title in enumerate(titles or [""] * len(rows[0])):
        width = widths[number] if widths else None
        table.add_column(title, overflow="fold", no_wrap=is_name and number == 0, width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    return table
