"""What every API needs: the Studio, its jobs, the faults on order, and the call with its key and body."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.faults.orders import Fault
from service.json_body import NotJson, read_json
from service.keys import carried
from studio.api.casing import cased
from studio.errors import StudioError, bad_argument, body_invalid, not_found, unauthorized
from studio.faults.orders import Faults
from studio.jobs.runner import JobRunner
from studio.publishing import Studio
from studio.state.records import NEVER, Endpoint, Service, Workspace

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Call:
    """One request. `base` is the address by which the caller reached this server, so that links lead back here.

    `at_once` counts the calls of its operation to its endpoint that are being answered, this one included.
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
            message = f"Invalid version parameter was passed during the API call: {given}. It can be: "
            raise bad_argument("BadVersionCall", f"{message}{', '.join(versions)}.", "api-version")
        return given

    def choice(self, name: str, *values: str) -> str | None:
        """Return a query parameter that may be left out: one of the values, in lower case."""
        given = self.query.get(name)
        if given is not None and given.lower() not in values:
            message = f"Invalid query parameter '{name}'. It is {given!r}; it can be: {', '.join(values)}."
            raise bad_argument("InvalidQueryParameter", message, name)
        return given.lower() if given else None

    def json(self) -> dict[str, Any]:
        """Return the body, which must be an object."""
        try:
            body = read_json(self.body)
        except NotJson as error:
            raise body_invalid(str(error)) from None
        if body is None:
            raise bad_argument("RequestIsEmpty", "No request provided. Provide a valid request and try again.")
        if not isinstance(body, dict):
            raise body_invalid("It is not an object of names and values.")
        return body

    def members(self, kind: type) -> dict[str, Any]:
        """Return the members of the body that the kind names, given in any case; the others are passed over."""
        return dict(cased(self.json(), kind))


@dataclass(frozen=True)
class Context:
    studio: Studio
    jobs: JobRunner
    faults: Faults
    control: bool = False  #: whether orders for faults are taken

    def endpoint(self, call: Call) -> Endpoint:
        """Return the endpoint of a data-plane address, if the caller has one of its keys."""
        endpoint = self.open_endpoint(call)
        if not endpoint.opens(call.key):
            raise unauthorized("ScoreRequestUnauthorized")
        return endpoint

    def open_endpoint(self, call: Call) -> Endpoint:
        """Return the endpoint of a data-plane address, without a check of the key."""
        endpoint_id = call.names["endpoint"]
        check_id(endpoint_id)
        endpoint = self.studio.records.find(Endpoint, endpoint_id)
        is_new = endpoint is not None and endpoint.parent.startswith("/")
        if endpoint is None or is_new != ("subscription" in call.names):
            raise not_found("WebServiceNotFound", f"Web service not found: {endpoint_id}.")
        if is_new:
            self._check_subscription(call)
        else:
            self._check_workspace(call, endpoint)
        return endpoint

    def workspace(self, call: Call) -> Workspace:
        """Return the workspace of an address, without a check of the token."""
        workspace_id = call.names["workspace"]
        found = self.studio.records.find(Workspace, workspace_id)
        if found is None and workspace_id == self.studio.identity.workspace:
            found = self.studio.workspace
        if found is None:
            raise not_found("WorkspaceNotFound", f"No workspace has the id {workspace_id}.")
        return found

    def owned_workspace(self, call: Call) -> Workspace:
        """Return the workspace, if the caller has one of its tokens."""
        workspace = self.workspace(call)
        if not workspace.opens(call.key):
            raise unauthorized("ManagementRequestUnauthorized")
        return workspace

    def strike(self, kind: str, endpoint: Endpoint) -> Fault | None:
        """Return the fault of this kind that is on order for the endpoint, and use it up by one."""
        return self.faults.strike(kind, (endpoint.id, endpoint.name)) if self.faults.any else None

    def update_begins(self, endpoint: Endpoint) -> float:
        """Return when an update of its model takes effect, in seconds since the epoch; 0 is at once."""
        if self.strike("deaf", endpoint):
            return NEVER
        late = self.strike("late", endpoint)
        return time.time() + late.delay if late else 0.0

    def _check_subscription(self, call: Call) -> None:
        if call.names["subscription"] != self.studio.identity.subscription.replace("-", ""):
            raise bad_argument(
                "BadSubscriptionId",
                "The subscription Id that is used to score is not the one present in the resource.",
                call.names["subscription"],
            )

    def _check_workspace(self, call: Call, endpoint: Endpoint) -> None:
        service = self.studio.records.find(Service, endpoint.parent)
        if service is None or service.parent != call.names["workspace"]:
            raise not_in_workspace(endpoint.id)


def check_id(service_id: str) -> None:
    """Raise unless it has the form of a web service's id."""
    if not _ID.fullmatch(service_id):
        raise bad_argument(
            "WebServiceIdInvalid", "Invalid web service id provided; it has 32 hexadecimal digits.", service_id
        )


def not_in_workspace(service_id: str) -> StudioError:
    return not_found("WebServiceIdNotFoundInWorkspace", f"Web service under this workspace not found: {service_id}.")
