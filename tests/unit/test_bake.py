"""What was promoted is looked at for the bake time: what rolls it back, what does not, and what the record says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from shared.base.errors import AccessRefused, RetrainingError, ServiceUnavailable
from shared.domain.bake import ASKS, LATEST
from shared.domain.champions import Action, LateWrite
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.services import BakeSettings
from shared.domain.values import Duration
from shared.store.history_check import verify
from tests.support.fakes import World

MINUTES = 60.0
BAKE = BakeSettings(time=Duration(10 * MINUTES), slower=5.0, failures=3)


@pytest.fixture
def world() -> World:
    world = World()
    bake(world, BAKE)
    return world


def bake(world: World, baked: BakeSettings | None) -> None:
    world.alone["income"] = msgspec.structs.replace(world.pipelines["income"], bake=baked)


def promoted(world: World, name: str = "a.csv") -> str:
    job_id = world.accepted(name)
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), f"m-{name}")
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED
    return job_id


def looks(world: World, count: int) -> list[Request]:
    """Poll that often, 15 seconds apart; return what was asked for."""
    asked = []
    for _ in range(count):
        world.clock.sleep(15)
        asked += world.flows.bake.poll()
    return asked


def served(world: World) -> set[str]:
    """Return the contents of the models that answer."""
    return {world.models.kept[model.sha256].decode() if (model := world.models.identify(endpoint.serves)) else "?"
            for endpoint in world.endpoints.values()}  # fmt: skip


def notes(world: World, job_id: str) -> list[str]:
    return [step.note for step in world.records.jobs.require(job_id).record.steps]


def test_a_model_that_stays_well_passes_its_bake_and_the_job_says_so(world: World) -> None:
    job_id = promoted(world)
    assert looks(world, 39) == []
    assert world.records.marks().watches == ["income"]
    assert looks(world, 5) == []
    assert world.records.marks().watches == []
    assert notes(world, job_id)[-1] == "the bake of entry 2 is passed: all is well after 40 looks"


def errors(world: World) -> None:
    world.endpoints["two"].fails = [ServiceUnavailable("two answered 503")] * BAKE.failures


def test_trouble_at_the_end_of_the_bake_is_looked_at_until_it_is_clear(world: World) -> None:
    promoted(world)
    looks(world, 38)
    errors(world)
    [request] = looks(world, 4)
    assert request.action is Command.ROLLBACK


def other_answers(world: World) -> None:
    world.endpoints["two"].serves = world.models.link(world.models.keep(iter([b"something else"])))


def slowness(world: World) -> None:
    world.endpoints["one"].slow = 0.6


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (errors, "3 looks in a row failed, the last because two answered 503"),
        (other_answers, "the answers of two to the kept rows are not those of the model any more"),
        (slowness, "it answers 6.0 times as slowly as before, at the median of 5 looks"),
    ],
)
def test_a_regression_rolls_back_and_the_history_says_why(
    world: World, trouble: Callable[[World], None], why: str
) -> None:
    job_id = promoted(world)
    assert looks(world, 5) == []
    trouble(world)
    [request] = looks(world, LATEST)
    assert (request.action, request.by, request.live) == (Command.ROLLBACK, "the bake", 2)
    world.flows.requests.carry_out(request, "m")
    entry = world.records.champions.load("income").live
    assert entry is not None
    assert (entry.action, entry.number, entry.by) == (Action.ROLLED_BACK, 3, "the bake")
    assert why in entry.reason
    assert served(world) == {"first.ilearner"}
    assert any(why in note for note in notes(world, job_id))
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED


def test_what_was_rolled_back_is_not_promoted_again_nor_rolled_back_further(world: World) -> None:
    promoted(world)
    second = promoted(world, "b.csv")
    first = served(world)
    slowness(world)
    [request] = looks(world, LATEST)
    world.flows.requests.carry_out(request, "m")
    assert served(world) != first
    errors(world)
    assert looks(world, 50) == []
    assert world.flows.training.poll() == []
    assert world.records.marks().watches == []
    assert world.records.champions.load("income").last == 4
    assert not any("passed" in note for note in notes(world, second))


@pytest.mark.parametrize(
    "error", [ServiceUnavailable("503"), AccessRefused("401; check the key")], ids=["unavailable", "refused"]
)
def test_a_few_errors_are_not_a_regression(world: World, error: RetrainingError) -> None:
    promoted(world)
    for _ in range(3):
        world.endpoints["one"].fails = [error] * (BAKE.failures - 1)
        assert looks(world, 4) == []


def test_a_fast_endpoint_may_become_many_times_slower_and_one_slow_answer_is_ignored(world: World) -> None:
    for endpoint in world.endpoints.values():
        endpoint.slow = 0.002
    promoted(world)
    world.endpoints["one"].slow = 0.1  # fifty times
    assert looks(world, LATEST) == []
    world.endpoints["one"].slow = 20.0
    assert looks(world, 2) == []
    world.endpoints["one"].slow = 0.002
    assert looks(world, 60) == []
    assert world.records.marks().watches == []


def test_a_definition_that_cannot_be_read_says_nothing_about_the_model(world: World) -> None:
    promoted(world)
    named = world.endpoints["one"].model

    def unreadable() -> None:
        raise ServiceUnavailable("GET answered 503")

    world.endpoints["one"].model = unreadable  # type: ignore[assignment]
    assert looks(world, 10) == []
    world.endpoints["one"].model = named  # type: ignore[method-assign]
    assert looks(world, 40) == []
    assert world.records.marks().watches == []


def test_a_rollback_whose_message_is_lost_is_asked_for_again_after_a_while(world: World) -> None:
    promoted(world)
    slowness(world)
    assert len(looks(world, LATEST)) == 1
    assert looks(world, 7) == []
    assert len(looks(world, 2)) == 1


def test_a_rollback_that_cannot_be_proven_is_given_up_and_the_job_says_so(world: World) -> None:
    job_id = promoted(world)
    slowness(world)
    asked = 0
    for _ in range(500):
        for request in looks(world, 1):
            asked += 1
            world.endpoints["two"].deaf = 1
            world.flows.requests.carry_out(request, f"m{asked}")
            assert world.records.champions.load("income").last == 2
    assert asked == ASKS
    assert f"asked {ASKS} times for a rollback, and entry 2 is still live" in notes(world, job_id)[-1]


def test_a_deployment_of_somebody_else_ends_the_bake_and_is_left_alone(world: World) -> None:
    job_id = promoted(world)
    other_answers(world)
    world.endpoints["two"].named = world.endpoints["two"].serves
    assert looks(world, 5) == []
    assert world.records.marks().watches == []
    assert notes(world, job_id)[-1] == "somebody else deployed a model on two, which ends the bake of entry 2"


def test_another_promotion_takes_the_watch_over(world: World) -> None:
    first, second = promoted(world), promoted(world, "b.csv")
    looks(world, 60)
    assert "the bake of entry 3 is passed" in notes(world, second)[-1]
    assert not any("bake" in note for note in notes(world, first))


def test_nothing_is_looked_at_while_a_change_is_under_way(world: World) -> None:
    promoted(world)
    job_id = world.accepted("b.csv")
    world.documents.die_after = 4
    with pytest.raises(KeyboardInterrupt):
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")
    world.documents.die_after = None
    assert world.records.champions.load("income").change is not None
    errors(world)
    other_answers(world)
    assert looks(world, 10) == []
    assert world.endpoints["two"].fails
    assert world.records.marks().watches == ["income"]


def late_write(world: World) -> None:
    """Have a run that was overtaken after the former entry write its model to one endpoint."""
    former = world.records.champions.entry("income", 1)
    assert former is not None
    model = former.models["two"]
    with world.records.champions.hold(world.records.champions.look("income"), world.clock.now) as held:
        late_write = LateWrite(sha256=model.sha256, until=world.clock.now() + timedelta(hours=1))
        held.save(held.champion.replace(late_writes=(late_write,)))
    world.endpoints["two"].update(world.models.link(model), world.clock.sleep)


def test_what_a_run_wrote_late_is_repaired_and_the_bake_goes_on(world: World) -> None:
    job_id = promoted(world)
    right = served(world)
    late_write(world)
    requests = looks(world, 4)
    assert [request.action for request in requests] == [Command.RESUME]
    world.flows.requests.carry_out(requests[0], "m")
    assert served(world) == right
    live = world.records.champions.load("income").live
    assert live is not None
    assert live.action is Action.REVERTED
    slowness(world)
    [request] = looks(world, LATEST)
    assert request.live == live.number
    world.flows.requests.carry_out(request, "m2")
    assert served(world) == {"first.ilearner"}
    assert any("asks for a rollback" in note for note in notes(world, job_id))


def test_without_a_bake_only_late_writes_are_looked_for(world: World) -> None:
    bake(world, None)
    job_id = world.accepted()
    with world.records.champions.hold(world.records.champions.look("income"), world.clock.now) as held:
        late_write = LateWrite(sha256="0" * 64, until=world.clock.now() + timedelta(hours=1))
        held.save(held.champion.replace(late_writes=(late_write,)))
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")
    assert world.records.marks().watches == ["income"]
    errors(world)
    assert looks(world, 4 * 60 + 1) == []
    assert world.endpoints["two"].fails  # nothing was scored
    assert world.records.marks().watches == []
    assert not any("bake" in note for note in notes(world, job_id))


def test_a_pipeline_that_left_the_file_is_not_watched(world: World) -> None:
    promoted(world)
    world.alone.clear()
    assert looks(world, 1) == []
    assert world.records.marks().watches == []


def test_a_look_that_a_promotion_overtakes_does_not_end_the_new_watch(world: World) -> None:
    promoted(world)
    named = world.endpoints["one"].model

    def overtaken() -> object:
        world.endpoints["one"].model = named  # type: ignore[method-assign]
        promoted(world, "b.csv")
        return named()

    world.endpoints["one"].model = overtaken  # type: ignore[assignment,method-assign]
    assert looks(world, 1) == []
    stored = world.records.watches.load("income")
    assert stored is not None
    assert (stored.record.entry, stored.record.looks) == (3, 0)


def test_wherever_a_run_of_the_bake_dies_the_former_model_comes_back_once_and_the_history_is_whole() -> None:
    for writes in range(100):
        world = World()
        bake(world, BAKE)
        job_id = promoted(world)
        # Every look fails until a rollback comes; it is answered, so that it can be proven.
        world.endpoints["two"].fails = [ServiceUnavailable("two answered 503")] * 1000
        world.documents.die_after = writes
        died = False
        deliverable: list[Request] = []
        for number in range(60):
            champion = world.records.champions.load("income")
            if not deliverable and champion.last > 2 and champion.change is None:
                break  # what a run that died may still write is watched for longer
            try:
                deliverable += looks(world, 1)  # what a poll asked for and died is lost
                for request in list(deliverable):
                    world.endpoints["two"].fails.clear()
                    world.flows.requests.carry_out(request, f"m{request.live}")
                    deliverable.remove(request)
            except KeyboardInterrupt:
                died, world.documents.die_after = True, None
                world.clock.sleep(2 * MINUTES)
            assert number < 59, writes
        world.documents.die_after = None
        entries = list(world.records.champions.entries("income"))
        assert [entry.action.value for entry, _ in entries] == ["found", "promoted", "rolled back"], writes
        assert entries[-1][0].by == "the bake"
        assert verify(world.records.champions.stored_history("income"), world.records.champions.load("income")).whole, (
            writes
        )
        assert entries[-1][0].models == entries[0][0].models
        assert served(world) == {world.models.kept[each.sha256].decode() for each in entries[0][0].models.values()}
        assert world.records.champions.load("income").change is None
        assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED
        if not died:
            break
    assert 8 < writes < 99


def test_the_timers_poll_looks_at_what_is_baked(world: World) -> None:
    promoted(world)
    for endpoint in world.endpoints.values():
        endpoint.fails = [ServiceUnavailable("503")] * 10
    asked = []
    for _ in range(BAKE.failures):
        world.clock.sleep(15)
        asked += world.flows.poll()
    assert [request.action for request in asked] == [Command.ROLLBACK]
