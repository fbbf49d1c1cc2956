"""Refused data: set aside or moved, replayed, and put back once, wherever the process dies."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import msgspec
import pytest

from shared.base.errors import Busy, DataChanged
from shared.domain.arrivals import ArrivalState
from shared.domain.checks import Checks
from tests.support.fakes import World
from tests.support.intake import (
    all_taken_up,
    arrivals,
    arriving,
    checking,
    died_after,
    nothing_open,
    paths,
    states,
)


@pytest.fixture
def world() -> World:
    return World()


BROKEN = b"age\n1,2\n"


def test_the_original_of_refused_data_stays_or_moves_by_configuration(world: World) -> None:
    for refused in ("stay", "move"):
        arriving(world, refused=refused)
        world.flows.intake.see(world.put(f"{refused}.csv", BROKEN))
        all_taken_up(world)
    assert set(world.data.contents) == {"income/stay.csv"}
    stayed, moved = arrivals(world)
    assert (stayed.moved, moved.moved) == (None, f"quarantine/income/{moved.id}/move.csv")
    assert world.data.copies[f"income/{moved.id}"] == BROKEN
    assert moved.reason


def test_a_version_uploaded_while_the_old_one_is_moved_survives_and_is_taken_up(world: World) -> None:
    arriving(world, refused="move")
    path = world.put("a.csv", BROKEN)
    copy = world.data.set_aside

    def slow(*arguments: Any, **options: Any) -> str:
        place = copy(*arguments, **options)
        world.put("a.csv", b"age\n7\n")
        return place

    world.data.set_aside = slow  # type: ignore[method-assign]
    world.flows.intake.see(path)
    world.take_up()
    world.flows.intake.see(path)
    assert len(world.take_up()) == 1
    assert world.data.contents[path] == b"age\n7\n"
    assert states(world) == [ArrivalState.QUARANTINED, ArrivalState.TAKEN]


def test_a_move_is_finished_wherever_the_process_dies_and_loses_nothing() -> None:
    for writes in itertools.count():
        world = World()
        arriving(world, refused="move")
        path = world.put("a.csv", BROKEN)
        see = functools.partial(world.flows.intake.see, path)
        died = died_after(world, writes, see, world.take_up, world.take_up)
        assert BROKEN in (*world.data.contents.values(), *world.data.copies.values())
        world.flows.intake.sweep("training-data")
        all_taken_up(world)
        [arrival] = arrivals(world)
        assert arrival.state is ArrivalState.QUARANTINED
        assert (world.data.contents, world.data.copies) == ({}, {f"income/{arrival.id}": BROKEN})
        assert nothing_open(world)
        if not died:
            break
    assert writes > 6


def test_events_and_sweeps_of_what_was_moved_say_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    arriving(world, refused="move")
    path = world.put("a.csv", BROKEN)
    world.flows.intake.see(path)
    all_taken_up(world)
    caplog.clear()
    assert world.flows.intake.see(path) == []
    assert world.flows.intake.sweep("training-data") == 0
    assert world.take_up() == []
    assert caplog.records == []


def test_what_another_pipeline_takes_too_or_a_job_may_have_been_made_of_is_not_moved(world: World) -> None:
    arriving(world, refused="move")
    taken = world.drop("a.csv", b"age\n1\n")
    checking(world, rows_at_least=2)
    world.flows.intake.replay("income", "income/a.csv", "m1")
    world.take_up()
    world.alone["wages"] = msgspec.structs.replace(world.pipelines["income"], name="wages", checks=Checks())
    world.flows.intake.see(world.put("b.csv", b"age\n3\n"))
    world.take_up()
    assert paths(world, taken) == ["income/a.csv"]
    assert states(world).count(ArrivalState.QUARANTINED) == 2
    assert set(world.data.contents) == {"income/a.csv", "income/b.csv"}


def moved_with_its_rule_corrected(world: World) -> str:
    arriving(world, refused="move")
    checking(world, rows_at_least=2)
    path = world.put("a.csv", b"age\n1\n")
    world.flows.intake.see(path)
    all_taken_up(world)
    assert world.data.contents == {}
    checking(world)
    return path


def test_a_replay_puts_back_what_was_moved_and_takes_it_up_once_however_often_it_is_delivered(world: World) -> None:
    path = moved_with_its_rule_corrected(world)
    again = [world.flows.intake.replay("income", path, "m1") for _ in range(2)]
    world.flows.intake.see(path)  # the copy has its event too
    [job_id] = world.take_up()
    again.append(world.flows.intake.replay("income", path, "m1"))
    assert {arrival.id for arrival in again} == {arrivals(world)[-1].id}
    assert arrivals(world)[-1].replay == "m1"
    assert world.take_up() == []
    assert paths(world, job_id) == [path]
    world.flows.intake.replay("income", path, "m2")  # another request trains once more on what is there now
    assert len(world.take_up()) == 1
    del world.data.contents[path]
    assert world.flows.intake.replay("income", path, "m1").id == again[0].id
    assert world.data.contents == {}


def test_what_is_refused_again_after_a_replay_moves_again_and_only_another_request_puts_it_back(world: World) -> None:
    path = moved_with_its_rule_corrected(world)
    checking(world, rows_at_least=3)
    for request, moves in (("m1", 2), ("m1", 2), ("m2", 3)):
        world.flows.intake.replay("income", path, request)
        all_taken_up(world)
        assert states(world) == [ArrivalState.QUARANTINED] * moves
    assert world.data.contents == {}


@pytest.mark.parametrize("corrected", [True, False])
def test_a_replay_of_what_was_moved_takes_it_up_once_wherever_the_process_dies(corrected: bool) -> None:
    for writes in itertools.count():
        world = World()
        path = moved_with_its_rule_corrected(world)
        if not corrected:
            checking(world, rows_at_least=2)
        died = died_after(world, writes, functools.partial(world.flows.intake.replay, "income", path, "m1"))
        world.flows.intake.sweep("training-data")  # or its event: the copy may be taken up before the message
        jobs = all_taken_up(world)
        for _ in range(2):
            world.flows.intake.replay("income", path, "m1")
            jobs += all_taken_up(world)
        assert len(jobs) == corrected
        assert len(arrivals(world)) == 2
        assert nothing_open(world)
        if not died:
            break
    assert writes >= 4


def test_a_replay_says_so_when_something_newer_is_at_the_path(world: World) -> None:
    path = moved_with_its_rule_corrected(world)
    world.put("a.csv", b"age\n2\n")
    for _ in range(2):
        with pytest.raises(DataChanged, match=f"Something newer is at {path}, .*quarantine/income/.*/a.csv"):
            world.flows.intake.replay("income", path, "m1")
        world.flows.intake.see(path)
    [job_id] = world.take_up()
    world.flows.intake.replay("income", path, "m2")  # what is there was taken up, so it is what a replay means now
    [again] = world.take_up()
    assert paths(world, again) == paths(world, job_id)
    assert world.data.contents[path] == b"age\n2\n"


def test_a_replay_of_what_is_on_its_way_to_quarantine_is_to_be_asked_again(world: World) -> None:
    arriving(world, refused="move")
    path = world.put("a.csv", BROKEN)
    world.flows.intake.see(path)
    world.take_up()
    assert states(world) == [ArrivalState.MOVING]
    with pytest.raises(Busy, match="is being moved into quarantine"):
        world.flows.intake.replay("income", path, "m1")
