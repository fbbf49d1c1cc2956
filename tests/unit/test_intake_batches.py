"""Several files that are one training: when a batch is closed, checked as a whole, refused or retrained."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from shared.base.errors import BadMessage, RecordChanged
from shared.domain.arrivals import ArrivalState
from shared.domain.checks import Checks, Drift
from shared.domain.jobs import JobState
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
    world.clock.sleep(1)  # of data older than the process, the check that begins is written down
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


def test_at_most_as_many_jobs_run_as_the_pipeline_allows_and_the_latest_data_goes_next(world: World) -> None:
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
