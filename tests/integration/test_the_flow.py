"""The whole flow against Azurite and the local Studio: from dropped data to a proven switch, and back."""

from __future__ import annotations

import pytest

from local.datasets import as_csv, with_a_short_row, with_shuffled_labels
from local.workplace import PIPELINE, Workplace
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from tests.support.commands import wait
from tests.support.flow import Flow


@pytest.fixture
def flow(workplace: Workplace) -> Flow:
    return Flow(workplace)


def test_dropped_data_retrains_and_promotes_and_a_rollback_brings_the_former_answers_back(flow: Flow) -> None:
    header, rows = flow.place.header, flow.place.rows
    first = flow.answers()

    job = flow.finish(flow.drop("new.csv", as_csv(header, rows[:400])))
    assert job.state is JobState.PROMOTED, job.reason
    second = flow.answers()
    assert second["classic"] != first["classic"]
    assert second["new"] != first["new"]
    assert second["classic"] == second["new"]

    assert flow.arrive(flow.place.drop("broken.csv", with_a_short_row(header, rows))) == []
    broken = flow.arrivals()[-1]
    assert broken.state is ArrivalState.QUARANTINED
    assert "line 6 has 15 values where the header has 31" in (broken.reason or "")
    names = list(flow.place.blobs.get_container_client("quarantine").list_blob_names())
    assert names == [
        f"{PIPELINE}/{broken.id}/broken.csv",
        *(f"{PIPELINE}/{broken.id}/reason.{kind}" for kind in ("json", "txt")),
    ]

    shuffled = flow.finish(flow.drop("shuffled.csv", as_csv(header, with_shuffled_labels(rows))))
    assert shuffled.state is JobState.REJECTED
    assert "fails AUC >= 0.95" in (shuffled.reason or "")
    assert flow.answers() == second

    flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.ROLLBACK, by="ann"), "by-hand")
    assert flow.answers() == first
    live = flow.champion.live
    assert live is not None
    assert live.reason == "back to entry 1; asked for by ann"


def test_the_same_event_twice_trains_once_and_the_same_message_twice_promotes_once(flow: Flow) -> None:
    content = as_csv(flow.place.header, flow.place.rows[:400])
    job = flow.drop("twice.csv", content)
    assert flow.arrive(f"{PIPELINE}/twice.csv") == []
    job = flow.finish(job)
    assert job.state is JobState.PROMOTED

    request = Request(pipeline=PIPELINE, action=Command.PROMOTE, job=job.id)
    flow.app.flows.requests.carry_out(request, "a second delivery")
    assert flow.champion.last == 2  # what was found live, and the one promotion


def test_an_older_job_never_overwrites_a_newer_promoted_one(flow: Flow) -> None:
    header, rows = flow.place.header, flow.place.rows
    older = flow.drop("older.csv", as_csv(header, rows[:300]))
    newer = flow.drop("newer.csv", as_csv(header, rows[:500]))
    for job in (older, newer):
        wait(flow, job.id, JobState.ACCEPTED)
    flow.requests.sort(key=lambda request: request.job != newer.id)
    flow.promote()
    assert flow.job(newer.id).state is JobState.PROMOTED
    assert flow.job(older.id).state is JobState.SUPERSEDED
    assert flow.champion.live is not None
    assert flow.champion.live.job == newer.id
