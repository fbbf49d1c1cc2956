"""Whose calls are answered: this machine's, and no other site's page."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from starlette.requests import Request

from aml.errors import ArmError
from aml.identity.names import leads_here
from service.guard import is_for_this_machine, is_from_elsewhere

_is_for_this_machine = lru_cache(64)(is_for_this_machine)  # every call has one of a few names


def check_sender(request: Request, names: Collection[str]) -> None:
    """Raise for a call by another name than this machine's, or by another site's page. `names` are allowed too."""
    host = request.headers.get("host", "")
    if not _is_for_this_machine(host) and not leads_here(host.partition(":")[0].lower(), names):
        message = f"The host {host[:80]!r} is not this machine; call the address that the server printed."
        raise ArmError(403, "HostNotAllowed", message, "Host")
    if is_from_elsewhere(request.headers, f"{request.scope['scheme']}://{host}"):
        raise ArmError(403, "OriginNotAllowed", "A page of another site may not call this workspace.", "Origin")
