"""Jobs when the machine fails under the server: the records out of reach, no process to be had."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from local.azurite import Azurite
from local.datasets import as_csv, diabetes
from service.keys import new_id
from studio.experiments.loading import load_experiment
from studio.faults.orders import Faults
from studio.jobs import workers
from studio.jobs.runner import JobRunner, Pace
from studio.publishing import Studio
from studio.state.database import Records
from studio.state.records import Job, Reference
from tests.support.waiting import until

STORAGE = "UseDevelopmentStorage=true"  # the jobs' endpoint is gone, so none comes as far as its storage


class Unreachable(Records):
    """Records that cannot be written for the first `failures` times."""

    failures = 0

    def change(self, kind: Any, record_id: str, change: Callable[[Any], Any]) -> Any:
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().change(kind, record_id, change)


@contextmanager
def running(records: Records, folder: Path) -> Iterator[JobRunner]:
    runner = JobRunner(records, folder, STORAGE, Faults(), Pace(processes=1))
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def queued(records: Records) -> Job:
    job = Job(id=new_id(), parent=new_id(), inputs={}, outputs={}, parameters={}, queued=1.0)
    records.put(job)
    return job


def test_a_job_keeps_its_place_while_its_turn_cannot_be_recorded(tmp_path: Path) -> None:
    records = Unreachable(tmp_path)
    job = queued(records)
    records.failures = 2
    with running(records, tmp_path):
        until(lambda: records.get(Job, job.id).state == "Failed", lambda: records.get(Job, job.id))
    assert "No Endpoint could be found" in str(records.get(Job, job.id).details)  # a process has worked on it
    assert records.failures == 0


def test_a_job_without_a_process_fails_and_does_not_run_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path)
    with running(records, tmp_path) as runner:

        def none_left(*_: Any, **__: Any) -> Any:
            raise OSError("no process is left")

        with monkeypatch.context() as patch:
            patch.setattr(runner._context, "Process", none_left)
            refused = queued(records)
            runner.enqueue(refused)
            until(lambda: records.get(Job, refused.id).state == "Failed", lambda: records.get(Job, refused.id))
        assert "could not be run" in str(records.get(Job, refused.id).details)
        job = queued(records)
        runner.enqueue(job)
        until(lambda: records.get(Job, job.id).state == "Failed", lambda: records.get(Job, job.id))
    assert "No Endpoint could be found" in str(records.get(Job, job.id).details)


def test_the_process_of_a_job_starts_no_threads_for_linear_algebra(tmp_path: Path) -> None:
    context = JobRunner(Records(tmp_path), tmp_path, STORAGE, Faults(), Pace())._context
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=send_threads_of_linear_algebra, args=(theirs,))
    process.start()
    theirs.close()
    threads = ours.recv()
    process.join()
    assert set(threads) == {1}, threads


def send_threads_of_linear_algebra(pipe: Connection) -> None:
    from studio.learning.ilearner import pools

    pipe.send([pool["num_threads"] for pool in pools().info() if pool["user_api"] == "blas"])


def test_jobs_that_wait_share_a_process_until_one_of_them_fails(
    tmp_path: Path, one_azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(tmp_path, one_azurite.connection_string)
    endpoint = studio.deploy_training(load_experiment("diabetes")).path.rsplit("/", 1)[1]
    good, broken = studio.blobs.own("jobs/good.csv"), studio.blobs.own("jobs/broken.csv")
    studio.blobs.write(good, as_csv(*diabetes()))
    studio.blobs.write(broken, b"a,b\n1\n")

    def job(number: int, data: Reference) -> Job:
        outputs = {f"output{port}": studio.blobs.own(f"outputs/{number}-{port}") for port in (1, 2, 3)}
        inputs, name = {"input1": data}, f"{number:032}"
        return Job(id=name, parent=endpoint, inputs=inputs, outputs=outputs, parameters={}, queued=1.0 + number)

    studio.records.put(*(job(number, data) for number, data in enumerate((good, good, broken, good))))
    runner = JobRunner(studio.records, tmp_path, one_azurite.connection_string, Faults(), Pace(processes=1))
    processes: list[Any] = []
    make = runner._context.Process

    def kept(*given: Any, **named: Any) -> Any:
        processes.append(make(*given, **named))
        return processes[-1]

    def states() -> list[str]:
        return sorted(job.state for job in studio.records.all(Job, endpoint))

    monkeypatch.setattr(runner._context, "Process", kept)
    runner.start()
    try:
        until(lambda: states() == ["Failed", *["Finished"] * 3], states)
        until(lambda: not any(process.is_alive() for process in processes), "no process waits for a job")
    finally:
        runner.stop()
    assert len(processes) == 2
    models = {studio.blobs.read(studio.blobs.own(f"outputs/{number}-1")) for number in (0, 1, 3)}
    assert len(models) == 1, "a job leaves nothing that changes the model of the next one"


def test_a_process_that_died_while_it_was_idle_is_replaced_and_each_ends_after_some_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "JOBS_AT_MOST", 2)
    context = JobRunner(Records(tmp_path), tmp_path, STORAGE, Faults(), Pace())._context
    some = workers.Workers(context, send_process_id)

    def done(kill: bool = False) -> int:
        worker = some.start("a job")
        answer = int(worker.pipe.recv())
        if kill:
            worker.process.kill()
            worker.process.join()
        some.keep(worker)
        return answer

    killed, second, third, fourth = done(kill=True), done(), done(), done()
    some.end_idle()
    assert killed != second == third != fourth


def send_process_id(pipe: Connection) -> None:
    try:
        while pipe.recv():
            pipe.send(os.getpid())
    except EOFError:
        return
