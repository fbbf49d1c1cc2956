"""The history is one chain without gaps, wherever a run dies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.store.history_check import verify
from tests.support.fakes import World


def faults(world: World) -> list[str]:
    return verify(world.records.champions.stored_history("income"), world.records.champions.load("income")).faults


def rollback(world: World, message: str) -> None:
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.ROLLBACK, by="ann"), message)


def story(world: World) -> list[Callable[[], None]]:
    """Two promotions, a model that somebody else deployed, a rollback: what each message asks for."""
    jobs = [world.accepted(name) for name in ("a.csv", "b.csv", "c.csv")]

    def promote(job_id: str) -> None:
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")

    def deploy() -> None:
        stranger = world.models.link(world.models.keep(iter([b"by hand"])))
        for endpoint in world.endpoints.values():
            endpoint.named = endpoint.serves = stranger

    return [
        lambda: promote(jobs[0]),
        lambda: promote(jobs[1]),
        deploy,
        lambda: promote(jobs[2]),
        lambda: rollback(world, "back"),
    ]


def run(world: World, die_after: int) -> bool:
    """Take the story to its end, with one death; a message whose run died is delivered again."""
    died = False
    steps = story(world)
    world.documents.die_after = die_after
    for step in steps:
        try:
            step()
        except KeyboardInterrupt:
            died, world.documents.die_after = True, None
            step()
    world.documents.die_after = None
    return died


def test_wherever_a_run_dies_the_history_is_one_chain_and_its_head_is_the_champions() -> None:
    writes = 0
    while True:
        world = World()
        died = run(world, writes)
        champion, entries = world.records.champions.load("income"), list(world.records.champions.entries("income"))
        assert faults(world) == [], writes
        newest, digest = entries[-1]
        assert (newest.number, digest, newest) == (champion.last, champion.head, champion.live), writes
        said = [(entry.action.value, entry.previous) for entry, _ in entries]
        assert said == [("found", None), ("promoted", 1), ("promoted", 2), ("found", 3), ("promoted", 4),
                        ("rolled back", 3)], writes  # fmt: skip
        assert champion.change is None
        assert all(world.models.identify(each.serves) == newest.models["one"] for each in world.endpoints.values())
        if not died:
            break
        writes += 1
    assert writes > 25
    assert world.records.jobs.active() == []


def test_a_model_that_was_proven_and_then_put_back_is_in_the_history_with_what_came_after_it() -> None:
    # The run dies after it wrote the entry; until the next one comes by, the endpoints have gone back and deaf.
    for writes in range(20):
        world = World()
        job_id = world.accepted()
        request = Request(pipeline="income", action=Command.PROMOTE, job=job_id)
        world.documents.die_after = writes
        with suppress(KeyboardInterrupt):
            world.flows.requests.carry_out(request, "m")
        if "history/income/000002.json" in world.documents.contents:
            break
    world.documents.die_after = None
    former = world.records.champions.load("income").live
    assert former is not None
    for endpoint in world.endpoints.values():
        endpoint.update(world.models.link(former.models["one"]), world.clock.sleep)
        endpoint.deaf = 1
    world.flows.requests.carry_out(request, "m")
    assert world.records.jobs.require(job_id).record.state is JobState.REVERTED
    world.flows.requests.carry_out(msgspec.structs.replace(request, by="ann"), "by hand")
    entries = list(world.records.champions.entries("income"))
    assert faults(world) == []
    assert [(entry.action.value, entry.by) for entry, _ in entries] == [
        ("found", None),
        ("promoted", None),
        ("restored", None),
        ("promoted", "ann"),
    ]
    assert entries[2][0].models == former.models
