"""Long lists, shown by pages: `jobs`, `data` and `requests`."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Any, TypeVar

from shared.base.threads import WORKERS, at_once
from shared.cli.names import LISTING, find_id
from shared.cli.output import Cell, show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, USAGE, Stopped

Id = TypeVar("Id")
T = TypeVar("T")


def add_page(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many; 20")
    parser.add_argument("--before", metavar=what.upper(), help=f"go on after this {what}, the last of the page before")


def count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def one_of(given: str | None, states: type[Enum], what: str) -> None:
    """Stop if a state is given that is not one of these."""
    values = sorted(each.value for each in states)
    if given not in {None, *values}:
        raise Stopped(f"{given!r} is not {what}; write one of: {', '.join(values)}", USAGE)


def first(ids: Iterator[Id], load: Callable[[Id], T | None], limit: int) -> list[T]:
    """Return the first `limit` of what `load` gives; it gives None for what is not wanted."""
    found: list[T] = []
    while len(found) < limit and (some := [*islice(ids, min(limit - len(found), WORKERS))]):
        found += [each for each in at_once(load, some) if each is not None]
    return found


def show_page(
    chosen: argparse.Namespace,
    what: str,
    ids: list[str],
    load: Callable[[str], T | None],
    titles: Sequence[str],
    rows: Callable[[Sequence[T]], Iterable[Sequence[Cell]]],
    plain: Callable[[T], Any] = lambda record: record,
) -> int:
    """Show what `load` gives of the ids behind `--before`; None is left out.

    `what` is the word for one of them. `rows` and `titles` make the table, `plain` what machines get of each.
    """
    begin = ids.index(find_id(ids, chosen.before, what)) + 1 if chosen.before else 0
    rest = iter(ids[begin:])

    def loaded(each: str) -> tuple[str, T] | None:
        record = load(each)
        return None if record is None else (each, record)

    found = first(rest, loaded, chosen.limit)
    more = next(rest, None) is not None
    if chosen.json:
        show_json({LISTING[what]: [plain(record) for _, record in found], "more": more})
    elif found:
        show_table(titles, rows([record for _, record in found]), below=titles[-1])
        if more:
            tell(f"there are more; go on with --before {found[-1][0]}")
    else:
        none = f"no {what} of {chosen.pipeline}" if chosen.pipeline else f"no {what}"
        tell(f"none of the {len(ids)} recorded {what}s matches" if ids else f"{none} is recorded yet")
    return DONE if found else NOTHING
