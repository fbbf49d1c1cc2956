"""Runs the flow with Azure Machine Learning in a process that is killed right after one of its writes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import requests.adapters

from shared.app import App
from shared.base.errors import RetrainingError
from shared.base.settings import Settings
from tests.support.crashing import KILLED

ROUNDS = 3  #: polls of one process


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


def _is_write(request: requests.PreparedRequest) -> bool:
    return request.method in ("PUT", "PATCH", "DELETE")


def _is_of_service(services: str) -> Callable[[requests.PreparedRequest], bool]:
    return lambda request: _is_write(request) and str(request.url).startswith(services)
