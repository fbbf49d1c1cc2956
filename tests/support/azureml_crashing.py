"""Runs the flow with Azure Machine Learning in a process that is killed right after one of its writes."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import requests.adapters

from shared.app import App
from shared.base.errors import Busy, RetrainingError
from shared.base.settings import Settings
from shared.domain.messages import Request
from tests.support.crashing import KILLED, OVERTAKEN

ROUNDS = 3  #: polls of one process
POLLS = 20  #: until a worker that is stopped in one of them has come so far


class _Ahead:
    """A clock that is ahead: leases have run out, and what waits waits no longer."""

    def __init__(self, span: timedelta) -> None:
        self._span = span

    def now(self) -> datetime:
        self._span += timedelta(seconds=20)
        return datetime.now(UTC) + self._span

    def sleep(self, seconds: float) -> None:
        self._span += timedelta(seconds=seconds)


def go_on(settings: Mapping[str, str], services: str, ahead: timedelta, die_after: int, of_services: bool) -> None:
    """Poll and carry out what that asks for, until the n-th write: to a service, or to the storage too."""
    os.environ.update(settings)
    send, writes = requests.adapters.HTTPAdapter.send, itertools.count(1)
    counts: Callable[[requests.PreparedRequest], bool] = _is_of_service(services) if of_services else _is_write

    def counted(
        self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        answer = send(self, request, **options)  # type: ignore[arg-type]
        if counts(request) and next(writes) == die_after:
            os._exit(KILLED)
        return answer

    requests.adapters.HTTPAdapter.send = counted  # type: ignore[method-assign, assignment]
    app = App(Settings(settings), _Ahead(ahead))
    for _ in range(ROUNDS):
        for request in app.flows.poll():
            try:
                app.flows.requests.carry_out(request, f"message-{uuid4().hex}")
            except RetrainingError:
                continue  # the next delivery goes on


def stopped_before_put(settings: Mapping[str, str], ahead: timedelta, message: bytes, marker: str, path: str) -> None:
    """Poll, or carry out the message if there is one; stop before the first PUT below the path until let go on.

    The file `marker` is there from the stop on, and has the status of the answer to that PUT.
    """
    os.environ.update(settings)
    send = requests.adapters.HTTPAdapter.send

    def stopping(
        self: requests.adapters.HTTPAdapter, prepared: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        stops = prepared.method == "PUT" and path in str(prepared.url) and not Path(marker).exists()
        if stops:
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        answer = send(self, prepared, **options)  # type: ignore[arg-type]
        if stops:
            Path(marker).write_text(str(answer.status_code), "utf-8")
        return answer

    requests.adapters.HTTPAdapter.send = stopping  # type: ignore[method-assign, assignment]
    app = App(Settings(settings), _Ahead(ahead))
    if not message:
        for _ in range(POLLS):
            app.flows.poll()
            if Path(marker).exists():
                return
        return
    try:
        app.flows.requests.carry_out(msgspec.json.decode(message, type=Request), "the worker's message")
    except Busy:
        os._exit(OVERTAKEN)


def _is_write(request: requests.PreparedRequest) -> bool:
    return request.method in ("PUT", "PATCH", "DELETE")


def _is_of_service(services: str) -> Callable[[requests.PreparedRequest], bool]:
    return lambda request: _is_write(request) and str(request.url).startswith(services)
