"""The workers of pytest-xdist, which run the tests of one call in several processes."""

from __future__ import annotations

import signal

import pytest


def finish_cleaning_up(config: pytest.Config) -> None:
    """Ignore SIGINT from now on in a worker: its own channel (execnet) sends it 5 s after the last worker has finished.

    On a slow machine, what a worker does at its end takes longer. The message "ended by signal 2" would then be printed
    although nobody sent a signal.
    """
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, lambda *_: None)
