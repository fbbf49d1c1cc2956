"""This version takes over where a process of the last version ended, between any two of its writes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.children import ROOT
from shared.domain.jobs import JobState
from shared.domain.rollouts import RolloutState
from shared.store.history_check import verify
from tests.support.fakes import World
from tests.support.journal import SCENARIOS, Host, Step, end, endpoints, jobs, restore, see_members

JOURNALS = ROOT / "tests" / "records" / "journals"


def journal(scenario: str) -> list[Step]:
    return [json.loads(line) for line in (JOURNALS / f"{scenario}.jsonl").read_text("utf-8").splitlines()]


def moments(steps: list[Step]) -> Iterator[tuple[int, int]]:
    """Give each moment at which the process may end: after a write, and before the next one where more was done."""
    for written in range(1, len(steps) + 1):
        yield written, written - 1
        if written < len(steps) and set(steps[written]) & {"created", "started", "endpoints", "joined", "copies"}:
            yield written, written


def continued(scenario: str, steps: list[Step], written: int, seen: int) -> Host:
    """Return the world after this version has finished what the last one began; every event comes again."""
    host = restore(scenario, steps, written, seen)
    for path in host.world.data.contents:
        host.world.flows.intake.see(path)
    if scenario == "fleet":
        see_members(host.world)
    end(host)
    return host


def check(world: World) -> None:
    """Assert that each file was trained on and promoted once, and that the last model of a whole history is live."""
    found = jobs(world)
    assert {job.state for job in found} == {JobState.PROMOTED}
    trained = [part.dataset.path for job in found for part in job.parts] or [job.dataset.path for job in found]
    assert sorted(trained) == sorted(path for path in world.data.contents if "bad" not in path)
    assert len(set(world.service.started)) == len(found)
    for pipeline in {job.pipeline for job in found}:
        champion = world.records.champions.load(pipeline)
        assert champion.change is None
        assert verify(world.records.champions.stored_history(pipeline), champion).faults == []
        assert champion.live
        for name, endpoint in endpoints(world).items():
            member, _, target = name.rpartition("/")
            if member in ("", pipeline):
                assert endpoint.serves == world.models.link(champion.live.models[target])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_upgrade_between_any_two_writes_ends_in_one_training_and_one_promotion(scenario: str) -> None:
    steps = journal(scenario)
    for written, seen in moments(steps):
        host = continued(scenario, steps, written, seen)
        check(host.world)
        if scenario == "fleet":
            stored = host.world.records.rollouts.latest("bike")
            assert stored
            assert stored.record.state is RolloutState.DONE
        if scenario == "arrival":  # the refused file is moved, once
            assert "income/bad.csv" not in host.world.data.contents
            assert [*host.world.data.copies.values()] in ([], [b"wrong\n1\n"])
        if "rollback" in host.messages:
            live = host.world.records.champions.load("income").live
            assert live
            assert live.reason == "back to entry 2; asked for by ann; wrong labels"
