"""What every call of the control plane has in common: token, version, place, and the form of the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request, not_found
from aml.identity import tokens
from aml.jobs.task import ASSET
from aml.state.records import Resource, stamp
from aml.state.workspace import PROVIDER
from service.keys import new_id

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
WORKSPACES = f"{GROUP}/providers/{PROVIDER}/workspaces"
WORKSPACE = f"{WORKSPACES}/{{workspace}}"
R = TypeVar("R", bound=Resource)

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-\w+)?")


def enter(context: Context, call: Call) -> None:
    """Raise unless the caller may make the call: a token, a version, and the workspace that is here."""
    enter_data(context, call)
    if "/providers/" in call.path.lower() and not _VERSION.fullmatch(call.version):
        if not call.version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise bad_request(message, "api-version", "MissingApiVersionParameter")
        message = f"The api-version {call.version[:40]!r} is invalid; it is a date, as 2025-12-01."
        raise bad_request(message, "api-version", "InvalidApiVersionParameter")


def enter_data(context: Context, call: Call) -> None:
    """Raise unless the caller may call the workspace's data planes, which need no version."""
    tokens.check(context.workspace.identity, call.token, audiences(call))
    check_place(context, call)


def audiences(call: Call) -> frozenset[str]:
    """Return for what a token may be that opens the control plane: the service's names, and this server's address."""
    return frozenset({*tokens.MANAGEMENT, *tokens.MACHINE_LEARNING, call.base})


def check_place(context: Context, call: Call) -> None:
    """Raise unless the path names this subscription, group and workspace, in any case."""
    known = context.workspace.identity
    if (given := call.names.get("subscription", known.subscription)).lower() != known.subscription.lower():
        raise not_found(f"The subscription '{given}' could not be found.", "SubscriptionNotFound")
    if (given := call.names.get("group", known.group)).lower() != known.group.lower():
        raise not_found(f"Resource group '{given}' could not be found.", "ResourceGroupNotFound")
    if (given := call.names.get("workspace", known.workspace)).lower() != known.workspace.lower():
        what = f"The Resource '{PROVIDER}/workspaces/{given}' under resource group '{known.group}' was not found."
        raise not_found(what, "ResourceNotFound")


def check_name(name: str, what: str) -> None:
    if not ASSET.fullmatch(name):
        message = f"The {what} {name[:80]!r} is invalid. It has 1 to 255 letters, digits, '-', '_' and '.'."
        raise bad_request(message, what)


def find(context: Context, kind: type[R], path: str) -> R:
    """Return the resource at a path below the workspace. Raises where it is not there."""
    found = context.workspace.records.find(kind, path.lower())
    if found is None:
        raise not_found(f"The specified resource was not found: {path[:300]}")
    return found


def properties_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the member `properties` of a body, which must be an object. What is null counts as not given."""
    given = body.get("properties")
    if not isinstance(given, dict):
        raise bad_request("The body has no object 'properties'.", "properties")
    return {name: value for name, value in given.items() if value is not None}


def texts_of(members: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a member that is an object of texts, such as `tags`. Numbers become texts, what is null is left out."""
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str | int | float | None) for each in value.values()):
        raise bad_request(f"The member '{name}' must be an object of names and texts.", name)
    return {key: str(each) for key, each in value.items() if each is not None}


def shown(context: Context, resource: Resource) -> dict[str, Any]:
    """Return the resource as it is answered."""
    parts = resource.path.split("/")
    kinds = "/".join(["workspaces", *parts[::2]])
    return {
        "id": f"{context.workspace.id}/{resource.path}",
        "name": resource.name,
        "type": f"{PROVIDER}/{kinds}",
        "properties": resource.properties,
        "systemData": system_data(resource),
    }


def system_data(resource: Resource) -> dict[str, str]:
    return {
        "createdAt": stamp(resource.created),
        "createdBy": "local",
        "createdByType": "User",
        "lastModifiedAt": stamp(resource.modified),
        "lastModifiedBy": "local",
        "lastModifiedByType": "User",
    }


def answer(body: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer; `None` is an empty body."""
    content = b"" if body is None else msgspec.json.encode(body)
    kind = None if body is None else "application/json; charset=utf-8"
    return Response(content, status, {"Cache-Control": "no-cache", **(headers or {})}, kind)


def refused(error: ArmError) -> Response:
    return answer(error.body, error.status, error.headers)


def numbered(response: Response) -> Response:
    """Return the answer with the ids by which a real one is looked for in a log."""
    for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
        response.headers.setdefault(name, new_id())
    return response
