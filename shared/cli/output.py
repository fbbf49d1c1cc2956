"""What commands print: tables and facts for people, JSON for machines. Errors and notes go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

_WIDE = 1000  #: where no terminal says how wide it is, nothing is wrapped

Cell = str | tuple[str, str]  #: a text, or a text and its style
Fact = tuple[str, Cell]  #: what it is, and what it says


def show_json(value: Any) -> None:
    """Print the value; records become objects of their members' names, times ISO texts."""
    import msgspec

    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def show_table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], cut: str = "") -> None:
    """Print the rows; on a narrow terminal, the column `cut` is cut off where it must be, else all are folded."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="ellipsis" if title == cut else "fold", no_wrap=bool(cut))
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    _print(table)


def show_facts(title: Cell, facts: Iterable[Fact]) -> None:
    """Print a title and, indented below it, one line a fact; an empty name continues the one before."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, cell in facts:
        table.add_row(_text(name), _text(cell))
    _print(Group(_text(title, "bold"), Padding(table, (0, 0, 0, 2))))


def say(text: str) -> None:
    print(text)


def tell(text: str) -> None:
    """Print a note or an error, beside the output."""
    print(text, file=sys.stderr, flush=True)


def told(at: datetime | None) -> str:
    """Return the time as people read it, UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def short(sha256: str) -> str:
    return sha256[:12]


def _print(shown: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(shown)
        return
    console.width = _WIDE
    with console.capture() as captured:
        console.print(shown)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _text(cell: Cell, otherwise: str = "") -> Any:
    from rich.text import Text

    text, style = (cell, otherwise) if isinstance(cell, str) else cell
    return Text(text, style)
