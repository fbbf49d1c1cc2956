"""From a dropped blob to a job: what is taken up, when, with what, and what becomes of the rest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.base.errors import BadMessage, ServiceUnavailable
from shared.domain.arrivals import CHECK_LASTS, CHECKS_AT_MOST, ArrivalState
from shared.domain.checks import Checks, Report, check
from shared.domain.jobs import Dataset
from tests.support.fakes import World
from tests.support.intake import (
    Died,
    arrivals,
    arriving,
    nothing_open,
    paths,
    states,
)


@pytest.fixture
def world() -> World:
    return World()


def test_the_same_content_under_another_name_or_etag_trains_once_and_the_skip_names_the_job(world: World) -> None:
    job_id = world.drop("a.csv", b"age\n1\n")
    for name in ("b.csv", "a.csv"):
        world.flows.intake.see(world.put(name, b"age\n1\n"))
    assert world.take_up() == []
    assert states(world) == [ArrivalState.TAKEN, ArrivalState.SAME, ArrivalState.SAME]
    assert [arrival.job for arrival in arrivals(world)] == [job_id] * 3
    assert arrivals(world)[1].reason == f"income/a.csv had the same content; it is in job {job_id}"
    assert world.service.created == ["bes-1"]
    assert nothing_open(world)


def test_content_that_was_refused_before_is_checked_again(world: World) -> None:
    world.flows.intake.see(world.put("a.csv", b"age\n1,2\n"))
    world.take_up()
    world.flows.intake.see(world.put("b.csv", b"age\n1,2\n"))
    world.take_up()
    assert states(world) == [ArrivalState.QUARANTINED] * 2


def test_a_blob_waits_until_it_has_been_still_for_the_settle_time(world: World) -> None:
    arriving(world, settle=10.0)
    world.flows.intake.see(world.put("a.csv"))
    world.clock.sleep(9)
    assert world.take_up() == []
    world.clock.sleep(1)
    assert len(world.take_up()) == 1


def test_a_blob_that_grows_is_taken_up_once_as_it_is_in_the_end(world: World) -> None:
    arriving(world, settle=10.0)
    for rows in (b"", b"age\n", b"age\n1\n", b"age\n1\n2\n"):
        world.flows.intake.see(world.put("a.csv", rows))
        world.clock.sleep(5)
        assert world.take_up() == []
    world.clock.sleep(10)
    [job_id] = world.take_up()
    assert world.records.jobs.require(job_id).record.dataset.size == len(b"age\n1\n2\n")
    assert states(world) == [*[ArrivalState.GONE] * 3, ArrivalState.TAKEN]


def test_a_growth_without_an_event_is_found_at_the_next_look(world: World) -> None:
    arriving(world, settle=10.0)
    world.flows.intake.see(world.put("a.csv", b"age\n1\n"))
    world.put("a.csv", b"age\n1\n2\n")
    world.clock.sleep(20)
    assert world.take_up() == []
    world.clock.sleep(20)
    assert len(world.take_up()) == 1


def test_what_was_deleted_before_it_was_taken_up_is_gone_and_says_so(world: World) -> None:
    del world.data.contents[world.put("a.csv")]
    assert world.flows.intake.see("income/a.csv") == []
    arriving(world, settle=10.0)
    world.flows.intake.see(world.put("b.csv"))
    del world.data.contents["income/b.csv"]
    assert world.take_up() == []
    assert [(arrival.state, arrival.reason) for arrival in arrivals(world)] == [(ArrivalState.GONE, "it was deleted")]
    assert nothing_open(world)


def test_broken_data_is_set_aside_with_its_reason_and_costs_no_training(world: World) -> None:
    world.flows.intake.see(world.put("a.csv", b"age\n1,2\n"))
    assert world.take_up() == []
    [arrival] = arrivals(world)
    assert arrival.state is ArrivalState.QUARANTINED
    [(folder, report)] = world.data.aside.items()
    assert folder == f"income/{arrival.id}"
    assert json.loads(report)["reason"] == arrival.reason
    assert world.service.created == []


def test_a_file_whose_check_never_ends_is_set_aside_after_three_tries_and_the_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(name: str, *arguments: Any, **options: Any) -> Report:
        if name == "income/endless.csv":
            begun.append(name)
            raise Died
        return check(name, *arguments, **options)

    begun: list[str] = []
    monkeypatch.setattr("shared.flows.intake.check", killed)
    world.flows.intake.see(world.put("endless.csv"))
    for _ in range(5):
        world.clock.sleep(60)
        with contextlib.suppress(Died):
            world.flows.intake.take_up()
    assert len(begun) == 3  # the third may go on
    assert states(world) == [ArrivalState.SETTLING]

    world.clock.sleep(CHECK_LASTS.total_seconds())
    world.flows.intake.see(world.put("good.csv"))
    world.clock.sleep(60)
    [job] = world.flows.intake.take_up()

    assert paths(world, job.id) == ["income/good.csv"]
    endless = arrivals(world)[0]
    assert (endless.state, len(begun)) == (ArrivalState.QUARANTINED, 3)
    assert "income/endless.csv: 3 checks began and none ended" in str(endless.reason)
    assert nothing_open(world)


@pytest.mark.parametrize("hours", [0, 1], ids=["right", "ahead"])
def test_a_process_that_dies_of_a_file_it_saw_coming_leaves_the_count_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    def killed(*_: Any, **__: Any) -> Report:
        begun.append(1)
        raise Died

    begun: list[int] = []
    monkeypatch.setattr("shared.flows.intake.check", killed)
    world.data.modified += timedelta(hours=hours)  # the storage's clock
    world.flows.intake.see(world.put("endless.csv"))
    for _ in range(6):
        with contextlib.suppress(Died):
            world.flows.intake.take_up()
        world.clock.sleep(60)
    assert len(begun) == 1 + CHECKS_AT_MOST
    world.clock.sleep(CHECK_LASTS.total_seconds())
    world.flows.intake.take_up()
    assert states(world) == [ArrivalState.QUARANTINED]


def test_an_event_that_comes_again_at_once_after_the_next_batch_makes_no_second_job(world: World) -> None:
    flows, jobs = world.flows, list[str]()
    for path in (world.put("a.csv"), world.put("b.csv"), "income/a.csv"):
        flows.intake.see(path)
        jobs += [job.id for job in flows.intake.take_up(flows.training.start)]
    assert nothing_open(world)
    assert (states(world), sorted(world.records.jobs.ids())) == ([ArrivalState.TAKEN] * 2, sorted(jobs))
    assert world.service.created == ["bes-1", "bes-2"]


@pytest.mark.parametrize("content", [b"age\n1\n", b"age\n1,2\n"], ids=["taken", "refused"])
def test_of_two_runs_that_check_a_new_file_at_the_same_time_one_takes_it(
    world: World, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    def overtaken(*arguments: Any, **options: Any) -> Report:
        monkeypatch.setattr("shared.flows.intake.check", check)
        world.flows.intake.take_up(world.flows.training.start)
        return check(*arguments, **options)

    monkeypatch.setattr("shared.flows.intake.check", overtaken)
    flows = world.flows
    flows.intake.see(world.put("a.csv", content))
    assert flows.intake.take_up(flows.training.start) == []
    assert nothing_open(world)
    is_good = content == b"age\n1\n"
    assert states(world) == [ArrivalState.TAKEN if is_good else ArrivalState.QUARANTINED]
    assert len(world.service.created) == len([*world.records.jobs.ids()]) == int(is_good)


def test_a_storage_failure_does_not_count_as_a_check(world: World) -> None:
    def unreachable(_: Dataset) -> Iterator[bytes]:
        raise ServiceUnavailable("storage did not answer")

    read, world.data.read = world.data.read, unreachable  # type: ignore[method-assign]
    world.flows.intake.see(world.put("a.csv"))
    for _ in range(5):
        world.clock.sleep(3600)
        world.flows.intake.take_up()
    world.data.read = read  # type: ignore[method-assign]

    [job] = world.flows.intake.take_up()

    assert paths(world, job.id) == ["income/a.csv"]


def test_a_check_that_fails_by_a_fault_of_the_app_keeps_no_other_file_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, *arguments: Any, **options: Any) -> Report:
        if name == "income/odd.csv":
            raise RecursionError
        return check(name, *arguments, **options)

    monkeypatch.setattr("shared.flows.intake.check", broken)
    arriving(world, batch="quiet", quiet=0.0, at_most=1.0)
    world.flows.intake.see(world.put("odd.csv"))
    world.flows.intake.see(world.put("good.csv"))
    for _ in range(5):
        world.clock.sleep(CHECK_LASTS.total_seconds())
        world.flows.intake.take_up()

    assert states(world) == [ArrivalState.QUARANTINED, ArrivalState.TAKEN]


def test_a_replay_takes_up_again_what_was_set_aside_once_for_each_message(world: World) -> None:
    path = world.put("a.csv", b"age\n1,2\n")
    world.flows.intake.see(path)
    world.take_up()
    with pytest.raises(BadMessage, match="has no data at"):
        world.flows.intake.replay("income", "income/b.csv", "m0")
    pipeline = world.pipelines["income"]
    world.alone["income"] = msgspec.structs.replace(pipeline, checks=Checks())
    world.data.contents[path] = b"age,name\n1,2\n"  # corrected in place
    for _ in range(2):
        world.flows.intake.replay("income", path, "m1")
    [job_id] = world.take_up()
    assert paths(world, job_id) == [path]


def test_a_replay_trains_again_even_on_content_that_was_there_before(world: World) -> None:
    first = world.drop("a.csv", b"age\n1\n")
    world.flows.intake.replay("income", "income/a.csv", "m1")
    [again] = world.take_up()
    assert again != first
    assert paths(world, again) == paths(world, first)


def test_one_blob_of_two_pipelines_is_taken_up_by_both(world: World) -> None:
    world.alone["wages"] = msgspec.structs.replace(world.pipelines["income"], name="wages")
    world.flows.intake.see(world.put("a.csv"))
    jobs = [world.records.jobs.require(job_id).record for job_id in world.take_up()]
    assert {job.pipeline for job in jobs} == {"income", "wages"}


def test_a_blob_of_no_pipeline_makes_no_record(world: World) -> None:
    world.data.put("elsewhere/a.csv", b"age\n1\n")
    assert world.flows.intake.see("elsewhere/a.csv") == []
    assert world.documents.contents == {}
