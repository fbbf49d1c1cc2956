"""What every API needs: the Studio, its jobs, and the call with its key and body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.errors import bad_argument, body_invalid, not_found, unauthorized
from studio.jobs import JobRunner
from studio.keys import carried
from studio.publishing import Studio
from studio.records import Endpoint


@dataclass(frozen=True)
class Call:
    """One request. `base` is the address by which the caller reached this server, so that links lead back here."""

    base: str
    path: str
    names: Mapping[str, str]  #: the parts of the path that vary
    query: Mapping[str, str]
    authorization: str | None = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def key(self) -> str:
        return carried(self.authorization)

    def check_version(self, *versions: str) -> None:
        given = self.query.get("api-version")
        if given not in versions:
            raise bad_argument("BadVersionCall", f"The API version {given!r} is not one of: {', '.join(versions)}.")

    def json(self) -> dict[str, Any]:
        """Return the body, which must be an object."""
        try:
            body = json.loads(self.body)
        except ValueError:
            raise body_invalid() from None
        if not isinstance(body, dict):
            raise body_invalid()
        return body


@dataclass(frozen=True)
class Context:
    """`switch_after`: seconds until an update of a model takes effect."""

    studio: Studio
    jobs: JobRunner
    switch_after: float

    def endpoint(self, call: Call) -> Endpoint:
        """Return the endpoint of a data-plane address, if the caller has one of its keys."""
        endpoint = self.studio.records.find(Endpoint, call.names["endpoint"])
        if endpoint is None or not self._is_under(call, endpoint):
            raise not_found("WebServiceNotFound", f"No web service has the id {call.names['endpoint']}.")
        if not endpoint.opens(call.key):
            raise unauthorized("ScoreRequestUnauthorized")
        return endpoint

    def _is_under(self, call: Call, endpoint: Endpoint) -> bool:
        identity = self.studio.identity
        if endpoint.parent.startswith("/"):
            return call.names.get("subscription") == identity.subscription.replace("-", "")
        return call.names.get("workspace") == identity.workspace
