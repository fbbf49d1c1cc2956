"""Counts the records that a call reads from a database."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import msgspec
import pytest

#: set within the call, also in the threads that work for it; threads that other tests left read too
_counted: ContextVar[bool] = ContextVar("_counted", default=False)


def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """Return what counts the records that a call reads."""
    read, decode = [0], msgspec.json.decode

    def decoded(*given: Any, **options: Any) -> Any:
        read[0] += _counted.get()
        return decode(*given, **options)

    def read_by(call: Callable[[], Any]) -> int:
        before, token = read[0], _counted.set(True)
        try:
            call()
        finally:
            _counted.reset(token)
        return read[0] - before

    monkeypatch.setattr("msgspec.json.decode", decoded)
    return read_by
