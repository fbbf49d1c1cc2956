"""What every API needs: the Studio, its jobs, the faults on order, and the call with its key and body."""

from __future__ import annotations

import codecs
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from studio.errors import bad_argument, body_invalid, not_found, unauthorized
from studio.faults import Fault, Faults
from studio.jobs import JobRunner
from studio.keys import carried
from studio.publishing import Studio
from studio.records import NEVER, Endpoint, Service


@dataclass(frozen=True)
class Call:
    """One request. `base` is the address by which the caller reached this server, so that links lead back here.

    `at_once` counts the calls to the same endpoint that are being answered, this one included.
    """

    base: str
    path: str
    names: Mapping[str, str]  #: the parts of the path that vary
    query: Mapping[str, str]
    authorization: str | None = field(repr=False)
    body: bytes = field(repr=False)
    at_once: int = 1

    @property
    def key(self) -> str:
        return carried(self.authorization)

    def check_version(self, *versions: str) -> str:
        given = self.query.get("api-version")
        if given not in versions:
            raise bad_argument("BadVersionCall", f"The API version {given!r} is not one of: {', '.join(versions)}.")
        return given

    def json(self) -> dict[str, Any]:
        """Return the body, which must be an object."""
        try:
            # .NET writes a byte order mark where it is told nothing else.
            body = msgspec.json.decode(self.body.removeprefix(codecs.BOM_UTF8))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise body_invalid() from None
        if not isinstance(body, dict):
            raise body_invalid()
        return body


@dataclass(frozen=True)
class Context:
    studio: Studio
    jobs: JobRunner
    faults: Faults

    def endpoint(self, call: Call) -> Endpoint:
        """Return the endpoint of a data-plane address, if the caller has one of its keys."""
        endpoint = self.open_endpoint(call)
        if not endpoint.opens(call.key):
            raise unauthorized("ScoreRequestUnauthorized")
        return endpoint

    def open_endpoint(self, call: Call) -> Endpoint:
        """Return the endpoint of a data-plane address to whoever asks."""
        endpoint = self.studio.records.find(Endpoint, call.names["endpoint"])
        if endpoint is None or not self._is_under(call, endpoint):
            raise not_found("WebServiceNotFound", f"No web service has the id {call.names['endpoint']}.")
        return endpoint

    def strike(self, kind: str, endpoint: Endpoint) -> Fault | None:
        """Return the fault of this kind that is on order for the endpoint, and use it up by one."""
        return self.faults.strike(kind, (endpoint.id, endpoint.name)) if self.faults.any else None

    def update_begins(self, endpoint: Endpoint) -> float:
        """Return when an update of its model takes effect, in seconds since the epoch; 0 is at once."""
        if self.strike("deaf", endpoint):
            return NEVER
        late = self.strike("late", endpoint)
        return time.time() + late.delay if late else 0.0

    def _is_under(self, call: Call, endpoint: Endpoint) -> bool:
        if endpoint.parent.startswith("/"):
            return call.names.get("subscription") == self.studio.identity.subscription.replace("-", "")
        service = self.studio.records.find(Service, endpoint.parent)
        return service is not None and service.parent == call.names.get("workspace")
