"""Tables of addresses: each call has an operation, and is answered by what stands at its method and path."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from aml.call import Call
from aml.context import Context

Handler = Callable[[Context, Call], Response]
#: operation, method, path, handler. The operation's first word is its plane
Address = tuple[str, str, str, Handler]


def of_resources(
    operation: str, one: str, listed: Handler, get: Handler, put: Handler, delete: Handler, patch: Handler | None = None
) -> list[Address]:
    """Return the addresses of resources. `one` is the path of a resource, and their list is at the path above it."""
    return [
        (f"{operation}.list", "GET", one.rpartition("/")[0], listed),
        (f"{operation}.get", "GET", one, get),
        (f"{operation}.put", "PUT", one, put),
        *([(f"{operation}.patch", "PATCH", one, patch)] if patch else []),
        (f"{operation}.delete", "DELETE", one, delete),
    ]


def below(place: str, operation: str, *calls: tuple[str, str, Handler]) -> list[Address]:
    """Return the addresses of calls of one operation, each given by its method and its path below the place."""
    return [(operation, method, f"{place}/{path}", handler) for method, path, handler in calls]
