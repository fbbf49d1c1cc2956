"""Runs BES jobs in processes of their own, one at a time in each, so that a job can be cancelled and may die."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from service.faults.orders import Fault
from service.keys import new_id
from service.queue import PAUSE, Queues, Work
from studio.errors import ModuleError, StudioError
from studio.faults.orders import Faults
from studio.jobs.workers import Worker, Workers
from studio.state.blobs import Blobs
from studio.state.database import Records
from studio.state.records import Endpoint, Job, Reference

log = logging.getLogger("studio.jobs")

_STOPPED = "The server stopped while the job ran"
# A server process that has the libraries loaded makes a job's process in milliseconds; Windows has none.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class Pace:
    """How fast jobs go: `at_once` run of one endpoint, in at most `processes` in all.

    Each job waits `queued_for` seconds at least and runs for `slow` seconds at least, as in a shared pool.
    """

    processes: int = 8
    at_once: int = 40
    queued_for: float = 0.0
    slow: float = 0.0


class JobRunner:
    """Each endpoint has a queue of its jobs."""

    def __init__(self, records: Records, folder: Path, storage: str, faults: Faults, pace: Pace) -> None:
        self._records, self._faults, self._pace = records, faults, pace
        work = Work(self._begin, self._run, lambda _: pace.at_once, pace.processes, pace.queued_for)
        self._queues = Queues("bes-job", work, log)
        self._context: Any = multiprocessing.get_context(_METHOD)
        if _METHOD == "forkserver":
            self._context.set_forkserver_preload(["studio.jobs.prepared"])
        self._workers = Workers(self._context, partial(_main, folder, storage))

    def start(self) -> None:
        """Resume the queue that the server before left. What ran when it died is failed, and its details say so."""
        jobs = self._records.all(Job)
        for job in jobs:
            if job.state == "Running":
                self.end(job.id, "Failed", details("Server", 0, "ServerStopped", _STOPPED))
        waiting = [job for job in jobs if job.state == "NotStarted" and job.queued]
        for job in sorted(waiting, key=lambda job: job.queued or 0.0):
            self.enqueue(job)
        self._queues.start()

    def enqueue(self, job: Job) -> None:
        """Have the job run when its turn comes."""
        self._queues.add(job.parent, job.id)

    def forget(self, job: Job) -> None:
        """Give the place of a job that was cancelled to the next one; if a process works on it, that is ended soon."""
        self._queues.remove(job.parent, job.id)

    def stop(self) -> None:
        self._queues.stop()
        self._workers.end_idle()

    def _begin(self, endpoint: str, job_id: str) -> bool:
        """Return whether the job is to be worked on: not if it was cancelled, or a fault has it stuck."""
        stuck = self._strike("stuck", endpoint)
        if stuck and stuck.state == "NotStarted":
            return False
        begun = self._records.change(Job, job_id, Job.begun) is not None
        return begun and not stuck

    def _strike(self, kind: str, endpoint_id: str) -> Fault | None:
        if not self._faults.any:
            return None
        endpoint = self._records.find(Endpoint, endpoint_id)
        return self._faults.strike(kind, (endpoint_id, endpoint.name if endpoint else ""))

    def _run(self, job_id: str) -> None:
        """Work on the job to its end, whatever happens to its process."""
        try:
            job = self._records.find(Job, job_id)
            outcome = self._worked_on(job) if job and job.state == "Running" else None
        except Exception as error:  # otherwise the job would stay Running for ever
            log.exception("The job %s could not be run", job_id)
            outcome = "Failed", details("Server", 0, type(error).__name__, "The job's process could not be run")
        if outcome:
            self.end(job_id, *outcome)
        if not self._queues.waiting:
            self._workers.end_idle()

    def _worked_on(self, job: Job) -> tuple[str, Any] | None:
        """Return the state and the results or details, or None for a job that was cancelled."""
        begun = time.monotonic()
        worker, outcome = self._workers.start(job), None
        try:
            outcome = self._outcome(job.id, worker, begun)
        finally:
            if outcome and outcome[0] == "Finished":
                self._workers.keep(worker)
            else:  # nobody knows what it has left in its process
                worker.end()
        if outcome and outcome[0] == "Finished" and self._strike("failed job", job.parent):
            return "Failed", details("Train Model", 1000, "LibraryExecutionError", "The library failed on order")
        return outcome

    def _outcome(self, job_id: str, worker: Worker, begun: float) -> tuple[str, Any] | None:
        while not worker.pipe.poll(PAUSE):
            if self._queues.stopping.is_set() or self._cancelled(job_id):
                worker.process.terminate()
                stopped = details("Server", 0, "ServerStopped", _STOPPED)
                return None if self._cancelled(job_id) else ("Failed", stopped)
        try:
            state, outcome = worker.pipe.recv()
        except (EOFError, OSError):  # it ended before or while it sent the outcome
            worker.process.join()
            text = f"Process exited with error code {worker.process.exitcode}"
            return "Failed", details("Train Model", 0, "ProcessExited", text)
        stopping = self._queues.stopping
        while time.monotonic() - begun < self._pace.slow and not self._cancelled(job_id) and not stopping.is_set():
            time.sleep(PAUSE)  # nothing else says that a job was cancelled: another process may have done it
        return state, outcome

    def _cancelled(self, job_id: str) -> bool:
        job = self._records.find(Job, job_id)
        return job is None or job.state == "Cancelled"

    def end(self, job_id: str, state: str, outcome: Any) -> None:
        """Record how the job ended, unless it was cancelled meanwhile."""

        def ended(job: Job) -> Job | None:
            return job.finished(outcome) if state == "Finished" else job.failed(str(outcome))

        self._records.change(Job, job_id, ended)


def _main(folder: Path, storage: str, pipe: Connection) -> None:
    """The process of jobs: work on each that comes, and send its outcome."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()

    if hasattr(os, "nice"):
        os.nice(10)  # scoring goes first

    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):  # the server closed the pipe, or has died
            return
        pipe.send(_carried_out(folder, storage, job))


