"""What is asked of a training's data as a whole, kept so small that it adds up over many files."""

from collections.abc import Iterable

import msgspec


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one file, or several together, has of what is asked of the whole; a few bytes for each column."""

    rows: int = 0
    cells: int = 0
    missing: dict[str, int] = {}  #: cells, by the columns that have such
    classes: tuple[str, ...] | None = None  #: of the label, the first two; None where no label was looked at
    repeated: float | None = None  #: rows that repeat an earlier one of their file, where a rule asked for it
    one_in: int = 1  #: row that was looked at for that: more than 1 makes it an estimate


def summed(summaries: Iterable[Summary]) -> Summary:
    """Return the summary of all their files together. Rows that repeat one of another file are not known."""
    total = Summary()
    for each in summaries:
        missing = {
            name: total.missing.get(name, 0) + each.missing.get(name, 0) for name in total.missing | each.missing
        }
        total = Summary(
            rows=total.rows + each.rows,
            cells=total.cells + each.cells,
            missing=missing,
            classes=_both(total.classes, each.classes),
            repeated=total.repeated if each.repeated is None else (total.repeated or 0) + each.repeated,
            one_in=max(total.one_in, each.one_in),
        )
    return total


def _both(some: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if some is None or others is None:
        return some if others is None else others
    return tuple(dict.fromkeys((*some, *others)))[:2]
