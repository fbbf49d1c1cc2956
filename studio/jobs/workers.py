"""The processes that work on jobs, each on one at a time. One takes another job if it waits when the last one is done.

So a busy Studio starts fewer processes: to start one and to use the libraries for the first time takes longer than a
small training.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

JOBS_AT_MOST = 50  #: of one process, so that the memory that it loses stays small


class Worker:
    """A process that calls `main(pipe)`, which takes a job from the pipe and sends the outcome, until the pipe ends."""

    def __init__(self, context: Any, main: Callable[[Connection], None]) -> None:
        self.jobs = 0
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=main, args=(theirs,), daemon=True)
        with theirs:  # the process has its own; with ours closed, its end is the end of the pipe
            try:
                self.process.start()
            except BaseException:
                self.pipe.close()
                raise

    def give(self, job: Any) -> None:
        self.jobs += 1
        self.pipe.send(job)

    def end(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Workers:
    """`main` is what each process calls."""

    def __init__(self, context: Any, main: Callable[[Connection], None]) -> None:
        self._context, self._main = context, main
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def start(self, job: Any) -> Worker:
        """Give the job to an idle process or to a new one, and return it."""
        while worker := self._take():
            try:
                worker.give(job)
            except OSError:  # somebody killed it while it was idle
                worker.end()
            else:
                return worker
        worker = Worker(self._context, self._main)
        worker.give(job)
        return worker

    def keep(self, worker: Worker) -> None:
        """Have the process, whose job is done, take another one later."""
        if worker.jobs >= JOBS_AT_MOST:
            worker.end()
            return
        with self._lock:
            self._idle.append(worker)

    def end_idle(self) -> None:
        while worker := self._take():
            worker.end()

    def _take(self) -> Worker | None:
        with self._lock:
            return self._idle.pop() if self._idle else None
