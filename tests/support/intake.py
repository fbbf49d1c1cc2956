"""Steps of the tests of the intake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.checks import Checks
from tests.support.fakes import World


class Died(BaseException):
    """The process is killed at a write."""


def arriving(world: World, **facts: Any) -> None:
    """Set how the pipeline's data arrives."""
    pipeline = world.pipelines["income"]
    changed = msgspec.structs.replace(pipeline.arriving, **facts)
    world.alone["income"] = msgspec.structs.replace(pipeline, arriving=changed)


def arrivals(world: World) -> list[Arrival]:
    found = [world.records.arrivals.require(*key).record for key in world.records.arrivals.ids()]
    return sorted(found, key=lambda arrival: (arrival.seen_at, arrival.id))


def states(world: World) -> list[ArrivalState]:
    return [arrival.state for arrival in arrivals(world)]


def paths(world: World, job_id: str) -> list[str]:
    return [part.dataset.path for part in world.records.jobs.require(job_id).record.parts]


def nothing_open(world: World) -> bool:
    return not any(name.startswith("active/arrivals/") for name in world.documents.contents)


def checking(world: World, **rules: Any) -> None:
    """Set what the pipeline asks of its data."""
    pipeline = world.pipelines["income"]
    world.alone["income"] = msgspec.structs.replace(pipeline, checks=Checks(**rules))


def all_taken_up(world: World) -> list[str]:
    """Take up until nothing is open; return the jobs."""
    jobs = world.take_up()
    for _ in range(5):
        if nothing_open(world):
            break
        jobs += world.take_up()
    assert nothing_open(world)
    return jobs


def died_after(world: World, writes: int, *steps: Callable[[], Any]) -> bool:
    """Take the steps until the process dies right after that many writes; return whether it did."""
    world.documents.die_after, world.documents.death = writes, Died
    try:
        for step in steps:
            step()
    except Died:
        return True
    finally:
        world.documents.die_after = None
    return False
