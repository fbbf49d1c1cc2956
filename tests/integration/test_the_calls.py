"""How many calls a retraining makes, so that no figure rises unseen. docs/architecture.md has their reasons."""

from __future__ import annotations

from collections import Counter

import pytest

from local.bench.app import app_that_waits_for_nothing
from local.bench.calls import Call
from local.bench.trace import retraining
from local.datasets import as_csv
from local.workplace import Workplace

STORAGE, SERVICES = 36, {1: 10, 2: 17}


@pytest.mark.parametrize("targets", [1, 2])
def test_a_retraining_makes_no_more_calls_than_the_documents_name(workplace: Workplace, targets: int) -> None:
    app = app_that_waits_for_nothing(workplace.settings, targets)
    header, rows = workplace.header, workplace.rows
    storage = workplace.azurite.blob_address
    for count in (200 + targets, 300 + targets):  # the first one makes what is made once
        path = workplace.drop(f"{count}.csv", as_csv(header, rows[:count]))
        calls = retraining(app, storage, path)
    made = Counter(call.to for call in calls)
    listed = "\n".join(f"{call.to} {call.method} {call.what}: {call.reason}" for call in calls)
    assert made["storage"] <= STORAGE, listed
    assert made["service"] <= SERVICES[targets], listed
    assert again(calls) == [], listed


def again(calls: list[Call]) -> list[str]:
    """Return what is read twice although nothing was written in between."""
    seen: set[str] = set()
    found = []
    for call in calls:
        if call.method not in ("GET", "HEAD"):
            seen.clear()
            continue
        if call.what in seen:
            found.append(call.what)
        seen.add(call.what)
    return found
