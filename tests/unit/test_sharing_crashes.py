"""A process that dies after any write or call: one model has all calls, and no deployment is left behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.base.errors import ServiceUnavailable
from shared.domain.azureml import ShareSettings
from shared.domain.jobs import JobState
from shared.domain.messages import Command
from shared.domain.services import BakeSettings
from shared.domain.values import Duration
from shared.store.history_check import verify
from tests.support.staged import StagedWorld

MINUTE = 60.0
QUICK = ShareSettings(steps=[10, 100], bake=Duration(MINUTE))


@dataclass
class DyingWorld(StagedWorld):
    """Its process dies right after the n-th write or call that changes something, once or again and again."""

    pause: float = MINUTE
    keep_former: float = 3 * MINUTE
    deaths: list[int] = field(default_factory=list)
    died: bool = False

    def arm(self) -> None:
        self.world.documents.die_after = self.deaths.pop(0) if self.deaths else None

    def drop(self, name: str) -> str:
        """Have a job of new data; what comes after that may die."""
        self.world.documents.die_after = None
        job_id = self.world.drop(name)
        self.arm()
        return job_id

    def once(self) -> None:
        before = list(self.queue)
        try:
            super().once()
        except KeyboardInterrupt:
            self.died = True
            # The poll comes again, and so do the messages that were under way.
            self.queue = [*before, *(each for each in self.queue if each not in before)]
            self.world.clock.sleep(MINUTE)
            self.arm()


def in_sharing(staged: DyingWorld) -> str:
    """Return a job that has begun to get calls, or that has ended because of a death."""
    job_id = staged.drop("a.csv")
    staged.run(lambda: staged.job(job_id).state is JobState.PROMOTING or staged.job(job_id).final)
    return job_id


def promotion(staged: DyingWorld) -> str:
    job_id = staged.drop("a.csv")
    staged.run(staged.settled)
    assert staged.job(job_id).state is JobState.PROMOTED
    return staged.content(job_id)


def rollback_during_sharing(staged: DyingWorld) -> str:
    job_id = in_sharing(staged)
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(staged.settled)
    assert staged.job(job_id).state is JobState.REVERTED
    assert (staged.outcome("m1") or "").startswith("done: the change is ended")
    return "first.ilearner"


def bad_model(staged: DyingWorld) -> str:
    job_id = in_sharing(staged)
    staged.endpoint("two").broken.add(staged.content(job_id))
    staged.run(staged.settled)
    assert staged.job(job_id).state is JobState.REVERTED
    return "first.ilearner"


def cancelled(staged: DyingWorld) -> str:
    for endpoint in staged.both:
        endpoint.pending = 2
    job_id = staged.drop("a.csv")
    staged.run(lambda: staged.job(job_id).stage or staged.job(job_id).final)
    staged.send(Command.CANCEL, "m1", by="ann", job=job_id)
    staged.run(staged.settled)
    assert staged.job(job_id).state is JobState.CANCELLED
    return "first.ilearner"


def rollback_to_a_model_that_is_not_deployed(staged: DyingWorld) -> str:
    staged.promoted("a.csv")
    staged.run(staged.settled)
    staged.arm()
    staged.send(Command.ROLLBACK, "m1", by="ann")
    staged.run(staged.settled)
    assert (staged.outcome("m1") or "").startswith("done: entry 3")
    return "first.ilearner"


def another_model_during_sharing(staged: DyingWorld) -> str:
    staged.promoted("z.csv")
    staged.run(staged.settled)
    in_sharing(staged)
    staged.send(Command.ROLLBACK, "m1", by="ann", to=1)
    staged.run(staged.settled)
    assert (staged.outcome("m1") or "").startswith("done: entry 3")
    return "first.ilearner"


def calls_that_somebody_took(staged: DyingWorld) -> str:
    job_id = staged.promoted("z.csv")
    staged.run(staged.settled)
    staged.endpoint().put_by_others({"green": 70, staged.sha256(job_id): 30})
    staged.arm()
    staged.send(Command.ROLLBACK, "m1", by="ann", to=2)
    staged.run(staged.settled)
    assert staged.outcome("m1") == "done: entry 3 of the history"
    assert staged.champion.last == 3
    del staged.endpoint().deployments["green"]
    return staged.content(job_id)


STORIES = [
    promotion,
    rollback_during_sharing,
    bad_model,
    cancelled,
    rollback_to_a_model_that_is_not_deployed,
    another_model_during_sharing,
    calls_that_somebody_took,
]


def whole(staged: StagedWorld) -> bool:
    records = staged.world.records.champions
    return verify(records.stored_history("income"), staged.champion).whole


@pytest.mark.parametrize("story", STORIES)
def test_wherever_the_process_dies_the_right_model_has_all_calls_and_nothing_is_left_behind(
    story: Callable[[DyingWorld], str],
) -> None:
    for died_after in range(1000):
        staged = DyingWorld(share=QUICK, deaths=[died_after])
        try:
            right = story(staged)
            staged.world.documents.die_after = None
            staged.check()
            assert whole(staged)
            assert staged.shares() == {right: 100}
        except AssertionError as error:
            raise AssertionError(f"died after write {died_after}") from error
        if not staged.died:
            break
    assert 5 < died_after < 999


def misbehave(staged: DyingWorld, chance: random.Random) -> None:
    """Have one thing go wrong at one endpoint."""
    endpoint = chance.choice(staged.both)
    match chance.randrange(8):
        case 0:
            endpoint.lose.append(chance.choice(["stage", "share", "drop"]))
        case 1:
            call = chance.choice(["stage", "shares", "share", "drop", "model"])
            endpoint.errors.setdefault(call, []).append(ServiceUnavailable(f"{call} answered 503"))
        case 2:
            endpoint.late_shares = chance.randrange(4)
        case 3:
            endpoint.deaf = chance.randrange(3)
        case 4:
            endpoint.pending = chance.randrange(4)
        case 5:
            endpoint.fails.append(ServiceUnavailable("POST score answered 503"))
        case 6:
            newest = chance.choice(sorted(endpoint.contents()))
            endpoint.slow_models[newest] = 4.0
        case 7:
            change = staged.champion.change
            if change and change.traffic and change.traffic.former:
                endpoint.put_by_others({"blue": 100} if "blue" in endpoint.deployments else dict(endpoint.of))


def ask(staged: DyingWorld, chance: random.Random, number: int) -> None:
    """Have a person ask for something that may be possible."""
    ids = staged.world.records.jobs.ids("income")
    live = staged.champion.live
    facts: dict[str, object] = {"by": "ann"}
    action = chance.choice([Command.ROLLBACK, Command.ROLLBACK, Command.PROMOTE, Command.CANCEL])
    if action is not Command.ROLLBACK:
        facts["job"] = chance.choice(ids)
    elif live and chance.random() < 0.5:
        facts["to"] = chance.randint(1, live.number)
    for _ in range(chance.choice([1, 1, 2])):
        staged.send(action, f"asked-{number}", **facts)


@pytest.mark.parametrize("seed", range(30))
def test_in_any_story_one_model_has_all_calls_in_the_end_and_none_was_served_unproven(seed: int) -> None:
    chance = random.Random(seed)
    bake = BakeSettings(time=Duration(4 * MINUTE)) if chance.random() < 0.5 else None
    staged = DyingWorld(share=QUICK, bake=bake, deaths=[])
    staged.drop("0.csv")
    for number in range(1, 40):
        staged.world.documents.die_after = None
        match chance.randrange(6):
            case 0:
                staged.world.drop(f"{number}.csv")
            case 1 | 2:
                misbehave(staged, chance)
            case 3:
                ask(staged, chance, number)
        staged.deaths = [chance.randrange(12)] if chance.random() < 0.3 else []
        staged.arm()
        for _ in range(chance.randrange(6)):
            staged.once()
    staged.world.documents.die_after = None
    staged.deaths.clear()
    for endpoint in staged.both:
        endpoint.heal()
    staged.run(staged.settled)
    staged.check()
    assert whole(staged)
    # Foreign shares of the calls may leave a third deployment for a while; nothing else does.
    assert max(endpoint.most for endpoint in staged.both) <= 3
