"""What commands print: tables and facts for people, JSON for machines. Errors and notes go to stderr."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from shared.base.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = 2  #: spaces between columns
_INDENT = 2  #: spaces before a fact
_DIGEST_END = re.compile(r"[0-9a-f]{10}$")


@dataclass(frozen=True)
class Brief:
    """A text and its short form, which a terminal shows."""

    full: str
    brief: str


Cell = str | tuple[str, str] | Brief  #: a text, or a text and its style
Fact = tuple[str, Cell]  #: what it is, and what it says


def show_json(value: Any) -> None:
    """Print the value; records become objects of their members' names, times ISO texts."""
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def show_table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], below: str = "") -> None:
    """Print the rows, each on one line where no terminal says how wide it is.

    On a terminal that is too narrow, the columns from `below` on have lines of their own under each row, and wide cells
    are folded. Nothing is cut off.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    head = [_text(title, "bold") for title in titles]
    if not sys.stdout.isatty():
        _print_lines([head, *texts])
        return
    from rich.console import Console

    console = Console(highlight=False)
    natural = [*map(_widest, zip(head, *texts, strict=True))]
    all_fit = _fitting(natural, console.width) == natural
    beside = titles.index(below) if below and not all_fit else len(titles)
    widths = _fitting(natural[:beside], console.width)
    console.print(_row(head[:beside], widths))
    for row in texts:
        console.print(_row(row[:beside], widths))
        names = [""] if len(titles) - beside == 1 else titles[beside:]
        under = zip(names, row[beside:], strict=True)
        _print_facts(console, [(_text(name, "dim"), cell) for name, cell in under if cell.plain])


def show_facts(title: Cell, facts: Iterable[Fact]) -> None:
    """Print a title and, indented below it, one line a fact; an empty name continues the one before.

    A fact that says nothing is left out.
    """
    texts = [(_text(name, "dim"), _text(cell)) for name, cell in facts if cell]
    if not sys.stdout.isatty():
        print(_text(title).plain)
        _print_lines(texts, _INDENT)
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_text(title, "bold"))
    _print_facts(console, texts)


def say(text: str) -> None:
    print(_folded(text, sys.stdout))


def tell(text: str) -> None:
    """Print a note or an error, beside the output."""
    print(_folded(text, sys.stderr), file=sys.stderr, flush=True)


def _folded(text: str, stream: TextIO) -> str:
    """Return the text as it is shown there: a terminal would fold it within words."""
    if not stream.isatty():
        return printable(text)
    width = shutil.get_terminal_size().columns
    lines = printable(text).splitlines()
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
        for line in lines
    )


def spinner(text: str, *, quiet: bool) -> AbstractContextManager[Any]:
    """Return a context that shows on a terminal that work is going on; elsewhere it shows nothing."""
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)


def utc(at: datetime | None) -> str:
    """Return the time as people read it, UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def moment(at: datetime | None) -> Cell:
    """Return the time for a table: on a terminal without seconds, and without the year if it is this year."""
    if at is None:
        return ""
    this_year = at.astimezone(UTC).year == datetime.now(UTC).year
    return Brief(utc(at), utc(at)[5:16] if this_year else utc(at)[:10])


def short(sha256: str) -> str:
    return sha256[:12]


def short_id(name: str) -> str:
    """Return the last 10 digits of an id that ends in a digest; else the whole id. `find_id` takes both."""
    found = _DIGEST_END.search(name)
    return found[0] if found else name


def brief_ids(ids: Iterable[str]) -> dict[str, Brief]:
    """Return each id with its short form; ids that have the same short form stay whole."""
    found = {each: short_id(each) for each in ids}
    uses = Counter(found.values())
    return {each: Brief(each, end if uses[end] == 1 else each) for each, end in found.items()}


def _print_lines(rows: Sequence[Sequence[Text]], indent: int = 0) -> None:
    lines = [["; ".join(cell.plain.splitlines()) for cell in row] for row in rows]
    widths = [max(map(_cells, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell + " " * (width - _cells(cell)) for cell, width in zip(line, widths, strict=True))
        print((" " * indent + (" " * _GAP).join(padded)).rstrip())


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _widest(column: Iterable[Text]) -> int:
    return max(_cells(line) for text in column for line in text.plain.splitlines() or [""])


def _fitting(natural: Sequence[int], room: int) -> list[int]:
    """Return the widths with the widest ones made narrower until all have room."""
    widths, room = [*natural], room - _GAP * (len(natural) - 1)
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def _row(cells: Sequence[Text], widths: Sequence[int]) -> Any:
    from rich.table import Table

    row = Table.grid(padding=(0, _GAP, 0, 0))
    for width in widths:
        row.add_column(width=width, overflow="fold")
    row.add_row(*cells)
    return row


def _print_facts(console: Console, facts: Sequence[tuple[Text, Text]]) -> None:
    from rich.padding import Padding

    beside = max((name.cell_len for name, _ in facts), default=0)
    room = console.width - _INDENT - (beside + _GAP if beside else 0)
    for name, text in facts:
        if max(map(_cells, text.plain.split()), default=0) <= room:
            row = _row([name, text], [beside, room]) if beside else _row([text], [room])
            console.print(Padding(row, (0, 0, 0, _INDENT)))
            continue
        # A hash that is folded cannot be copied, so it has its own line.
        if name.plain:
            console.print(Padding(name, (0, 0, 0, _INDENT)))
        console.print(Padding(text, (0, 0, 0, 2 * _INDENT)))


def _text(cell: Cell, otherwise: str = "") -> Text:
    from rich.text import Text

    if isinstance(cell, Brief):
        return Text(cell.brief if sys.stdout.isatty() else cell.full)
    text, style = (cell, otherwise) if isinstance(cell, str) else cell
    return Text(printable(text), style)
