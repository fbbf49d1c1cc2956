"""What is checked before a handler runs: who sends the call, and its key and length before its body is read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.guard import BodyTooLarge, is_for_this_machine, is_from_elsewhere, read_at_most
from studio.api import arm, classic
from studio.api.context import Call, Context
from studio.errors import StudioError

#: bytes of a body that is read at once: the handler looks at the key before it looks at the body
SMALL = 64 << 10
MOST = 16 << 20  #: bytes of a body
MOST_ROWS = 128 << 20  #: bytes of a body with rows to score

_WITH_BODY = ("POST", "PUT", "PATCH")
#: what raises unless the caller has a key for the operation, by the operation's API
_CHECKS: dict[str, Callable[[Context, Call], Any]] = {
    "rrs": Context.endpoint,
    "bes": Context.endpoint,
    "classic": classic.check_key,
    "workspace": Context.owned_workspace,
    "arm": arm.check_token,
}


def check_sender(request: Request, names: Collection[str]) -> None:
    """Raise for a call by another site's page. `names` are hosts that mean this server too."""
    host = request.headers.get("host", "")
    if not is_for_this_machine(host) and host.partition(":")[0].lower() not in names:
        message = f"The host {host[:80]!r} is not this machine; call 127.0.0.1, or start the server with --host."
        raise StudioError("Forbidden", "HostNotAllowed", message, "Host")
    origin = f"{request.url.scheme}://{host}"
    if is_from_elsewhere(request.headers, origin):
        raise StudioError("Forbidden", "OriginNotAllowed", "A page of another site may not call this Studio.", "Origin")


async def with_body(context: Context, request: Request, operation: str, call: Call) -> Call:
    """Return the call with its body. Raises for a large one without a key, and for one that is too large."""
    if request.method not in _WITH_BODY:
        return call
    given = request.headers.get("content-length", "")
    if not given.isdecimal() or int(given) > SMALL:
        await run_in_threadpool(_CHECKS[operation.partition(".")[0]], context, call)
    most = MOST_ROWS if operation == "rrs.execute" else MOST
    return replace(call, body=await read_body(request, most))


async def read_body(request: Request, most: int) -> bytes:
    """Return the body, or raise the catalogue's error for more than `most` bytes."""
    try:
        return await read_at_most(request, most)
    except BodyTooLarge as error:
        raise StudioError("MemoryQuotaViolation", "OutOfMemoryLimit", str(error)) from None
