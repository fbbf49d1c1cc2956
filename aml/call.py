"""A call: what every handler gets of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from aml.errors import bad_request
from service.json_body import NotJson, read_json
from service.keys import carried


@dataclass(frozen=True)
class Call:
    """`base` is the address by which the caller reached this server, so that links lead back here."""

    base: str
    path: str
    names: Mapping[str, str]  #: the parts of the path that vary
    query: QueryParams
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False, default=b"")

    @property
    def token(self) -> str:
        return carried(self.headers.get("authorization"))

    @property
    def version(self) -> str:
        return self.query.get("api-version", "")

    def json(self) -> dict[str, Any]:
        """Return the body, which must be an object."""
        try:
            body = read_json(self.body)
        except NotJson as error:
            raise bad_request(f"The request body is not JSON: {error}", "body", "InvalidRequestContent") from None
        if not isinstance(body, dict):
            raise bad_request("The request body is not an object of names and values.", "body", "InvalidRequestContent")
        return body

    def number(self, name: str, most: int) -> int | None:
        """Return a number of the query that may be left out, and is at most `most`."""
        given = self.query.get(name)
        if not given:
            return None
        if not (given.isascii() and given.isdigit() and int(given[:9]) > 0):
            raise bad_request(f"The query parameter {name} is {given[:40]!r}; it must be a number above 0.", name)
        return min(int(given[:9]), most)