def _carried_out(folder: Path, storage: str, job: Job) -> tuple[str, Any]:
    """Do the work; return the state and the results or details."""
    from studio.jobs.work import carry_out

    try:
        return "Finished", carry_out(folder, storage, job)
    except ModuleError as error:
        return "Failed", details(error.module, error.number, error.error_id, error.message)
    except StudioError as error:
        return "Failed", details("Blob", 0, error.detail, error.message)
    except Exception as error:  # this process has no log; the server writes the failure into the job
        return "Failed", details("Train Model", 0, type(error).__name__, str(error)[:300])


def _end_with_the_server() -> None:
    """Stop working when the server has died: nobody reads the outcome, and the job counts as failed."""
    server = multiprocessing.parent_process()
    if server:
        server.join()
        os._exit(1)


def details(module: str, number: int, error_id: str, message: str) -> str:
    """Return the `Details` of a failed job: ids around nested exceptions, the innermost being what went wrong."""
    outer = f"Error {number:04}: {message}"
    inner: dict[str, Any] = {"ErrorId": error_id, "ErrorCode": str(number), "ExceptionType": "ModuleException"}
    if number == 1000:
        outer = f"Error 1000: AFx Library library exception: {message}"
        nested = {
            "Library": "AFx Library",
            "ErrorId": error_id,
            "ErrorCode": "16",
            "ExceptionType": "LibraryException",
            "Message": message,
        }
        inner = {**inner, "ErrorId": "LibraryException", "Message": outer, "Exception": nested}
    else:
        inner = {**inner, "Message": message}
    exception = json.dumps({"Exception": inner}, separators=(",", ":"))
    return (
        f"Module: {module}; SNR Job Id: {new_id()}; requestId = {new_id()} errorComponent=Module. taskStatusCode=400. "
        f"{exception}Error: {outer} Process exited with error code -2"
    )


def output_location(blobs: Blobs, extension: str) -> Reference:
    """Return where an output without an override goes: a random name in the workspace's own storage."""
    return blobs.own(f"experimentoutput/{new_id()}/{new_id()}{extension}")
