"""The server of the local workspace ends although clients keep their connections."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aml.cli.serving import abort_idle


def connection(cycle: Any, aborted: list[Any]) -> Any:
    return SimpleNamespace(cycle=cycle, transport=SimpleNamespace(abort=lambda: aborted.append(cycle)))


def test_only_connections_without_a_request_are_ended_at_once() -> None:
    aborted: list[Any] = []
    answered, under_way = (SimpleNamespace(response_complete=complete) for complete in (True, False))
    closed = SimpleNamespace(cycle=None, transport=None)
    abort_idle([*(connection(cycle, aborted) for cycle in (None, answered, under_way)), closed])
    assert aborted == [None, answered]
