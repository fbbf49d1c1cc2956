"""A call to a server's application in this process, part by part: how much of the body was taken can be seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import anyio
from anyio.from_thread import BlockingPortal
from starlette.applications import Starlette


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
    app: Starlette,
    method: str,
    address: str,
    headers: Mapping[str, str],
    body: Iterable[bytes] = (),
    port: int = 10010,
    portal: BlockingPortal | None = None,
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
    said: list[dict[str, Any]] = []
    left = iter(body)
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        part = next(left, None)
        taken += part is not None
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(message: Any) -> None:
        said.append(message)

    if portal:
        portal.call(app, scope, receive, send)
        return _answer(said, taken)
    # In a thread of its own: another test's browser may keep an event loop in this one.
    with ThreadPoolExecutor(1) as alone:
        alone.submit(anyio.run, app, scope, receive, send).result()
    return _answer(said, taken)


def _answer(said: list[dict[str, Any]], taken: int) -> Answer:
    sent = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Answer(said[0]["status"], b"".join(each.get("body", b"") for each in said), taken, sent)
