"""The HTTP calls of the app to the storage and to the services: which, how long each took, and for which step."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests.adapters

from local.children import ROOT

FLOWS, STORE = (f"{ROOT / 'shared' / folder}{os.sep}" for folder in ("flows", "store"))


@dataclass(frozen=True)
class Call:
    """`to` is storage or a service, `what` its address without host and names; `reason` the functions that make it."""

    to: str
    method: str
    what: str
    status: int
    seconds: float
    reason: str


@contextmanager
def recorded(storage: str) -> Iterator[list[Call]]:
    """Record every HTTP call of this process: to the storage by its address, and else to a service."""
    calls: list[Call] = []
    send: Callable[..., requests.Response] = requests.adapters.HTTPAdapter.send
    place = urlsplit(storage)

    def recording(self: Any, request: Any, *arguments: Any, **options: Any) -> requests.Response:
        begun = time.perf_counter()
        answer = send(self, request, *arguments, **options)
        parts, seconds = urlsplit(request.url), time.perf_counter() - begun
        is_storage = parts.netloc == place.netloc
        what = _of_storage(parts, place.path, request.headers) if is_storage else _short(parts.path)
        to = "storage" if is_storage else "service"
        calls.append(Call(to, request.method, what, answer.status_code, seconds, _reason()))
        return answer

    requests.adapters.HTTPAdapter.send = recording  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]


@contextmanager
def counted(storage: str) -> Iterator[Counter[str]]:
    """Count the HTTP calls to the storage by method, once the context has ended."""
    counter: Counter[str] = Counter()
    try:
        with recorded(storage) as calls:
            yield counter
    finally:
        counter.update(call.method for call in calls if call.to == "storage")


def _of_storage(parts: Any, account: str, headers: Any) -> str:
    """Return the blob's path, and what is done to it where the method alone does not say it."""
    query = parse_qs(parts.query)
    done = [f"{word} {headers.get('x-ms-lease-action', '')}".strip() for word in query.get("comp", [])]
    prefix = [f"prefix {word}" for word in query.get("prefix", [])]
    return " ".join([_short(parts.path.removeprefix(account)), *done, *prefix])


def _short(path: str) -> str:
    """Return the path with the long hexadecimal names cut."""
    return re.sub(r"[0-9a-f]{12,}", lambda match: f"{match[0][:6]}…", path.strip("/"))


def _reason() -> str:
    """Return which flow makes the call, in which of its steps, and for which record."""
    flow: list[str] = []
    record = ""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        code, frame = frame.f_code, frame.f_back
        if code.co_filename.startswith(FLOWS) and "<" not in code.co_qualname:
            flow.append(code.co_qualname)
        elif code.co_filename.startswith(STORE) and "Shelf" not in code.co_qualname:
            record = code.co_qualname
    begun = " ... ".join(dict.fromkeys([*flow[-1:], *reversed(flow[:2])]))
    return f"{begun}: {record}" if record else begun
