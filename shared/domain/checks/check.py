"""One pass over a data set: its hash, its faults, its profile."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from shared.base.threads import ahead
from shared.domain.checks.columnar import Cells
from shared.domain.checks.drift import Numbers, Profile, profile_of, shifts
from shared.domain.checks.report import Fault, Kind, Report, shortened
from shared.domain.checks.rows import RowChecks
from shared.domain.checks.rules import Checks, Drift, Type
from shared.domain.checks.summary import Summary
from shared.domain.checks.whole import asked_of_all
from shared.domain.table import EXTENSIONS, PIECE, Block, Table, Unreadable
from shared.domain.table.form import Form

_LARGE_CHUNK = 1 << 20  #: bytes of which the next as many may be long in coming
_FREED_ONCE = 4 << 20  #: bytes: with more, the process stays larger and is hardly faster
COLUMNAR_FROM = 32 << 10  #: bytes of a block that is looked at as a whole; NumPy has to be loaded for it


def check(
    name: str,
    chunks: Iterable[bytes],
    checks: Checks,
    reference: Profile | None = None,
    *,
    inputs: Sequence[str] = (),
    alone: bool = True,
    profiled: bool = True,
    piece_size: int = PIECE,
    columnar_from: int = COLUMNAR_FROM,
) -> Report:
    """Return what there is to know about the data set of this name, whose bytes come in chunks of any size.

    Reads the chunks to their end in any case, for the hash, in constant memory; whatever they raise goes through.
    `reference` is the profile of the last accepted data; without one nothing is compared. `inputs` are columns that the
    header must have beside those of the rules. `alone` is whether the data set is all that a training reads; of one
    among several, what is asked of the whole is left to `asked_of_all`. `profiled` is whether the profile is wanted
    also of data without faults: with a small table it takes longest. The report does not depend on `piece_size` and
    `columnar_from`.
    """
    hashed = _Hashed(chunks)
    given = _given(iter(hashed))
    rows, broken = None, _wrong_name(name)
    if broken is None:
        try:
            table = Table(name, given, piece_size, columnar_from)
            rows = RowChecks(table, checks, inputs)
            for block, cells in _looked_at(table, rows, piece_size // 2):
                rows.take(block, cells)
        except Unreadable as error:
            broken = Fault(kind=Kind(error.kind), message=error.message, row=error.row, line=error.line)
    for _ in given:
        pass
    found = Report(
        name=name,
        size=hashed.size,
        sha256=hashed.digest.hexdigest(),
        rows=rows.rows if rows else 0,
        whole=False,
        faults=(*rows.faults, *rows.found()) if rows else (),
        notes=(*rows.notes, *rows.spaces(), *rows.classes()) if rows else (),
    )
    if broken or rows is None:
        faults, unlisted = shortened([*found.faults, *([broken] if broken else [])])
        return replace(found, faults=tuple(faults), notes=(*found.notes, *unlisted))
    return _of_all(found, rows, checks, reference, alone=alone, profiled=profiled)


def _given(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give the chunks; of large ones the next is read and hashed while one is used."""
    for chunk in chunks:
        yield chunk
        if len(chunk) >= _LARGE_CHUNK:
            yield from ahead(chunks)


def _looked_at(table: Table, rows: RowChecks, large: int) -> Iterator[tuple[Block, Cells | None]]:
    """Give the table's blocks; behind a block of so many bytes the next is looked at while one is checked."""
    blocks = table.blocks()
    for block in blocks:
        yield rows.look(block)
        if block.grid and len(block.lines) >= large:
            _keep_what_is_freed()
            yield from ahead(map(rows.look, blocks))


def _keep_what_is_freed() -> None:
    """Let the C library keep the memory of a block for the next one, where it is glibc.

    It gives the free end of a heap back to the system when that end is more than twice as large as the largest piece
    freed so far (mallopt(3), M_MMAP_THRESHOLD). The system must clear each page when the memory is needed again.
    """
    import numpy as np

    np.empty(_FREED_ONCE, np.uint8)  # nothing is written there, so that it takes no memory


