"""A job's record: which steps it may take, and what makes two jobs one."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from shared.base.errors import BadMessage, IllegalTransition
from shared.base.retry import LONGEST, delay
from shared.domain.jobs import FINAL, NEXT, BatchFile, Dataset, JobState, job_id, received
from shared.domain.messages import Command, Request, read_request, write_request

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DATA = [BatchFile(dataset=Dataset(path="income/a.csv", etag="0x1", modified=NOW, size=10), sha256="00")]


def test_the_same_version_of_a_blob_gives_the_same_job_and_another_version_another() -> None:
    other = [BatchFile(dataset=Dataset(path="income/a.csv", etag="0x2", modified=NOW, size=10), sha256="00")]
    assert job_id("income", DATA) == job_id("income", DATA)
    assert len({job_id("income", DATA), job_id("income", other), job_id("bike", DATA)}) == 3


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_a_job_takes_only_the_steps_of_the_table(before: JobState, after: JobState) -> None:
    import msgspec

    job = msgspec.structs.replace(received("income", DATA, NOW), state=before)
    if after in NEXT.get(before, ()):
        assert job.move_to(after, NOW).state is after
    else:
        with pytest.raises(IllegalTransition, match=f"is {before.value} and cannot become {after.value}"):
            job.move_to(after, NOW)


def test_every_state_is_reached_and_from_every_state_an_end() -> None:
    def reached_from(state: JobState) -> set[JobState]:
        reached = {state}
        for _ in JobState:
            reached |= {after for before in reached for after in NEXT.get(before, ())}
        return reached

    assert reached_from(JobState.RECEIVED) == set(JobState)
    assert all(reached_from(state) & FINAL for state in JobState)
    assert FINAL


def test_the_same_error_again_makes_no_new_step() -> None:
    job = received("income", DATA, NOW)
    once = job.waiting(NOW, NOW, "no answer")
    twice = once.waiting(NOW + timedelta(seconds=5), NOW, "no answer")
    assert (once.attempts, twice.attempts) == (1, 2)
    assert len(twice.steps) == len(once.steps) == 2


def test_waiting_grows_and_is_bounded() -> None:
    waits = [delay(attempt) for attempt in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "is not a promotion message"),
        (
            b'{"pipeline": "income", "action": "explode"}',
            "the actions are: promote, rollback, resume, ",
        ),
        (b'{"pipeline": "income", "action": "promote"}', 'needs the "job"'),
        (b'{"pipeline": "income", "action": "rollback", "job": "x"}', 'takes no "job"'),
        (b'{"pipeline": "income", "action": "rollback", "url": "https://evil.example"}', "url"),
        (b'{"pipeline": "income", "action": "promote", "job": "../../training-data/x"}', "is not a job's id, such as"),
        (b'{"pipeline": "income", "action": "promote", "job": "income/x?sig="}', "is not a job's id, such as"),
        (b"\xff", "is not a promotion message"),
    ],
)
def test_a_message_that_asks_for_nothing_known_says_so_and_shows_an_example(body: bytes, said: str) -> None:
    with pytest.raises(BadMessage, match=said):
        read_request(body)


def test_the_id_of_every_job_may_be_asked_for() -> None:
    longest = job_id("a" * 63, DATA)
    assert (
        read_request(write_request(Request(pipeline="a", action=Command.PROMOTE, job=longest)).encode()).job == longest
    )


def test_what_is_written_to_the_queue_is_what_is_read_from_it() -> None:
    request = read_request(b'{"pipeline": "income", "action": "rollback", "by": "ann"}')
    assert read_request(write_request(request).encode()) == request
    assert request.action is Command.ROLLBACK
