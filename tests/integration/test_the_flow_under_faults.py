"""The services fail in each way they did: the right model is live at the end, and the record says what happened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from local.datasets import as_csv
from local.workplace import Workplace
from shared.domain.champions import HistoryEntry
from shared.domain.jobs import FINAL, JobState, RetrainingJob
from tests.support.flow import PASSING, Flow, configured
from tests.support.waiting import PATIENCE, until

THROTTLED = 429
ROWS = count(300, 3)  #: of the next data set: each gives another model


@pytest.fixture(autouse=True)
def no_fault_stays(place: Workplace) -> Iterator[None]:
    yield
    requests.delete(f"{place.studio.control}/faults", timeout=PATIENCE)


@pytest.fixture
def flow(place: Workplace, tmp_path: Path) -> Flow:
    """A flow that waits 2 seconds for new answers, and whose gate passes every model."""
    return Flow(place, configured(place, tmp_path, *PASSING, ("timeout: 3m", "timeout: 2s")))


def order(flow: Flow, kind: str, **options: Any) -> None:
    answer = requests.post(f"{flow.place.studio.control}/faults", json={"kind": kind, **options}, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text


def retrained(flow: Flow) -> RetrainingJob:
    """Drop a data set like no other and return its job when it is final; waits for services pass at once."""
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))

    def final() -> bool:
        flow.let_trainings_end()
        flow.poll()
        flow.promote()
        job_now = flow.job(job.id)
        if not job_now.final and job_now.not_before:
            flow.pass_time(timedelta(seconds=30))
        return job_now.state in FINAL

    until(final, lambda: flow.job(job.id))
    return flow.job(job.id)


def live(flow: Flow) -> HistoryEntry:
    """Return what the history says is live, once both services were seen to serve just that."""
    champion = flow.champion
    assert champion.live is not None
    assert champion.change is None
    for name, model in champion.live.models.items():
        assert flow.answers()[name] == flow.predicted(model.sha256)
    return champion.live


def said(job: RetrainingJob) -> str:
    return "\n".join([*(step.note for step in job.steps), job.reason or ""])


UPDATES = ["classic.update", "arm.patch"]


@pytest.mark.parametrize("operation", ["bes.create", "bes.start", "bes.read", *UPDATES])
def test_an_answer_that_is_lost_changes_nothing_of_the_outcome(flow: Flow, operation: str) -> None:
    order(flow, "lost answer", operation=operation, count=1)
    job = retrained(flow)
    assert job.state is JobState.PROMOTED, said(job)
    assert live(flow).job == job.id
    assert "got no answer" in said(job) + "\n".join(flow.troubles)


@pytest.mark.parametrize("kind", ["throttled", "unavailable"])
@pytest.mark.parametrize("operation", ["bes.start", *UPDATES])
def test_a_service_that_is_away_is_asked_again_when_it_said(flow: Flow, kind: str, operation: str) -> None:
    order(flow, kind, operation=operation, count=2, seconds=60)
    job = retrained(flow)
    assert job.state is JobState.PROMOTED, said(job)
    assert live(flow).job == job.id
    assert f"answered {429 if kind == 'throttled' else 503}" in said(job) + "\n".join(flow.troubles)


def test_with_a_fifth_of_all_calls_throttled_a_retraining_makes_no_other_calls_than_without(flow: Flow) -> None:
    """What a step has learnt is kept: only the calls that were refused are made again."""
    calls: list[tuple[str, int]] = []

    def count_calls(answer: requests.Response, *_: Any, **__: Any) -> None:
        calls.append((f"{answer.request.method} {urlsplit(answer.request.url or '').path}", answer.status_code))

    def counted() -> Counter[str]:
        """Return the calls of one retraining that were not refused; how often a job's state is read is chance."""
        calls.clear()
        job = retrained(flow)
        assert job.state is JobState.PROMOTED, said(job)
        assert not [step.note for step in job.steps if "answered 429" in step.note]
        names = (re.sub(r"[0-9a-f-]{32,36}", "{id}", name) for name, status in calls if status != THROTTLED)
        return Counter(name for name in names if not re.match(r"GET .*(/jobs/|/operationsStatus/)", name))

    assert retrained(flow).state is JobState.PROMOTED  # what was live before the app is kept only once
    flow.app._session.hooks["response"].append(count_calls)
    alone = counted()
    order(flow, "throttled", probability=0.2, seed=3, seconds=0)
    assert counted() == alone
    refused = [name for name, status in calls if status == THROTTLED]
    assert len(refused) >= 3
    assert flow.troubles == []


@pytest.mark.parametrize("endpoint", ["classic", "new"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [("no effect", "the definition names another model"), ("deaf", "are still ")],
)
def test_an_update_without_effect_leaves_the_former_model_live_everywhere(
    flow: Flow, endpoint: str, kind: str, says: str
) -> None:
    assert retrained(flow).state is JobState.PROMOTED
    before = live(flow)
    order(flow, kind, endpoint=name_of(flow, endpoint), count=1)
    job = retrained(flow)
    assert job.state is JobState.REVERTED, said(job)
    assert says in (job.reason or "")
    assert "the former model is live again, and that is proven" in (job.reason or "")
    assert live(flow) == before


@pytest.mark.parametrize("endpoint", ["classic", "new"])
def test_an_update_that_takes_effect_late_is_waited_for(place: Workplace, tmp_path: Path, endpoint: str) -> None:
    flow = Flow(place, configured(place, tmp_path, *PASSING))
    order(flow, "late", endpoint=name_of(flow, endpoint), count=1, seconds=1)
    job = retrained(flow)
    assert job.state is JobState.PROMOTED, said(job)
    assert live(flow).job == job.id
    faults = requests.get(f"{place.studio.control}/faults", timeout=PATIENCE).json()
    assert [each["struck"] for each in faults if each["kind"] == "late"] == [1]


def test_an_operation_that_fails_after_it_was_accepted_leaves_the_former_model_live_everywhere(flow: Flow) -> None:
    assert retrained(flow).state is JobState.PROMOTED
    before = live(flow)
    order(flow, "failing operation", count=1)
    job = retrained(flow)
    assert job.state is JobState.REVERTED, said(job)
    assert "Failed" in (job.reason or "")
    assert live(flow) == before


def test_results_whose_link_has_expired_are_asked_for_again(flow: Flow) -> None:
    order(flow, "expired result", count=1)
    job = retrained(flow)
    assert job.state is JobState.PROMOTED, said(job)
    assert "its signature may have expired" in said(job)
    assert live(flow).job == job.id


def test_a_training_that_fails_leaves_the_live_model_and_says_why(flow: Flow) -> None:
    assert retrained(flow).state is JobState.PROMOTED
    before = live(flow)
    order(flow, "failed job", count=1)
    job = retrained(flow)
    assert job.state is JobState.FAILED
    assert "The training failed: " in (job.reason or "")
    assert live(flow) == before


def name_of(flow: Flow, endpoint: str) -> str:
    """Return how orders name the endpoint."""
    published = getattr(flow.place, endpoint)
    return str(published.management.rsplit("/", 1)[-1])
