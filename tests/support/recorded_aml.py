"""`python -m tests.support.recorded_aml FILE serve ...`: the local workspace as a program that writes its calls down.

Each line of the file is a call that had an answer: its method, path, body and status, and the answer's body.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import aml.server
from aml.__main__ import main

_built = aml.server.build


class Recorder:
    """An application that writes the calls of another one down."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app, self._file = app, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent, answered, status = bytearray(), bytearray(), 0

        async def receiving() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receiving, sending)
        call = {"method": scope["method"], "path": scope["path"], "status": status}
        line = {**call, "sent": _parsed(sent), "answered": _parsed(answered)}
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


if __name__ == "__main__":
    record = Path(sys.argv.pop(1))
    aml.server.build = lambda *arguments: Recorder(_built(*arguments), record)  # type: ignore[assignment]
    sys.exit(main())
