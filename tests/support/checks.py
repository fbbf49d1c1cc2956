"""The check of a data set that the tests make, and its rules."""

from __future__ import annotations

from shared.domain.checks import (
    Checks,
    Column,
    Kind,
    Report,
    Type,
    check,
)

CHECKS = Checks(
    columns=(
        Column(name="age", type=Type.INTEGER),
        Column(name="hours", type=Type.NUMBER),
        Column(name="note", type=Type.TEXT),
        Column(name="income"),
    ),
    label="income",
)


def checked(content: bytes | str, name: str = "a/x.csv", checks: Checks = Checks(), **options: int) -> Report:  # noqa: B008
    data = content.encode() if isinstance(content, str) else content
    return check(name, iter([data]), checks, **options)


def only_fault(report: Report):
    assert len(report.faults) == 1, report.text
    return report.faults[0]


def kinds(report: Report) -> list[Kind]:
    return [fault.kind for fault in report.faults]
