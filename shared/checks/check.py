"""One pass over a data set: its hash, its faults, its profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from shared.checks.drift import Profile, profile_of, shifts
from shared.checks.report import Fault, Kind, Report
from shared.checks.rules import Checks, Drift, Type
from shared.checks.table import EXTENSIONS, Table, Unreadable

PIECE = 256 << 10  #: bytes looked at as one block, however the chunks come


def check(
    name: str, chunks: Iterable[bytes], checks: Checks, reference: Profile | None = None, *, piece_size: int = PIECE
) -> Report:
    """Return what there is to know about the data set of this name, whose bytes come in chunks of any size.

    Reads the chunks to their end in any case, for the hash, in constant memory; whatever they raise goes through.
    `reference` is the profile of the last accepted data; without one nothing is compared.
    """
    digest, size = hashlib.sha256(), 0
    table, broken = Table(name, checks), _wrong_name(name)
    for piece, last in _pieces(chunks, piece_size):
        digest.update(piece)
        size += len(piece)
        if broken is None:
            try:
                table.feed(piece, last)
            except Unreadable as error:
                broken = error.fault
    found: dict[str, Any] = {"name": name, "size": size, "sha256": digest.hexdigest(), "rows": table.rows}
    faults = [*table.faults, *_of_rows(table), *([broken] if broken else [])]
    if broken:
        return Report(**found, whole=False, faults=tuple(faults), notes=tuple(table.notes))
    cells = _cells(table)
    drift, drifted, notes = _drift(name, checks.drift, reference, cells)
    return Report(
        **found,
        whole=True,
        faults=(*faults, *_of_all(table), *drifted),
        notes=(*table.notes, *_estimate(table), *notes),
        duplicates=table.duplicates.share if table.duplicates else None,
        drift=drift,
        profile=profile_of(cells),
    )


def _wrong_name(name: str) -> Fault | None:
    if name.lower().endswith(EXTENSIONS):
        return None
    *some, other = EXTENSIONS
    told = f"{name} does not end in {', '.join(some)} or {other}, which the training service needs to read it"
    return Fault(kind=Kind.EXTENSION, message=told)


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Give the bytes in pieces of one size, and whether a piece is the last: a report must not depend on the chunks."""
    buffer = bytearray()
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            buffer += chunk[start : start + size]
            # One byte stays behind, so that the last piece is known as such.
            while len(buffer) > size:
                yield bytes(memoryview(buffer)[:size]), False
                del buffer[:size]
    yield bytes(buffer), True


def _of_rows(table: Table) -> Iterator[Fault]:
    """Give the faults of single rows and cells, each kind once with its first row."""
    if table.first_ragged:
        yield _counted(table.first_ragged, table.ragged, "row")
    for column in table.columns:
        if column.fault:
            yield _counted(column.fault, column.wrong, "cell")


def _counted(fault: Fault, count: int, what: str) -> Fault:
    if count == 1:
        return fault
    told = f"{fault.message}; {count - 1:,} more {what}{'s' if count > 2 else ''} like this"
    return msgspec.structs.replace(fault, count=count, message=told)


def _of_all(table: Table) -> Iterator[Fault]:
    """Give the faults of the table as a whole."""
    name, checks, rows = table.name, table.checks, table.rows
    if not rows:
        yield Fault(kind=Kind.TOO_FEW_ROWS, message=f"{name} has a header and no rows")
        return
    if rows < checks.rows_at_least:
        told = f"{name} has {_many(rows, 'row')}, and {checks.rows_at_least:,} are needed at least"
        yield Fault(kind=Kind.TOO_FEW_ROWS, message=told)
    whole = rows - table.ragged
    for column in table.columns:
        if column.label and len(column.classes) < 2:
            only = f"the one class {next(iter(column.classes))!r}" if column.classes else "no class at all"
            told = f"{name}: the label {column.rule.name!r} has {only}; to learn from it takes two at least"
            yield Fault(kind=Kind.ONE_CLASS, message=told, column=column.rule.name)
        limit = checks.missing_at_most if column.rule.missing_at_most is None else column.rule.missing_at_most
        if limit is not None and column.missing > limit * whole:
            told = f"column {column.rule.name!r} is missing in {_share(column.missing, whole)} of the rows"
            message = f"{name}: {told}, and {_percent(limit)} is allowed"
            yield Fault(kind=Kind.MISSING_VALUES, message=message, column=column.rule.name, count=column.missing)
    missing, cells = sum(column.missing for column in table.columns), whole * len(table.columns)
    limit = checks.missing_in_all_at_most
    if limit is not None and missing > limit * cells:
        told = f"{name}: {_share(missing, cells)} of all cells are missing, and {_percent(limit)} is allowed"
        yield Fault(kind=Kind.MISSING_VALUES, message=told, count=missing)
    limit = checks.duplicates_at_most
    if table.duplicates and limit is not None and (share := table.duplicates.share) > limit:
        found = f"{'about ' if table.duplicates.one_in > 1 else ''}{_percent(share)}"
        told = f"{name}: {found} of the rows repeat an earlier row, and {_percent(limit)} is allowed"
        yield Fault(kind=Kind.DUPLICATE_ROWS, message=told)


def _estimate(table: Table) -> Iterator[str]:
    if table.duplicates and table.duplicates.one_in > 1:
        yield (
            f"the share of duplicate rows is an estimate from one row in {table.duplicates.one_in:,}: "
            "there are more different rows than are kept in memory"
        )


def _cells(table: Table) -> dict[str, Sequence[str]]:
    """Return the sampled cells by column; dates are left out, as they are always new."""
    sampled = [*zip(*table.sample.rows, strict=True)] or [()] * len(table.columns)
    return {
        column.rule.name: cells
        for column, cells in zip(table.columns, sampled, strict=True)
        if column.rule.type is not Type.DATETIME
    }


def _drift(
    name: str, rule: Drift | None, reference: Profile | None, cells: dict[str, Sequence[str]]
) -> tuple[dict[str, float], list[Fault], list[str]]:
    if rule is None:
        return {}, [], []
    if reference is None:
        return {}, [], ["drift was not looked at, as there is no accepted data yet to compare with"]
    found, faults, notes = shifts(reference, cells), [], []
    for column, shift in found.items():
        limit = rule.columns.get(column, rule.at_most)
        if limit is None or shift.psi <= limit:
            continue
        told = (
            f"column {column!r} has drifted from the last accepted data: PSI {shift.psi:.3f} where {limit:g} is allowed"
        )
        if shift.psi > shift.by_chance:
            faults.append(Fault(kind=Kind.DRIFT, message=f"{name}: {told}", column=column))
        else:
            notes.append(f"{told}; with so few rows chance alone gives up to {shift.by_chance:.3f}, so it is let pass")
    return {column: shift.psi for column, shift in found.items()}, faults, notes


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _share(count: int, of: int) -> str:
    return _percent(count / max(1, of))


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
