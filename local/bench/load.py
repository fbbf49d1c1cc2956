"""Clients that score without pause over loopback, each on a connection that stays open."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec


@dataclass(frozen=True)
class Target:
    """One request to a server, again and again. `labels` reads the predictions out of an answer."""

    url: str
    body: bytes
    labels: Callable[[Any], list[str]]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str = ""  #: the file of the certificate to trust, for https


class Scoring(Protocol):
    def score(self) -> bytes: ...


class Client:
    def __init__(self, target: Target) -> None:
        self._target, parts = target, urlsplit(target.url)
        self._connection = _connection(str(parts.hostname), parts.port, target.authority)
        self.answered: Mapping[str, str] = {}  #: the headers of the last answer
        self._path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._headers = {"Content-Type": "application/json", **target.headers}

    def score(self) -> bytes:
        self._connection.request("POST", self._path, self._target.body, self._headers)
        answer = self._connection.getresponse()
        content, self.answered = answer.read(), dict(answer.headers)
        if answer.status != 200:
            raise RuntimeError(f"{self._target.url} answered {answer.status}: {content[:300]!r}")
        return content

    def labels(self) -> list[str]:
        return self._target.labels(msgspec.json.decode(self.score()))

    def times(self, count: int) -> list[float]:
        return [timed(self.score) for _ in range(count)]

    def times_until(self, ended: Callable[[], bool]) -> list[float]:
        times = []
        while not ended():
            times.append(timed(self.score))
        return times


def _connection(host: str, port: int | None, authority: str) -> http.client.HTTPConnection:
    if not authority:
        return http.client.HTTPConnection(host, port, timeout=120)
    trusting = ssl.create_default_context(cafile=authority)
    return http.client.HTTPSConnection(host, port, timeout=120, context=trusting)


def timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def throughput(client_of: Callable[[], Scoring], clients: int, seconds: float) -> float:
    """Return how many requests a second the clients had answered together."""
    counts: list[int] = []
    failures: list[BaseException] = []
    begun = time.perf_counter()

    def work() -> None:
        try:
            client, count = client_of(), 0
            while time.perf_counter() - begun < seconds:
                client.score()
                count += 1
            counts.append(count)
        except BaseException as error:
            failures.append(error)

    run_all([threading.Thread(target=work) for _ in range(clients)])
    if failures:
        raise failures[0]
    return sum(counts) / (time.perf_counter() - begun)


def run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
