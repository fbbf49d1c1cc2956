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


def show(as_json: bool, value: Any, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print the value as JSON, or the same as a table of the rows."""
    if as_json:
        print_json(value)
    else:
        print_table(titles, rows)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    cells = [[printable(cell) for cell in row] for row in rows]
    # The first is a name, which is copied: the others are folded before it.
    is_name = len(titles) > 1 and max((cell_len(row[0]) for row in cells), default=0) <= _NAME
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=is_name and number == 0)
    if not cells:
        print("nothing to show", file=sys.stderr)
    for row in cells:
        table.add_row(*map(escape, row))
    with console.capture() as printed:
        console.print(table)
    print(printed.get(), end="")  # rich would hide that the reader has gone
