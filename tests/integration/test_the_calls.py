"""How many calls a retraining makes, so that no figure rises unseen. docs/architecture.md has their reasons."""

from __future__ import annotations

from collections import Counter

import pytest

from local.bench.app import Bare, app_that_waits_for_nothing, peaks, retraining, wait_for_bes
from local.bench.calls import Call
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace

STORAGE, SERVICES = {1: 28, 2: 28}, {1: 10, 2: 17}


@pytest.mark.parametrize("targets", [1, 2])
def test_a_retraining_makes_at_most_the_calls_that_the_documents_name(workplace: Workplace, targets: int) -> None:
    app = app_that_waits_for_nothing(workplace.settings, targets)
    header, rows = workplace.header, workplace.rows
    for count in (200 + targets, 300 + targets):  # the first one makes what is made once
        path = workplace.drop(f"{count}.csv", as_csv(header, rows[:count]))
        calls = retraining(app, workplace.azurite, path)
    made = Counter(call.to for call in calls)
    listed = "\n".join(f"{call.to} {call.method} {call.what}: {call.reason}" for call in calls)
    assert made["storage"] <= STORAGE[targets], listed
    assert made["service"] <= SERVICES[targets], listed
    assert again(calls) == [], listed


def test_the_bare_calls_that_a_retraining_is_compared_with_are_answered(workplace: Workplace) -> None:
    app = app_that_waits_for_nothing(workplace.settings)
    path = workplace.drop("250.csv", as_csv(workplace.header, workplace.rows[:250]))
    bare = Bare(workplace, app)
    bes_job = bare.start(path)
    wait_for_bes(app, bes_job)
    bare.promote(bes_job)
    live = {name: endpoint.model().address for name, endpoint in app.endpoints_of(app.pipelines[PIPELINE]).items()}
    assert set(live.values()) == {app.models.link(kept.model).address for kept in app.models.listed()}


def test_the_benchmark_of_memory_starts_both_jobs(workplace: Workplace) -> None:
    small, large = (workplace.drop(f"{n}.csv", as_csv(workplace.header, workplace.rows[:n])) for n in (100, 400))
    risen, peak = peaks(workplace.settings, small, large)
    assert 0 <= risen < peak


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
