"""Keeps other web sites in the same browser away from the page.

A site can name its own host and have it resolve to this machine (DNS rebinding), post a form to an address here, or put
the page into a frame.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers

#: The page may load its own style sheet and icon, and nothing else from anywhere; it has no scripts.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With less of a referrer a browser would hide the origin of a form too.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_for_this_machine(host: str) -> bool:
    """Return whether the Host header names this machine itself: localhost or a loopback address, with any port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        return name.lower() == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_from_this_page(headers: Headers, origin: str) -> bool:
    """Return whether a form was sent by a page of `origin`: the browser says so in at least one header, in none not."""
    said = [
        headers[name] == own for name, own in (("origin", origin), ("sec-fetch-site", "same-origin")) if name in headers
    ]
    return bool(said) and all(said)
