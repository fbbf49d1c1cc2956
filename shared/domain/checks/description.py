"""The columns of a data set as people look at them."""

import math

import msgspec

from shared.domain.checks.drift import Categories, Numbers
from shared.domain.checks.report import Report

SHOWN = 3  #: categories


class ColumnDescription(msgspec.Struct, frozen=True, kw_only=True):
    """`drift` is the PSI against the former data; None where that has no such column."""

    name: str
    type: str
    missing: int
    missing_share: float
    values: str
    drift: float | None = None


def columns_of(report: Report) -> list[ColumnDescription]:
    """Return the columns of a data set that could be read to its end, in their order; none of another."""
    if report.profile is None or report.summary is None:
        return []
    missing, rows = report.summary.missing, max(1, report.summary.rows)
    return [
        ColumnDescription(
            name=name,
            type=_type(column, report.as_text.get(name)),
            missing=missing.get(name, 0),
            missing_share=missing.get(name, 0) / rows,
            values=_values(column),
            drift=report.drift.get(name),
        )
        for name, column in report.profile.columns.items()
    ]


def _type(column: Numbers | Categories, words: tuple[str, ...] | None) -> str:
    if isinstance(column, Categories):
        return "text"
    if words:
        return f"number; text unless the experiment takes {', '.join(map(repr, words))} for missing"
    return f"text for a training, as {column.other} cells are not numbers" if column.other else "number"


def _values(column: Numbers | Categories) -> str:
    if isinstance(column, Numbers):
        return f"{math.nextafter(column.edges[0], math.inf):.6g} to {column.edges[-1]:.6g}"
    shown = [f"{text} ({count})" for text, count in [*column.counts.items()][:SHOWN]]
    more = len(column.counts) - len(shown)
    if column.other:
        shown.append(f"others ({column.other})")
    elif more > 0:
        shown.append(f"{more} more")
    return ", ".join(shown)
