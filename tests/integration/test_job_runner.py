"""Jobs when the machine fails under the server: the records out of reach, no process to be had."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from service.keys import new_id
from studio.faults.orders import Faults
from studio.jobs.runner import JobRunner, Pace
from studio.state.database import Records
from studio.state.records import Job
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
