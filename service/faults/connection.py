"""Ends a connection as a failing network does: without an answer, with a reset, or in the middle of the answer."""

from __future__ import annotations

import asyncio
import http
import socket
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  #: SO_LINGER of no time at all


async def drop(request: Request) -> Response:
    """Close the connection; the answer returned is not sent."""
    return await _ended(_transport(request))


async def reset(request: Request) -> Response:
    """Close the connection with a reset instead of an end."""
    transport = _transport(request)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    return await _ended(transport)


async def cut(request: Request, response: Response) -> Response:
    """Send the answer's head and half of its body, and close the connection."""
    transport = _transport(request)
    status = http.HTTPStatus(response.status_code)
    head = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    body = bytes(response.body)
    transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body[: len(body) // 2])
    transport.close()
    await asyncio.sleep(0)
    return Response()


def _transport(request: Request) -> Any:
    # The server hands its own cycle's method to the application; only that leads to its connection.
    return request.receive.__self__.transport  # type: ignore[attr-defined]


async def _ended(transport: Any) -> Response:
    transport.abort()
    await asyncio.sleep(0)  # the server learns of it before an answer is returned to it
    return Response()
