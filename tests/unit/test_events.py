"""What `up` shows of the trigger loop's log, and what pip-audit's report means."""

from __future__ import annotations

import pytest

from local.audit import verdict
from local.events import event

AT = "2026-11-26 10:45:47,123"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"{AT} INFO relearn.arrivals a/x.csv arrived, for pipeline a", "10:45:47  a/x.csv arrived, for pipeline a"),
        (f"{AT} INFO relearn.training Job a-1 is training: started", "10:45:47  Job a-1 is training: started"),
        (f"{AT} WARNING host The container a cannot be scanned", "10:45:47  The container a cannot be scanned"),
        (f"{AT} INFO host Executed 'poll_jobs' (Succeeded, 3 ms)", None),
        ("Traceback (most recent call last):", None),
        ("", None),
    ],
)
def test_an_event_is_a_line_in_words_and_the_hosts_own_lines_are_not(line: str, shown: str | None) -> None:
    assert event(line) == shown


def test_a_vulnerability_fails_the_audit_and_is_named_with_the_version_that_has_none() -> None:
    found = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    code, lines = verdict([found, found, {"name": "b", "version": "1", "vulns": []}])
    assert (code, lines[0]) == (1, "a 1: PYSEC-1, fixed in 2")


def test_an_audit_that_could_ask_about_nothing_says_so_and_one_that_could_says_how_many() -> None:
    skipped = {"name": "a", "skip_reason": "not found"}
    assert verdict([skipped, skipped]) == (
        0,
        ["pip-audit: nothing was audited, no advisory source knows one of the 2 packages here"],
    )
    fine = {"name": "b", "version": "1", "vulns": []}
    assert verdict([skipped, fine]) == (0, ["pip-audit: 1 packages, 0 vulnerabilities; 1 could not be audited"])
