"""The workers of pytest-xdist, which run the tests of one call in several processes."""

from __future__ import annotations

import signal
from collections.abc import Generator
from hashlib import sha256

import pytest


def finish_cleaning_up(config: pytest.Config) -> None:
    """Ignore SIGINT from now on in a worker: its own channel (execnet) sends it 5 s after the last worker has finished.

    On a slow machine, what a worker does at its end takes longer. The message "ended by signal 2" would then be printed
    although nobody sent a signal.
    """
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, lambda *_: None)


class OwnOrder:
    """Has a worker load the files of each folder in an order of its own. A plug-in of pytest.

    pytest compiles a test file in its own way, which takes as long as all else that is done to load it, and keeps the
    outcome beside the file. In a fresh clone a worker so finds what the others have compiled; they would all compile
    the same file at the same time if their order was the same.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Directory):
            report.result = sorted(report.result, key=lambda node: self.place(node.nodeid))
        return report

    def place(self, node: str) -> bytes:
        return sha256(f"{self._worker} {node}".encode()).digest()
