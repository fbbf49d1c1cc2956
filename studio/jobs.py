"""Runs BES jobs: first in, first out, each in a process of its own, so that a job can be cancelled and may die."""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from studio.blobs import Blobs
from studio.errors import StudioError
from studio.keys import new_id
from studio.records import Job, Records, Reference

log = logging.getLogger("studio.jobs")

FINAL = frozenset({"Finished", "Failed", "Cancelled"})
PAUSE = 0.05
_STOPPED = "The server stopped while the job ran"
# A server process that has the libraries loaded makes a job's process in milliseconds; Windows has none.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class JobRunner:
    """`workers` jobs run at once; each waits `queued_for` and takes `slow` seconds at least, as in a shared pool."""

    def __init__(
        self,
        records: Records,
        folder: Path,
        storage: str,
        workers: int = 2,
        slow: float = 0.0,
        queued_for: float = 0.0,
    ) -> None:
        self._records, self._folder, self._storage = records, folder, storage
        self._workers, self._slow, self._queued_for = workers, slow, queued_for
        self._stopping = threading.Event()
        self._queue: deque[tuple[float, str]] = deque()  # since when, and which job
        self._context: Any = multiprocessing.get_context(_METHOD)
        if _METHOD == "forkserver":
            self._context.set_forkserver_preload(["studio.work"])
        self._thread = threading.Thread(target=self._loop, name="bes-jobs", daemon=True)

    def start(self) -> None:
        """Take up the queue of before. What ran when the server died is told so."""
        for job in self._records.all(Job):
            if job.state == "Running":
                self._end(job.id, "Failed", details("Server", 0, "ServerStopped", _STOPPED))
            elif job.state == "NotStarted" and job.queued:
                self.enqueue(job.id)
        self._thread.start()

    def enqueue(self, job_id: str) -> None:
        """Have the job run when its turn comes."""
        self._queue.append((time.monotonic(), job_id))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _loop(self) -> None:
        running: list[threading.Thread] = []
        while not self._stopping.wait(PAUSE):
            running = [thread for thread in running if thread.is_alive()]
            while len(running) < self._workers and self._is_due():
                _, job_id = self._queue.popleft()
                thread = threading.Thread(target=self._run, args=(job_id,), name="bes-job")
                running.append(thread)
                thread.start()
        for thread in running:
            thread.join()

    def _is_due(self) -> bool:
        return bool(self._queue) and time.monotonic() - self._queue[0][0] >= self._queued_for

    def _run(self, job_id: str) -> None:
        job = self._records.change(Job, job_id, _begun)
        if job is None:
            return
        begun = time.monotonic()
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_main, args=(self._folder, self._storage, job, theirs))
        process.start()
        theirs.close()
        try:
            outcome = self._outcome(job_id, ours, process, begun)
        finally:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
            ours.close()
        if outcome:
            self._end(job_id, *outcome)

    def _outcome(self, job_id: str, pipe: Connection, process: Any, begun: float) -> tuple[str, Any] | None:
        """Return the state and the results or details, or None for a job that was cancelled."""
        while not pipe.poll(PAUSE):
            if self._stopping.is_set() or self._cancelled(job_id):
                process.terminate()
                stopped = details("Server", 0, "ServerStopped", _STOPPED)
                return None if self._cancelled(job_id) else ("Failed", stopped)
        try:
            state, told = pipe.recv()
        except EOFError:
            process.join()
            text = f"Process exited with error code {process.exitcode}"
            return "Failed", details("Train Model", 0, "ProcessExited", text)
        while time.monotonic() - begun < self._slow and not self._cancelled(job_id) and not self._stopping.is_set():
            time.sleep(PAUSE)
        return state, told

    def _cancelled(self, job_id: str) -> bool:
        job = self._records.find(Job, job_id)
        return job is None or job.state == "Cancelled"

    def _end(self, job_id: str, state: str, told: Any) -> None:
        def ended(job: Job) -> Job | None:
            if job.state in FINAL:
                return None
            if state == "Finished":
                return msgspec.structs.replace(job, state=state, results=told)
            return msgspec.structs.replace(job, state=state, details=str(told))

        self._records.change(Job, job_id, ended)


def _begun(job: Job) -> Job | None:
    if job.state != "NotStarted" or not job.queued:
        return None
    return msgspec.structs.replace(job, state="Running")


def _main(folder: Path, storage: str, job: Job, pipe: Connection) -> None:
    """The job's process: do the work and tell the outcome."""
    from studio.training import ModuleError
    from studio.work import carry_out

    try:
        pipe.send(("Finished", carry_out(folder, storage, job)))
    except ModuleError as error:
        pipe.send(("Failed", details(error.module, error.number, error.error_id, error.message)))
    except StudioError as error:
        pipe.send(("Failed", details("Blob", 0, error.detail, error.message)))
    except Exception as error:
        pipe.send(("Failed", details("Train Model", 0, type(error).__name__, str(error)[:300])))


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
