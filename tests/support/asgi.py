"""A call to a server's application in this process, part by part: how much of the body was taken can be seen."""

from __future__ import annotations

import atexit
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    taken: int  #: parts of the request's body that the application asked for
    headers: Mapping[str, str] = field(default_factory=dict)  #: their names in lower case

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def outcome(self) -> tuple[int, str]:
        """The status, and the detail code of an error."""
        return self.status, self.json["error"]["details"][0]["code"] if self.status >= 400 else ""


def ask(
    app: ASGIApp,
    method: str,
    address: str,
    headers: Mapping[str, str],
    body: Iterable[bytes] = (),
    port: int = 10010,
) -> Answer:
    """Return the application's answer.

    A tuple or list of one part has its length in the head. Other bodies are chunked, and made as they are asked for.
    """
    given = {"host": f"127.0.0.1:{port}", **{name.lower(): value for name, value in headers.items()}}
    if isinstance(body, list | tuple) and len(body) == 1:
        given["content-length"] = str(len(body[0]))
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", port),
    }
    answer = _loop().call(_outcome, app, scope, body)
    if isinstance(answer, BaseException):
        raise answer
    return answer


@cache
def _loop() -> BlockingPortal:
    """Return the event loop of all calls. It has its own thread: a test's browser may keep a loop in the caller's."""
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(start_blocking_portal())


async def _outcome(app: ASGIApp, scope: dict[str, Any], body: Iterable[bytes]) -> Answer | BaseException:
    """Return the answer, or what was raised: a death that a test orders would end the loop."""
    try:
        return await _answer(app, scope, body)
    except BaseException as error:
        return error


async def _answer(app: ASGIApp, scope: dict[str, Any], body: Iterable[bytes]) -> Answer:
    said: list[Any] = []
    left, taken, asked = iter(body), 0, True
    answered = anyio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal taken, asked
        if not asked:  # as a server does: what comes after the body is the end of the connection, once all is answered
            await answered.wait()
            return {"type": "http.disconnect"}
        # What makes a body as it is asked for may make calls itself, and must not hold up the loop.
        part = next(left, None) if isinstance(body, list | tuple) else await to_thread.run_sync(next, left, None)
        taken, asked = taken + (part is not None), part is not None
        return {"type": "http.request", "body": part or b"", "more_body": asked}

    async def send(message: Any) -> None:
        said.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(scope, receive, send)
    sent = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Answer(said[0]["status"], b"".join(each.get("body", b"") for each in said), taken, sent)
