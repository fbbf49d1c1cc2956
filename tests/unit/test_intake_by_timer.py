"""The timer that takes data up: what is lost, doubled or killed, and jobs that it starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.base.errors import ServiceUnavailable
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.flows.batches import CLAIMED
from tests.support.fakes import World
from tests.support.intake import (
    Died,
    arriving,
    nothing_open,
    states,
)
from tests.support.waiting import until


@pytest.fixture
def world() -> World:
    return World()


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(0, 5), st.integers(0, 3), st.booleans()),
        st.tuples(st.sampled_from(["take up", "sweep", "wait"]), st.just(0), st.just(0), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(EVENTS, st.lists(st.integers(0, 60), max_size=6))
def test_whatever_is_lost_doubled_or_killed_every_content_is_trained_on_exactly_once(
    events: list[tuple[str, int, int, bool]], deaths: list[int]
) -> None:
    """Files are dropped with and without events; the process dies at some writes; sweeps and polls take it up."""
    world = World()
    arriving(world, jobs=100, batch="quiet", quiet=5.0, at_most=20.0)
    final: dict[str, bytes] = {}

    def alive(step: Any) -> None:
        try:
            step()
        except Died:
            world.documents.die_after = deaths.pop() if deaths else None

    world.documents.die_after = deaths.pop() if deaths else None
    world.documents.death = Died
    for event, name, content, sent in events:
        if event == "drop":
            # A name is written once: what an overwrite means is another rule.
            if f"income/{name}.csv" not in final:
                final[world.put(f"{name}.csv", f"age\n{content}\n".encode())] = f"{content}".encode()
            if sent:
                alive(lambda name=name: world.flows.intake.see(f"income/{name}.csv"))
        elif event == "take up":
            alive(world.take_up)
        elif event == "sweep":
            alive(lambda: world.flows.intake.sweep("training-data"))
        else:
            world.clock.sleep(7)
    world.documents.die_after = None
    world.flows.intake.sweep("training-data")
    for _ in range(8):
        world.clock.sleep(7)
        world.take_up()
    assert nothing_open(world)
    trained = [row for rows in _trained(world) for row in rows]
    assert sorted(trained) == sorted(set(final.values()))


def _trained(world: World) -> Iterator[list[bytes]]:
    """Yield the rows of each job that there is."""
    for job_id in world.records.jobs.ids():
        job = world.records.jobs.require(job_id).record
        yield [world.data.contents[part.dataset.path].split()[1] for part in job.parts]


def test_a_clock_that_stands_still_closes_no_batch(world: World) -> None:
    arriving(world, batch="quiet", quiet=60.0)
    world.flows.intake.see(world.put("a.csv"))
    for _ in range(3):
        assert world.take_up() == []
    world.clock.time += timedelta(seconds=61)
    assert len(world.take_up()) == 1


def test_the_timer_starts_the_job_of_a_batch_that_it_closes(world: World) -> None:
    world.flows.intake.see(world.put("a.csv"))
    world.flows.take_up()
    [job_id] = world.records.jobs.active()
    assert (world.service.started, world.records.jobs.require(job_id).record.bes_job) == (["bes-1"], "bes-1")
    assert states(world) == [ArrivalState.TAKEN]


def test_a_timer_without_time_leaves_the_start_of_a_job_to_the_poll(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.flows.START_SECONDS", -1.0)
    world.flows.intake.see(world.put("a.csv"))
    world.flows.take_up()
    assert world.service.started == []
    world.clock.sleep(CLAIMED.total_seconds())
    world.flows.training.poll()
    assert world.service.started == ["bes-1"]


@pytest.mark.parametrize("write", range(1, 12))
def test_a_timer_that_dies_anywhere_leaves_data_that_is_trained_on_once(world: World, write: int) -> None:
    world.flows.intake.see(world.put("a.csv"))
    world.documents.die_after = write
    with contextlib.suppress(KeyboardInterrupt):
        world.flows.take_up()
    world.documents.die_after = None
    world.clock.sleep(CLAIMED.total_seconds())
    world.flows.take_up()
    world.clock.sleep(CLAIMED.total_seconds())
    for _ in range(2):  # the first may only start it
        world.flows.training.poll()
    [job_id] = world.records.jobs.ids()
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.ACCEPTED
    assert world.service.started == [job.bes_job]
    assert states(world) == [ArrivalState.TAKEN]


def test_a_job_whose_mark_was_not_written_while_it_was_started_gets_it_from_the_next_timer(world: World) -> None:
    create = world.documents.create

    def without_marks(name: str, content: bytes, *, shown: bool = False) -> str | None:
        if name.startswith("active/jobs/"):
            until(lambda: world.service.started, "the start of its job")
            raise ServiceUnavailable("storage did not answer")
        return create(name, content, shown=shown)

    world.flows.intake.see(world.put("a.csv"))
    world.documents.create = without_marks  # type: ignore[method-assign]
    world.flows.take_up()
    assert (world.service.started, world.records.jobs.active()) == (["bes-1"], [])
    world.documents.create = create  # type: ignore[method-assign]
    world.flows.take_up()
    world.flows.training.poll()
    [job_id] = world.records.jobs.ids()
    assert (world.records.jobs.require(job_id).record.state, world.service.started) == (JobState.ACCEPTED, ["bes-1"])
