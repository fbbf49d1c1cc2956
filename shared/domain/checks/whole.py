"""What is asked of a training's data as a whole, be it one file or many: decided over their summary."""

from collections.abc import Iterator

from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks
from shared.domain.checks.summary import Summary


def asked_of_all(name: str, checks: Checks, of: Summary) -> Iterator[Fault]:
    """Give the faults of the data of this name as a whole."""
    if of.rows < checks.rows_at_least:
        rows = "1 row" if of.rows == 1 else f"{of.rows:,} rows"
        message = f"{name} has {rows}, and {checks.rows_at_least:,} are needed at least"
        yield Fault(kind=Kind.TOO_FEW_ROWS, message=message)
    if checks.label and of.classes is not None and len(of.classes) < 2:
        only = f"the one class {of.classes[0]!r}" if of.classes else "no class at all"
        message = f"{name}: the label {checks.label!r} has {only}; to learn from it takes two at least"
        yield Fault(kind=Kind.ONE_CLASS, message=message, column=checks.label)
    limits = {column.name: column.missing_at_most for column in checks.columns}
    for column, missing in of.missing.items():
        limit = checks.missing_at_most if limits.get(column) is None else limits[column]
        if limit is not None and missing > limit * of.rows:
            message = f"column {column!r} is missing in {_percent(missing / of.rows)} of the rows"
            message = f"{name}: {message}, and {_percent(limit)} is allowed"
            yield Fault(kind=Kind.MISSING_VALUES, message=message, column=column, count=missing)
    missing, limit = sum(of.missing.values()), checks.missing_in_all_at_most
    if limit is not None and missing > limit * of.cells:
        message = f"{name}: {_percent(missing / of.cells)} of all cells are missing, and {_percent(limit)} is allowed"
        yield Fault(kind=Kind.MISSING_VALUES, message=message, count=missing)
    limit = checks.duplicates_at_most
    if of.repeated is not None and limit is not None and of.repeated > limit * of.rows:
        found = f"{'about ' if of.one_in > 1 else ''}{_percent(of.repeated / of.rows)}"
        message = f"{name}: {found} of the rows repeat an earlier row, and {_percent(limit)} is allowed"
        yield Fault(kind=Kind.DUPLICATE_ROWS, message=message)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
