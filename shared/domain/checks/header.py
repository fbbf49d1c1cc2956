"""The header against the columns that a pipeline asks for."""

from __future__ import annotations

import difflib
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


def fitted(name: str, header: list[str], checks: Checks, headless: bool, row: int, line: str) -> Fit:
    """Return what the columns are called and what is wrong with them. `header` is the first row where there is none."""
    return _headless(name, header, checks, row, line) if headless else _with_header(name, header, checks, row, line)


def _headless(name: str, first: list[str], checks: Checks, row: int, line: str) -> Fit:
    wanted = [column.name for column in checks.columns]
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


def _with_header(name: str, header: list[str], checks: Checks, row: int, line: str) -> Fit:
    fit = Fit(header)

    def fault(kind: Kind, told: str, column: str) -> None:
        fit.faults.append(Fault(kind=kind, message=f"{name} {told}", row=row, column=column, line=line))

    shown = f"its header is: {', '.join(header)[:_SHOWN]}"
    for column in sorted({column for column in header if header.count(column) > 1}):
        fault(
            Kind.DUPLICATE_COLUMN, f"names the column {column!r} twice in its header; each needs its own name", column
        )
    missing = [column for column in checks.required if column not in header]
    extra = [column for column in header if column not in checks.required] if checks.columns else []
    lost = []
    for column in missing:
        near = _near(column, extra)
        if near is None:
            lost.append(column)
            continue
        extra.remove(near)
        fault(
            Kind.RENAMED_COLUMN,
            f"has no column {column!r} but one {near!r}, which seems to be it renamed; {shown}",
            near,
        )
    if lost:
        hint = "; its first line looks like data: a table without a header ends in .nh.csv" if _is_data(header) else ""
        fault(Kind.MISSING_COLUMN, f"has no column {', '.join(map(repr, lost))}; {shown}{hint}", lost[0])
    if extra and not checks.extra_columns:
        wanted = ", ".join(checks.required)[:_SHOWN]
        fault(Kind.EXTRA_COLUMN, f"has a column {', '.join(map(repr, extra))} beside the expected: {wanted}", extra[0])
    elif extra:
        fit.notes.append(f"{name} has columns that no rule names: {', '.join(map(repr, extra))[:_SHOWN]}")
    found = [column for column in header if column in checks.required]
    order = [column for column in checks.required if column in found]
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
