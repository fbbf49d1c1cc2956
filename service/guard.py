"""Keeps other web sites in the same browser away from a service, and large bodies out of memory.

A site can name its own host and have it resolve to this machine (DNS rebinding), post to an address here, or put the
page into a frame.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import Request


class BodyTooLarge(Exception):
    """The body of a request has more bytes than are read."""


def is_for_this_machine(host: str) -> bool:
    """Return whether the Host header names this machine itself: localhost or a loopback address, with any port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        return name.lower() == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_from_this_page(headers: Headers, origin: str) -> bool:
    """Return whether a page of `origin` sent the form: a header of the browser says so, and none denies it."""
    own = (("origin", origin), ("sec-fetch-site", "same-origin"))
    said = [value == expected for name, expected in own for value in headers.getlist(name)]
    return bool(said) and all(said)


def is_from_elsewhere(headers: Headers, origin: str) -> bool:
    """Return whether a browser says that a page of another origin makes the call. Programs say nothing."""
    return any(value != origin for value in headers.getlist("origin")) or any(
        value not in ("same-origin", "none") for value in headers.getlist("sec-fetch-site")
    )


async def read_at_most(request: Request, most: int) -> bytes:
    """Return the body. Raises before more than `most` bytes are in memory, whether the request has a length or not."""
    given = request.headers.get("content-length", "")
    length = int(given) if given.isdecimal() else 0
    body = bytearray()
    if length <= most:
        async for part in request.stream():
            body += part
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise BodyTooLarge(f"The body of the request has more than {most:,} bytes, the most that is read.")
