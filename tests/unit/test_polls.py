"""The record of the last poll, and what people are shown of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.cli.status import GRACE, poll_text
from shared.domain.arrivals import Arrival, arrival_id
from shared.domain.jobs import Dataset
from shared.store.arrivals import ArrivalRecords
from shared.store.polls import EVERY, PollRecords
from tests.support.fake_storage import START
from tests.support.fakes import FakeDocuments

SECOND = timedelta(seconds=1)


def test_polls_every_few_seconds_write_once_in_five_minutes() -> None:
    documents = FakeDocuments()
    record = PollRecords(documents)
    for number in range(1200):
        record.note(START + number * SECOND)
    assert documents.versions["polls/last.json"] == 1200 * SECOND / EVERY
    assert record.last() == START + 900 * SECOND


def test_another_process_notes_its_poll_over_the_same_record() -> None:
    documents = FakeDocuments()
    PollRecords(documents).note(START)
    PollRecords(documents).note(START + SECOND)
    assert PollRecords(documents).last() == START + SECOND


@pytest.mark.parametrize(
    ("schedule", "after", "alive"),
    [
        ("*/15 * * * * *", EVERY, True),
        ("*/15 * * * * *", EVERY + GRACE + timedelta(minutes=1), False),
        ("0 0 * * * *", timedelta(minutes=59), True),
        ("0 0 * * * *", timedelta(minutes=80), False),
        (None, EVERY, True),
        ("often", timedelta(hours=1), False),
    ],
)
def test_an_app_is_alive_while_its_next_poll_is_due(schedule: str | None, after: timedelta, alive: bool) -> None:
    text = poll_text(START, schedule, START + after)
    assert text.startswith("the app polls" if alive else "THE APP DOES NOT POLL")


def test_an_app_that_never_polled_is_said_to_have_not() -> None:
    assert "has not polled yet" in poll_text(None, None, START)


def test_the_newest_data_is_found_without_a_list_of_all_that_ever_came() -> None:
    listed: list[str] = []

    class Listing(FakeDocuments):
        def names(self, prefix: str) -> Iterator[str]:
            listed.append(prefix)
            return super().names(prefix)

    arrivals = ArrivalRecords(Listing())
    for month in (1, 10, 11):
        at = START.replace(month=month, day=2)
        dataset = Dataset(path=f"{month}.csv", etag="0x1", modified=at, size=1)
        arrivals.announce(Arrival(id=arrival_id(dataset), pipeline="income", dataset=dataset, seen_at=at, at=at))
    newest = arrivals.newest("income", START)
    assert newest is not None
    assert newest.dataset.path == "11.csv"
    looked_up = ["arrivals/income/20261124", "arrivals/income/202611"]
    assert [each for each in listed if not each.startswith("active/")] == looked_up
    assert [each for each in listed if each.startswith("active/")] == [f"active/{each}" for each in looked_up]
    assert arrivals.newest("bike", START) is None
