"""From a dropped blob to a job: what is taken up, when, with what, and what becomes of the rest."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.base.errors import BadMessage, Busy, DataChanged, RecordChanged, ServiceUnavailable
from shared.domain.arrivals import CHECK_LASTS, Arrival, ArrivalState
from shared.domain.checks import Checks, Drift, Report, check
from shared.domain.jobs import Dataset, JobState
from shared.flows.batches import CLAIMED
from tests.support.fakes import World
from tests.support.waiting import until


class Died(BaseException):
    """The process is killed at a write."""


@pytest.fixture
def world() -> World:
    return World()


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


def test_files_of_a_quiet_batch_are_one_training_on_all_their_rows(world: World) -> None:
    arriving(world, batch="quiet", quiet=60.0, at_most=3600.0)
    for name in "abc":
        world.flows.intake.see(world.put(f"{name}.csv", f"age\n{ord(name)}".encode()))
        assert world.take_up() == []
        world.clock.sleep(30)
    world.clock.sleep(30)
    [job_id] = world.take_up()
    job = world.records.jobs.require(job_id).record
    assert paths(world, job_id) == ["income/a.csv", "income/b.csv", "income/c.csv"]
    assert world.data.joined == {f"income/{job_id}.csv": b"age\n97\n98\n99\n"}
    assert world.service.data == [f"batches/income/{job_id}.csv"]
    assert job.steps[0].note == "3 files, 18 bytes"


def test_a_file_on_which_another_run_is_at_work_is_not_left_out_of_its_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving(world, batch="quiet", quiet=0.0)
    for name in ("a.csv", "b.csv"):
        world.flows.intake.see(world.put(name))
    other = arrivals(world)[1].id
    replace = world.documents.replace

    def replaced(name: str, *arguments: Any) -> str:
        if other in name:
            raise RecordChanged(name)
        return replace(name, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.documents, "replace", replaced)
        assert world.take_up() == []
    [job_id] = world.take_up()
    assert paths(world, job_id) == ["income/a.csv", "income/b.csv"]


def test_a_batch_that_never_becomes_quiet_is_closed_at_the_longest_wait(world: World) -> None:
    arriving(world, batch="quiet", quiet=60.0, at_most=120.0)
    jobs: list[str] = []
    for number in itertools.count():
        world.flows.intake.see(world.put(f"{number}.csv"))
        jobs = world.take_up()
        if jobs:
            break
        world.clock.sleep(29)
    assert len(paths(world, jobs[0])) == 5


def test_a_marker_makes_a_batch_of_its_folder_with_files_that_had_no_event(world: World) -> None:
    arriving(world, batch="marker")
    pipeline = world.pipelines["income"]
    world.alone["income"] = msgspec.structs.replace(pipeline, blobs="income/*/*.csv")
    world.flows.intake.see(world.put("november/a.csv"))
    world.put("november/b.csv")
    world.flows.intake.see(world.put("december/a.csv"))
    assert world.take_up() == []
    world.flows.intake.see(world.put("november/_SUCCESS", b""))
    world.take_up()
    jobs = [job for _ in range(2) for job in world.take_up()] or world.records.jobs.active()
    assert paths(world, jobs[0]) == ["income/november/a.csv", "income/november/b.csv"]
    assert [arrival.state for arrival in arrivals(world) if "december" in arrival.dataset.path] == [ArrivalState.READY]


@pytest.mark.parametrize(
    ("blobs", "path", "is_one"),
    [
        ("income/*.csv", "income/_SUCCESS", True),
        ("income/**/*.csv", "income/_SUCCESS", True),
        ("income/**/*.csv", "income/2026/11/_SUCCESS", True),
        ("*.csv", "_SUCCESS", True),
        ("income/*/*.csv", "income/_SUCCESS", False),
        ("income/*.csv", "income/2026/_SUCCESS", False),
        ("income/*.csv", "wages/_SUCCESS", False),
        ("income/*.csv", "income/_success", False),
    ],
)
def test_a_marker_counts_in_every_folder_in_which_the_pipelines_data_may_be(
    world: World, blobs: str, path: str, is_one: bool
) -> None:
    arriving(world, batch="marker")
    pipeline = msgspec.structs.replace(world.pipelines["income"], blobs=blobs)
    assert pipeline.is_marker(path) == is_one


def test_a_manifest_waits_for_its_files_and_their_hashes(world: World) -> None:
    import hashlib

    arriving(world, batch="marker", at_most=600.0, marker="manifest.json")
    digest = hashlib.sha256(b"age\n2\n").hexdigest()
    listed = {"files": [{"path": "a.csv"}, {"path": "b.csv", "sha256": digest}]}
    world.flows.intake.see(world.put("manifest.json", json.dumps(listed).encode()))
    world.flows.intake.see(world.put("a.csv", b"age\n1\n"))
    world.flows.intake.see(world.put("b.csv", b"age\n3\n"))
    world.flows.intake.see(world.put("other.csv", b"age\n4\n"))
    for _ in range(3):
        assert world.take_up() == []
    world.flows.intake.see(world.put("b.csv", b"age\n2\n"))
    jobs = [job for _ in range(3) for job in world.take_up()]
    assert len(jobs) == 1
    assert paths(world, jobs[0]) == ["income/a.csv", "income/b.csv"]
    assert [part.sha256 for part in world.records.jobs.require(jobs[0]).record.parts][1] == digest


def test_a_manifest_whose_files_do_not_come_is_set_aside_and_says_which(world: World) -> None:
    arriving(world, batch="marker", at_most=600.0, marker="manifest.json")
    world.flows.intake.see(world.put("manifest.json", b'{"files": [{"path": "a.csv"}, {"path": "b.csv"}]}'))
    world.take_up()
    world.clock.sleep(601)
    assert world.take_up() == []
    [arrival] = arrivals(world)
    assert (arrival.state, arrival.reason) == (
        ArrivalState.QUARANTINED,
        "a.csv and 1 more did not come within 600 s",
    )
    world.flows.intake.see(world.put("manifest.json", b"{}"))
    world.take_up()
    assert "is not a manifest" in (arrivals(world)[-1].reason or "")


def test_no_more_jobs_run_than_the_pipeline_allows_and_the_latest_data_goes_next(world: World) -> None:
    arriving(world, jobs=1)
    first = world.drop("1.csv")
    for number in (2, 3, 4):
        world.flows.intake.see(world.put(f"{number}.csv"))
        assert world.take_up() == []
    world.run(lambda: world.records.jobs.require(first).record.final)
    world.run(lambda: nothing_open(world))
    assert states(world) == [
        ArrivalState.TAKEN,
        ArrivalState.SUPERSEDED,
        ArrivalState.SUPERSEDED,
        ArrivalState.TAKEN,
    ]
    last = arrivals(world)[-1].job
    assert arrivals(world)[1].reason == f"income/4.csv is newer and was taken instead, by job {last}"
    assert len(world.service.started) == 2


def test_what_arrives_while_a_job_runs_makes_the_next_batch(world: World) -> None:
    arriving(world, jobs=1, batch="quiet", quiet=1.0)
    world.flows.intake.see(world.put("a.csv"))
    world.clock.sleep(2)
    [first] = world.take_up()
    for name in "bcd":
        world.flows.intake.see(world.put(f"{name}.csv"))
    world.clock.sleep(5)
    assert world.take_up() == []
    world.run(lambda: world.records.jobs.require(first).record.final)
    world.run(lambda: nothing_open(world))
    assert paths(world, arrivals(world)[-1].job or "") == ["income/b.csv", "income/c.csv", "income/d.csv"]


def test_all_rows_are_those_of_the_promoted_data_and_the_new(world: World) -> None:
    arriving(world, rows="all")
    first = world.drop("a.csv", b"age\n1\n")
    world.run(lambda: world.records.jobs.require(first).record.state is JobState.PROMOTED)
    world.reader.evaluation = b"AUC\n0.1\n"
    refused = world.drop("b.csv", b"age\n2\n")
    world.run(lambda: world.records.jobs.require(refused).record.final)
    assert world.records.jobs.require(refused).record.state is JobState.REJECTED
    third = world.drop("c.csv", b"age\n3\n")
    assert world.data.joined[f"income/{third}.csv"] == b"age\n1\n3\n"


def test_files_that_are_not_one_table_fail_their_job_and_say_which(world: World) -> None:
    pipeline = world.pipelines["income"]
    world.alone["income"] = msgspec.structs.replace(pipeline, checks=Checks())
    arriving(world, batch="quiet", quiet=1.0)
    world.flows.intake.see(world.put("a.csv", b"age\n1\n"))
    world.flows.intake.see(world.put("b.csv", b"age,years\n1,1\n"))
    world.clock.sleep(2)
    [job_id] = world.take_up()
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.FAILED
    assert job.reason == "income/b.csv has the header 'age,years', but income/a.csv has the header 'age'"


def test_a_file_of_a_batch_that_was_overwritten_meanwhile_does_not_take_the_others_with_it(world: World) -> None:
    arriving(world, batch="quiet", quiet=1.0)
    for name in "ab":
        world.flows.intake.see(world.put(f"{name}.csv"))
    world.clock.sleep(2)
    [job] = world.flows.intake.take_up()
    world.put("a.csv", b"age\n77\n")
    started = world.flows.training.start(job)
    assert not started.final
    assert paths(world, job.id) == ["income/b.csv"]
    assert any("income/a.csv was overwritten; it goes on with 1 files" in step.note for step in started.steps)


def test_the_sweep_takes_up_files_that_had_no_event_and_reads_no_record_of_old_blobs(world: World) -> None:
    for number in range(20):
        world.put(f"{number}.csv")
    assert world.flows.intake.sweep("training-data") == 20
    assert world.flows.intake.sweep("training-data") == 0
    world.clock.sleep(3 * 3600)
    assert world.flows.intake.sweep("training-data") == 0
    world.data.modified = world.clock.now()
    world.put("new.csv")
    read = world.documents.reads
    assert world.flows.intake.sweep("training-data") == 1
    assert world.documents.reads - read < 10
    assert len(world.take_up()) == 1


def test_a_retrain_message_trains_once_on_the_live_data_with_other_parameters(world: World) -> None:
    with pytest.raises(BadMessage, match="has no data yet"):
        world.flows.intake.retrain("income", {}, "m0")
    first = world.drop("a.csv")
    world.run(lambda: world.records.jobs.require(first).record.state is JobState.PROMOTED)
    again = {world.flows.intake.retrain("income", {"Rate": "0.1"}, "m1").id for _ in range(2)}
    assert len(again) == 1
    world.run(lambda: world.records.jobs.require(again.copy().pop()).record.final)
    assert world.service.parameters == {"Rate": "0.1"}
    assert len(world.service.started) == 2


def test_a_schedule_retrains_once_however_many_of_its_times_went_by(world: World) -> None:
    pipeline = world.pipelines["income"]
    world.alone["income"] = msgspec.structs.replace(pipeline, schedule="0 0 4 * * *")
    first = world.drop("a.csv")
    world.run(lambda: world.records.jobs.require(first).record.final)
    before = len(world.service.started)
    world.clock.sleep(3 * 86400)
    world.take_up()
    world.take_up()
    world.run(lambda: not world.records.jobs.active())
    assert len(world.service.started) == before + 1


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


BATCHES: list[dict[str, Any]] = [{"batch": "quiet", "quiet": 1.0}, {"batch": "marker"}]


@pytest.mark.parametrize("how", BATCHES)
def test_files_that_are_short_or_of_one_class_or_sparse_are_trained_on_where_their_batch_is_not(
    world: World, how: dict[str, Any]
) -> None:
    arriving(world, **how)
    checking(world, label="income", rows_at_least=4, missing_at_most=0.3, duplicates_at_most=0.2)
    for name, rows in (("a", "1,low\n,low\n"), ("b", "2,high\n"), ("c", "3,low\n4,low\n4,low\n")):
        world.flows.intake.see(world.put(f"{name}.csv", f"age,income\n{rows}".encode()))
    world.flows.intake.see(world.put("_SUCCESS", b""))
    world.clock.sleep(2)
    [job_id] = [job for _ in range(2) for job in world.take_up()]
    assert len(paths(world, job_id)) == 3


@pytest.mark.parametrize("how", BATCHES)
@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"rows_at_least": 10}, "has 5 rows, and 10 are needed at least"),
        ({"label": "income"}, "the label 'income' has the one class 'low'"),
        ({"missing_at_most": 0.3}, "column 'age' is missing in 60% of the rows, and 30% is allowed"),
        ({"missing_in_all_at_most": 0.1}, "30% of all cells are missing"),
        ({"duplicates_at_most": 0.1}, "20% of the rows repeat an earlier row"),
    ],
)
def test_a_batch_that_fails_as_a_whole_is_set_aside_as_a_whole_before_it_costs_anything(
    world: World, how: dict[str, Any], rules: dict[str, Any], message: str
) -> None:
    arriving(world, **how, rows="all")
    checking(world, **rules)
    for name, rows in (("a", "1,low\n,low\n"), ("b", "5,low\n"), ("c", ",low\n,low\n")):
        world.flows.intake.see(world.put(f"{name}.csv", f"age,income\n{rows}".encode()))
    world.flows.intake.see(world.put("_SUCCESS", b""))
    world.clock.sleep(2)
    for _ in range(3):
        assert world.take_up() == []
    assert set(states(world)) == {ArrivalState.QUARANTINED}
    [reason] = {arrival.reason for arrival in arrivals(world)}
    assert reason is not None
    assert reason.startswith("The batch of income/a.csv and 2 more")
    assert message in reason
    assert {json.loads(report)["report"]["faults"][0]["message"] for report in world.data.aside.values()} == {reason}
    assert len(world.data.aside) == len(arrivals(world))
    assert nothing_open(world)
    assert world.service.created == []


def test_a_batch_is_set_aside_as_a_whole_wherever_the_process_dies() -> None:
    for writes in itertools.count():
        world = World()
        arriving(world, batch="quiet", quiet=1.0, refused="move")
        checking(world, missing_at_most=0.3)
        for name, rows in (("a", ",1\n"), ("b", ",2\n,3\n"), ("c", "5,5\n")):  # c alone would pass
            world.flows.intake.see(world.put(f"{name}.csv", f"age,x\n{rows}".encode()))
        world.clock.sleep(2)
        died = died_after(world, writes, world.take_up, world.take_up, world.take_up)
        world.flows.intake.see(world.put("d.csv", b"age,x\n8,9\n"))  # must not make another batch of what is left
        world.clock.sleep(2)
        jobs = [job for _ in range(4) for job in world.take_up()]
        [last] = [arrival for arrival in arrivals(world) if arrival.dataset.path == "income/d.csv"]
        others = [arrival for arrival in arrivals(world) if arrival != last]
        if last.state is ArrivalState.TAKEN:
            assert [paths(world, job) for job in jobs] == [["income/d.csv"]]
        assert {arrival.state for arrival in others} == {ArrivalState.QUARANTINED}
        assert len({arrival.reason for arrival in others}) == 1
        assert set(world.data.contents) == ({"income/d.csv"} if last.state is ArrivalState.TAKEN else set())
        assert nothing_open(world)
        if not died:
            assert last.state is ArrivalState.TAKEN
            break
    assert writes > 20


def test_a_file_of_a_refused_batch_that_was_overwritten_meanwhile_is_gone_and_the_new_one_is_taken_up(
    world: World,
) -> None:
    arriving(world, batch="quiet", quiet=1.0, refused="move")
    checking(world, rows_at_least=3)
    for name in "ab":
        world.flows.intake.see(world.put(f"{name}.csv"))
    world.take_up()
    world.put("a.csv", b"age\n7\n8\n9\n")
    world.clock.sleep(2)
    assert world.take_up() == []
    jobs = [job for _ in range(3) for job in (world.clock.sleep(2), *world.take_up())[1:]]
    assert states(world) == [ArrivalState.GONE, ArrivalState.QUARANTINED, ArrivalState.TAKEN]
    assert paths(world, jobs[0]) == ["income/a.csv"]


def test_drift_is_measured_from_the_largest_file_of_the_last_batch_that_made_a_job(world: World) -> None:
    arriving(world, batch="quiet", quiet=1.0)
    checking(world, drift=Drift(), rows_at_least=50)

    def batch(*files: tuple[int, int]) -> list[str]:
        for number, (least, rows) in enumerate(files):
            ages = "".join(f"{least + row % 20}\n" for row in range(rows))
            world.flows.intake.see(world.put(f"{len(world.data.contents)}-{number}.csv", f"age\n{ages}".encode()))
        world.clock.sleep(2)
        return all_taken_up(world)

    assert batch((20, 400), (60, 30))
    assert batch((60, 49)) == []  # drifted
    checking(world, drift=Drift(at_most=100.0), rows_at_least=50)
    assert batch((60, 48)) == []  # too short, so what comes next is still compared with the first
    checking(world, drift=Drift())
    assert batch((20, 410))
    assert batch((60, 420)) == []
    reasons = [arrival.reason or "" for arrival in arrivals(world) if arrival.state is ArrivalState.QUARANTINED]
    assert ["drifted" in reason for reason in reasons] == [True, False, True]


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
