"""The test suite's own workers: what ends them, and what does not."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.workers import OwnOrder, finish_cleaning_up


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


def test_each_worker_loads_every_file_of_a_folder_in_an_order_of_its_own(pytestconfig: pytest.Config) -> None:
    """This run's own workers too: a file's conftest.py is not asked how the folder is read."""
    names = [f"tests/unit/test_{number}.py" for number in range(40)]
    orders = [sorted(names, key=OwnOrder(f"gw{number}").place) for number in range(4)]

    assert len({*map(tuple, orders)}) == 4
    assert any(isinstance(plugin, OwnOrder) for plugin in pytestconfig.pluginmanager.get_plugins()) == hasattr(
        pytestconfig, "workerinput"
    )
