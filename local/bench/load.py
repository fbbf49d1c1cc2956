"""Clients that score without pause over loopback, each on a connection that stays open."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httptools
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
    """A connection that stays open. It does as little as a request needs: what is measured is the server."""

    def __init__(self, target: Target) -> None:
        self._target, parts = target, urlsplit(target.url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._trusting = ssl.create_default_context(cafile=target.authority) if target.authority else None
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Content-Length": str(len(target.body)),
            **target.headers,
        }
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + target.body
        self._connection: socket.socket | None = None
        self._answer = _Answer()

    @property
    def answered(self) -> Mapping[str, str]:
        """The headers of the last answer, their names in lower case."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._answer.headers}

    def score(self) -> bytes:
        connection = self._connection = self._connection or self._connect()
        answer = self._answer = _Answer()
        connection.sendall(self._request)
        while not answer.complete:
            received = connection.recv(1 << 16)
            if not received:
                raise RuntimeError(f"{self._target.url} closed the connection before its answer was complete")
            answer.parser.feed_data(received)
        if not answer.stays_open:
            connection.close()
            self._connection = None
        content = bytes(answer.content)
        if (status := answer.parser.get_status_code()) != 200:
            raise RuntimeError(f"{self._target.url} answered {status}: {content[:300]!r}")
        return content

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._trusting.wrap_socket(connection, server_hostname=self._host) if self._trusting else connection

    def labels(self) -> list[str]:
        return self._target.labels(msgspec.json.decode(self.score()))

    def times(self, count: int) -> list[float]:
        return [timed(self.score) for _ in range(count)]

    def times_until(self, ended: Callable[[], bool]) -> list[float]:
        times = []
        while not ended():
            times.append(timed(self.score))
        return times


class _Answer:
    """What the parser reads of an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = bytearray()
        self.complete = self.stays_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        self.content += part

    def on_message_complete(self) -> None:
        self.complete = True
        self.stays_open = self.parser.should_keep_alive()  # the parser does not know it any more afterwards


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