def _of_all(
    found: Report, rows: RowChecks, checks: Checks, reference: Profile | None, *, alone: bool, profiled: bool
) -> Report:
    """Return the report with what only the whole table shows."""
    summary, faults = _summary(rows), [*found.faults]
    if not rows.rows:
        faults.append(Fault(kind=Kind.TOO_FEW_ROWS, message=f"{found.name} has a header and no rows"))
    elif alone:
        faults += asked_of_all(found.name, checks, summary)
    profiled = profiled or bool(faults) or checks.drift is not None
    cells = _cells(rows, profiled=profiled)
    drift, drifted, more = _drift(found.name, checks.drift, reference, cells)
    faults, unlisted = shortened([*faults, *drifted])
    profile = profile_of(cells)
    as_text = _as_text(rows, profile) if not Form.of(found.name).arff else {}
    return replace(
        found,
        whole=True,
        faults=tuple(faults),
        notes=(*found.notes, *unlisted, *_estimate(rows), *more, *_told_as_text(as_text)),
        as_text=as_text,
        duplicates=rows.duplicates.share if rows.duplicates else None,
        summary=summary,
        drift=drift,
        profile=profile if profiled else None,
    )


class _Hashed:
    """Gives the chunks on, and knows the hash and the size of those that it gave."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.digest, self.size = hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            yield chunk


def _wrong_name(name: str) -> Fault | None:
    if name.lower().endswith(EXTENSIONS):
        return None
    *some, other = EXTENSIONS
    message = f"{name} does not end in {', '.join(some)} or {other}, which the training service needs to read it"
    return Fault(kind=Kind.EXTENSION, message=message)


def _summary(table: RowChecks) -> Summary:
    found = table.duplicates
    return Summary(
        rows=table.rows,
        cells=(table.rows - table.ragged) * len(table.columns),
        missing={column.rule.name: column.missing for column in table.columns if column.missing},
        classes=next((tuple(column.classes) for column in table.columns if column.label), None),
        repeated=found.share * table.rows if found else None,
        one_in=found.one_in if found else 1,
    )


def _estimate(table: RowChecks) -> Iterator[str]:
    if table.duplicates and table.duplicates.one_in > 1:
        yield (
            f"the share of duplicate rows is an estimate from one row in {table.duplicates.one_in:,}: "
            "there are more different rows than are kept in memory"
        )


def _as_text(table: RowChecks, profile: Profile) -> dict[str, tuple[str, ...]]:
    """Return the columns of numbers with words for missing cells. In ARFF it is the declared type that counts."""
    return {
        column.rule.name: tuple(sorted(column.words))
        for column in table.columns
        if column.words and isinstance(profile.columns.get(column.rule.name), Numbers)
    }


def _told_as_text(as_text: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for column, words in as_text.items():
        yield (
            f"column {column!r}: {', '.join(map(repr, words))} counts as missing here, but a training reads it as "
            "text, and the whole column with it, unless its experiment takes it for missing; leave these cells empty"
        )


def _cells(table: RowChecks, *, profiled: bool) -> dict[str, Sequence[str]]:
    """Return the sampled cells of each column that is looked at; dates are left out, as they are always new.

    Without a profile these are the columns with words for missing cells, of which it has to be known what they are.
    """
    wanted = [column.rule.type is not Type.DATETIME and (profiled or bool(column.words)) for column in table.columns]
    if not any(wanted):
        return {}
    sampled = [*zip(*table.sampled(), strict=True)] or [()] * len(table.columns)
    return {
        column.rule.name: cells
        for column, cells, is_wanted in zip(table.columns, sampled, wanted, strict=True)
        if is_wanted
    }


def _drift(
    name: str, rule: Drift | None, reference: Profile | None, cells: dict[str, Sequence[str]]
) -> tuple[dict[str, float], list[Fault], list[str]]:
    if rule is None:
        return {}, [], []
    if reference is None:
        return {}, [], ["drift was not checked, as no data was accepted before"]
    found, faults, notes = shifts(reference, cells), [], []
    for column, shift in found.items():
        limit = rule.columns.get(column, rule.at_most)
        if limit is None or shift.psi <= limit:
            continue
        message = (
            f"column {column!r} has drifted from the last accepted data: PSI {shift.psi:.3f} where {limit:g} is allowed"
        )
        if shift.psi > shift.by_chance:
            faults.append(Fault(kind=Kind.DRIFT, message=f"{name}: {message}", column=column))
        else:
            notes.append(
                f"{message}; with so few rows chance alone gives up to {shift.by_chance:.3f}, so it is let pass"
            )
    return {column: shift.psi for column, shift in found.items()}, faults, notes
