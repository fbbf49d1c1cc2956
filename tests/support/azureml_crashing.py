"""Runs the flow with Azure Machine Learning in a process that is stopped right before one of its writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import requests.adapters

from shared.app import App
from shared.base.errors import Busy
from shared.base.settings import Settings
from shared.domain.messages import Request
from tests.support.crashing import OVERTAKEN

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
