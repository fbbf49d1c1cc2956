"""The header against the columns that a pipeline asks for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.checks.drift import NUMBER
from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks

_SHOWN = 400  #: characters of a header that a sentence repeats


@dataclass
class Fit:
    names: list[str]  #: of the columns by position
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fitted(
    name: str, header: list[str], checks: Checks, headless: bool, row: int, line: str, inputs: Sequence[str] = ()
) -> Fit:
    """Return what the columns are called and what is wrong with them. `header` is the first row where there is none.

    `inputs` are the columns that the web service is asked with (those of proof.rows): the table must have them too.
    """
    fit = _headless if headless else _with_header
    return fit(name, header, checks, row, line, inputs)


def _headless(name: str, first: list[str], checks: Checks, row: int, line: str, inputs: Sequence[str]) -> Fit:
    wanted = [column.name for column in checks.columns]
    if len(first) < len(inputs) and len(first) >= len(wanted):
        # Which columns these are is not known here, only that they are too few.
        message = f"{name} line {row} has {len(first)} values where proof.rows has {len(inputs)} columns"
        return Fit(
            [*wanted, *(f"Col{number}" for number in range(len(wanted) + 1, len(first) + 1))],
            [Fault(kind=Kind.MISSING_COLUMN, message=message, row=row, line=line)],
        )
    if not wanted or len(wanted) == len(first):
        return Fit(wanted or [f"Col{number}" for number in range(1, len(first) + 1)])
    few = len(first) < len(wanted)
    fit = Fit([*wanted, *(f"Col{number}" for number in range(len(wanted) + 1, len(first) + 1))][: len(first)])
    told = f"{name} line {row} has {len(first)} values where the pipeline has {len(wanted)} columns"
    if few:
        lacking = ", ".join(map(repr, wanted[len(first) :]))
        fit.faults.append(
            Fault(
                kind=Kind.MISSING_COLUMN,
                message=f"{told}: {lacking} would be empty",
                row=row,
                line=line,
                column=wanted[len(first)],
            )
        )
    elif checks.extra_columns:
        fit.notes.append(f"{told}; those after {wanted[-1]!r} were not expected")
    else:
        fit.faults.append(Fault(kind=Kind.EXTRA_COLUMN, message=told, row=row, line=line))
    return fit


def _with_header(name: str, header: list[str], checks: Checks, row: int, line: str, inputs: Sequence[str]) -> Fit:
    fit = Fit(header)

    def fault(kind: Kind, told: str, column: str) -> None:
        fit.faults.append(Fault(kind=kind, message=f"{name} {told}", row=row, column=column, line=line))

    shown = f"its header is: {', '.join(header)[:_SHOWN]}"
    for column in sorted({column for column in header if header.count(column) > 1}):
        fault(
            Kind.DUPLICATE_COLUMN, f"names the column {column!r} twice in its header; each needs its own name", column
        )
    required = {*checks.required}
    wanted, there = list(dict.fromkeys([*checks.required, *inputs])), {*header}
    missing = [column for column in wanted if column not in there]
    unknown = [column for column in header if column not in {*wanted}] if missing or checks.columns else []
    lost = []
    for column in missing:
        near = _near(column, unknown)
        if near is None:
            lost.append(column)
            continue
        unknown.remove(near)
        fault(
            Kind.RENAMED_COLUMN,
            f"has no column {column!r} but one {near!r}, which seems to be it renamed; {shown}",
            near,
        )
    if lost:
        hint = "; its first line looks like data: a table without a header ends in .nh.csv" if _is_data(header) else ""
        asked = [column for column in lost if column not in required]
        why = f", and the rows of proof.rows have {'it' if lost == asked else repr(asked[0])}" if asked else ""
        fault(Kind.MISSING_COLUMN, f"has no column {', '.join(map(repr, lost))}{why}; {shown}{hint}", lost[0])
    extra = unknown if checks.columns else []
    if extra and not checks.extra_columns:
        told = f"has a column {', '.join(map(repr, extra))} beside the expected: {', '.join(wanted)[:_SHOWN]}"
        fault(Kind.EXTRA_COLUMN, told, extra[0])
    elif extra:
        fit.notes.append(f"{name} has columns that no rule names: {', '.join(map(repr, extra))[:_SHOWN]}")
    found = [column for column in header if column in required]
    order = [column for column in checks.required if column in there]
    if not checks.any_order and found != order and len(found) == len(set(found)):
        first = next(column for column, right in zip(found, order, strict=True) if column != right)
        told = f"has its columns in another order; expected: {', '.join(checks.required)[:_SHOWN]}; {shown}"
        fault(Kind.COLUMN_ORDER, told, first)
    return fit


def _near(column: str, among: list[str]) -> str | None:
    """Return the name that is the same but for case and signs, or else one that is close."""
    alike = {"".join(filter(str.isalnum, other.casefold())): other for other in among}
    key = "".join(filter(str.isalnum, column.casefold()))
    near = difflib.get_close_matches(key, alike, n=1, cutoff=0.8)
    return alike[near[0]] if near else None


def _is_data(header: list[str]) -> bool:
    return sum(NUMBER.fullmatch(cell) is not None for cell in header) * 2 > len(header)
