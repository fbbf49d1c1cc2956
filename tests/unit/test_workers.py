"""The test suite's own workers: what ends them, and what does not."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.workers import finish_cleaning_up


def test_a_worker_that_cleans_up_is_not_broken_off_by_its_own_channel() -> None:
    alone: Any = SimpleNamespace()
    worker: Any = SimpleNamespace(workerinput={})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        finish_cleaning_up(alone)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        finish_cleaning_up(worker)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
