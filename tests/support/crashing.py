"""Runs the flow in a process that dies right after its n-th call that may change something.

It dies as a killed worker does: no cleanup, no goodbye.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import requests.adapters

from shared.app import App
from shared.base.clock import Clock, SystemClock
from shared.base.errors import Busy
from shared.base.settings import Settings
from shared.domain.jobs import RetrainingJob
from shared.domain.messages import Request
from shared.flows.batches import CLAIMED
from studio.state.database import Records
from studio.state.records import FINAL, Job
from tests.support.waiting import PATIENCE, until

KILLED = 9
OVERTAKEN = 8


def retrain(settings: Mapping[str, str], studio: Path, path: str, die_after: int) -> None:
    """Take the data set from its event to its promotion. The number of calls is the same each time."""
    app = _app_that_dies(settings, die_after)
    app.flows.intake.see(path)
    begun: list[RetrainingJob] = []
    begin = app.flows.training.start
    until(lambda: bool(app.flows.intake.take_up(lambda job: begun.append(begin(job))) or begun), "the job")
    [job] = begun
    wait_for_bes_jobs(studio)
    deadline = time.monotonic() + PATIENCE
    while not app.records.jobs.require(job.id).record.final and time.monotonic() < deadline:
        for request in app.flows.training.poll():
            app.flows.requests.carry_out(request, "a message")


def carry_out(settings: Mapping[str, str], request: Request, message_id: str, die_after: int) -> None:
    """Do what one message asks for."""
    _app_that_dies(settings, die_after).flows.requests.carry_out(request, message_id)


def killed(target: Callable[..., None], *arguments: Any) -> bool:
    """Run it in its own process; return whether it was killed (and not done before that)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.crashing", "numpy"])  # a check loads it
    process = context.Process(target=target, args=arguments)
    process.start()
    process.join(2 * PATIENCE)
    assert process.exitcode in (0, KILLED), f"it neither ended nor was it killed: exit code {process.exitcode}"
    return process.exitcode == KILLED


def wait_for_bes_jobs(studio: Path) -> None:
    """Wait until every started BES job has ended, by the Studio's own records: no call is made for it."""
    records = Records(studio)
    until(lambda: all(job.state in FINAL for job in records.all(Job) if job.queued), "the end of the BES jobs")


def changes(request: requests.PreparedRequest) -> bool:
    """Return whether the call may change something. A death after one that does not is one after the call before."""
    return request.method not in ("GET", "HEAD") and not str(request.url).split("?")[0].endswith("/execute")


class _Later(SystemClock):
    """So late that no new job is left to the run that made it any more."""

    def now(self) -> datetime:
        return super().now() + CLAIMED


def _app_that_dies(settings: Mapping[str, str], die_after: int, clock: Clock | None = None) -> App:
    send = requests.adapters.HTTPAdapter.send
    calls = itertools.count(1)

    def counted(
        self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        answer = send(self, request, **options)
        if changes(request) and next(calls) == die_after:
            os._exit(KILLED)
        return answer

    requests.adapters.HTTPAdapter.send = counted  # type: ignore[method-assign, assignment]
    return App(Settings(settings), clock)


def poll(settings: Mapping[str, str], die_after: int) -> None:
    """Take every job as far as it goes, as the timer does a while after the jobs were made."""
    _app_that_dies(settings, die_after, _Later()).flows.training.poll()


def take_up(settings: Mapping[str, str], die_after: int) -> None:
    """Take up what has arrived until it is a job or done with, and start that, as the timers do."""
    app = _app_that_dies(settings, die_after)
    while not app.records.jobs.active() and any(app.documents.names("active/arrivals/")):
        app.flows.take_up()
    app.flows.training.poll()


def stopped_before_patch(settings: Mapping[str, str], request: Request, marker: str) -> None:
    """Do what the message asks for; this process stops right before its first PATCH, until somebody lets it go on."""
    send = requests.adapters.HTTPAdapter.send

    def stopping(
        self: requests.adapters.HTTPAdapter, prepared: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        if prepared.method == "PATCH" and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return send(self, prepared, **options)

    requests.adapters.HTTPAdapter.send = stopping  # type: ignore[method-assign, assignment]
    try:
        App(Settings(settings)).flows.requests.carry_out(request, "the worker's message")
    except Busy:
        os._exit(OVERTAKEN)
