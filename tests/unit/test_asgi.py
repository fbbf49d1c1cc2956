"""What calls a server's application in this process ends as a server's connection does."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tests.support.asgi import ask


def test_an_answer_in_parts_ends_and_asks_only_for_the_body() -> None:
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> object:
            message = await receive()
            asked.append(message["type"])
            return message

        body = await Request(scope, counted).body()  # type: ignore[arg-type]
        await StreamingResponse(_parts(body), 201)(scope, counted, send)  # type: ignore[arg-type]

    answer = ask(app, "POST", "/", {}, [b"ab", b"c"])
    assert (answer.status, answer.body, answer.taken) == (201, b"abc" * 3, 2)
    assert asked[:3] == ["http.request"] * 3
    assert asked[3:] in ([], ["http.disconnect"])


def _parts(body: bytes) -> Iterator[bytes]:
    for _ in range(3):
        yield body
