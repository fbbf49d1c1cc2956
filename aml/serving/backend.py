"""The gateway's connections to the process of one deployment: kept alive, and only as many calls as it takes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from aml.serving.container import HEAD, LENGTH


class TooManyPending(Exception):
    """Twice as many calls as it works on at once are pending."""


class TimedOut(Exception):
    """The answer took longer than the deployment's request timeout."""


class Broken(Exception):
    """The process ended, or no longer answers."""


class Gone(Exception):
    """This process takes no further calls, because another one serves the deployment."""


class Reply(NamedTuple):
    status: int
    milliseconds: float
    body: bytes


@dataclass(frozen=True)
class Limits:
    """`at_once` calls are worked on at once; a call takes `seconds` at most."""

    at_once: int
    seconds: float


class Backend:
    """Lives in the server's event loop. Another thread reads `pending`, and may close it."""

    def __init__(self, port: int, secret: str, limits: Limits) -> None:
        self._port, self._secret, self.limits = port, secret.encode(), limits
        self._idle: list[_Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._working = 0
        self._beginning: set[asyncio.Task[None]] = set()
        self.pending = 0
        self.closed = False

    async def ask(self, body: bytes) -> Reply:
        """Return the answer of the process."""
        self.pending += 1  # before it is seen whether it is closed: who closes it waits for what is pending
        if self.closed or self.pending > 2 * self.limits.at_once:
            self.pending -= 1
            raise Gone if self.closed else TooManyPending
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        timer = loop.call_later(self.limits.seconds, _time_out, answer)
        try:
            # The model goes on with a call that took too long, and with one whose caller has gone: its place stays
            # taken until it is done.
            if self._working < self.limits.at_once and self._idle:
                self._working += 1
                self._begin(self._idle.pop(), body, answer)
            else:
                task = loop.create_task(self._begin_in_turn(body, answer))
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)
            return await answer
        finally:
            timer.cancel()

    async def _begin_in_turn(self, body: bytes, answer: asyncio.Future[Reply]) -> None:
        await self._enter()
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
        except OSError:
            self._done(None, answer, Broken())
        else:
            self._begin(connection, body, answer)

    def _begin(self, connection: _Connection, body: bytes, answer: asyncio.Future[Reply]) -> None:
        """Send the body; `answer` gets the reply, if somebody still waits for it."""
        connection.exchange(body, lambda reply: self._done(connection, answer, reply))

    def _done(self, connection: _Connection | None, answer: asyncio.Future[Reply], reply: Reply | Broken) -> None:
        self.pending -= 1
        if connection is not None and isinstance(reply, Reply):
            self._idle.append(connection)
        if not answer.done():
            if isinstance(reply, Reply):
                answer.set_result(reply)
            else:
                answer.set_exception(reply)
        self._leave()

    async def _enter(self) -> None:
        """Wait for a place; who comes first has it first."""
        if self._working < self.limits.at_once:
            self._working += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn  # the place is handed over: the number of those at work stays

    def _leave(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._working -= 1

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        connection.send(self._secret)
        return connection


def _time_out(answer: asyncio.Future[Reply]) -> None:
    if not answer.done():
        answer.set_exception(TimedOut())


class _Connection(asyncio.Protocol):
    """One exchange at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answered: Callable[[Reply | Broken], None] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, content: bytes) -> None:
        self._transport.write(LENGTH.pack(len(content)) + content)

    def exchange(self, body: bytes, done: Callable[[Reply | Broken], None]) -> None:
        """Send the body; `done` is called once, with the reply, or with the reason why none comes."""
        if self._transport.is_closing():
            done(Broken())
            return
        self._answered = done
        self.send(body)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < HEAD.size or self._answered is None:
            return
        length, status, microseconds = HEAD.unpack_from(self._received)
        if len(self._received) >= HEAD.size + length:
            body = bytes(self._received[HEAD.size :])
            self._received.clear()
            done, self._answered = self._answered, None
            done(Reply(status, microseconds / 1000, body))

    def connection_lost(self, _: Exception | None) -> None:
        if self._answered is not None:
            done, self._answered = self._answered, None
            done(Broken())
