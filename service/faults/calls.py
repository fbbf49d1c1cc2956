"""The faults that strike any call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from starlette.requests import Request
from starlette.responses import Response

from service.faults import connection
from service.faults.orders import Fault, Faults

#: of the kinds that refuse a call: what answers it
Refusal = Callable[[str, Fault], Response]
_REFUSED = ("throttled", "unavailable", "expired token")


async def misbehave(
    request: Request,
    faults: Faults,
    called: tuple[Collection[str], Collection[str]],
    refuse: Refusal,
    answer: Callable[[], Awaitable[Response]],
) -> Response:
    """Answer the call as the orders in force have it. `called` are the names of what it calls, and of its operation."""
    names, operations = called

    def struck(kind: str) -> Fault | None:
        return faults.strike(kind, names, operations)

    if struck("reset"):
        return await connection.reset(request)
    for kind in _REFUSED:
        if fault := struck(kind):
            response = refuse(kind, fault)
            response.headers["Retry-After"] = f"{fault.delay:.0f}"
            return response
    response = await answer()
    if response.status_code < 400 and struck("lost answer"):
        return await connection.drop(request)
    if fault := struck("slow"):
        await asyncio.sleep(fault.delay)
    if struck("truncated"):
        return await connection.cut(request, response)
    return response
