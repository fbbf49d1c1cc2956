"""Online endpoints: made, changed, read, deleted, their keys and tokens."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import scope
from aml.api.changes import begin, delete, followed, make_or_begin, read_frame, shown_endpoint
from aml.api.listing import has_tags, listed
from aml.api.online_forms import check_endpoint_name, check_traffic, read_changes, read_endpoint, read_identity
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.identity import tokens
from aml.identity.names import scoring_uri
from aml.members import text_of
from aml.serving.gateway import audience_of
from aml.state.records import Operation, make
from aml.state.serving import Deployment, Endpoint
from service.keys import new_key

TOKEN_SECONDS = 3600


def put_endpoint(context: Context, call: Call) -> Response:
    """Make the endpoint, or replace it: what the body does not name, as its traffic, is nothing afterwards."""
    check_endpoint_name(call.names["endpoint"])
    body = call.json()
    given = scope.properties_of(body)
    properties, identity = read_endpoint(given), read_identity(body)
    path = _path(call)
    keys = _given_keys(given)
    fresh = make(
        Endpoint,
        path,
        properties,
        primary=keys.get("primaryKey") or new_key(),
        secondary=keys.get("secondaryKey") or new_key(),
    )
    changes = {"properties": properties, "identity": identity, **read_frame(context, body)}
    with context.serving.writes:
        check_traffic(properties, deployments_of(context, path.lower()))
        endpoint, operation, new = make_or_begin(context, fresh, "oeidp", changes)
    return answer(context, call, endpoint, operation, 201 if new else 200)


def patch_endpoint(context: Context, call: Call) -> Response:
    """Change tags and identity. Traffic cannot be changed so."""
    body = call.json()
    endpoint = endpoint_of(context, call)
    return answer(context, call, *begin(context, endpoint, "oeidp", "Updating", read_changes(body)), 200)


def get_endpoint(context: Context, call: Call) -> Response:
    endpoint = endpoint_of(context, call)
    if context.faults.strike("other writer", endpoint.names):
        there = deployments_of(context, endpoint.id).values()
        least = min((each.name for each in there), key=lambda name: endpoint.traffic.get(name, 0), default=None)
        context.serving.overwrite(endpoint.name.lower(), {least: 100} if least else {})
    return scope.answer(_shown(context, call, endpoint))


def list_endpoints(context: Context, call: Call) -> Response:
    tagged, name = has_tags(call.query.get("tags") or ""), (call.query.get("name") or "").lower()

    def wanted(endpoint: Endpoint) -> bool:
        return tagged(endpoint) and name in ("", endpoint.name.lower())

    return listed(context, call, Endpoint, "onlineendpoints", lambda each: _shown(context, call, each), wanted)


def delete_endpoint(context: Context, call: Call) -> Response:
    """Delete the endpoint with its deployments."""
    return delete(context, call, context.workspace.records.find(Endpoint, _path(call).lower()), "oeidp")


def list_keys(context: Context, call: Call) -> Response:
    endpoint = endpoint_of(context, call)
    _check_mode(endpoint, "Key")
    return scope.answer({"primaryKey": endpoint.primary, "secondaryKey": endpoint.secondary})


def regenerate_keys(context: Context, call: Call) -> Response:
    body = call.json()
    endpoint = endpoint_of(context, call)
    _check_mode(endpoint, "Key")
    kind = str(body.get("keyType") or "").lower()
    if kind not in ("primary", "secondary"):
        raise bad_request("keyType can be Primary or Secondary.", "keyType")
    value = text_of(body, "keyValue", required=False)
    if value in ("", getattr(endpoint, kind)):  # the official client sends the present key, and wants another one
        value = new_key()
    return followed(context, call, begin(context, endpoint, "oeidp", "Updating", {kind: value})[1])


def get_token(context: Context, call: Call) -> Response:
    """Answer a token that opens the endpoint alone."""
    endpoint = endpoint_of(context, call)
    _check_mode(endpoint, "AMLToken")
    token, expires = tokens.issue(context.workspace.identity, audience_of(endpoint.id), TOKEN_SECONDS)
    refresh = int(time.time()) + TOKEN_SECONDS // 2
    body = {"accessToken": token, "expiryTimeUtc": expires, "refreshAfterTimeUtc": refresh, "tokenType": "Bearer"}
    return scope.answer(body)


def endpoint_of(context: Context, call: Call) -> Endpoint:
    """Return the endpoint that the call names."""
    return scope.find(context, Endpoint, _path(call))


def deployments_of(context: Context, endpoint_id: str) -> dict[str, Deployment]:
    """Return the deployments of an endpoint by their names in lower case."""
    return {each.name.lower(): each for each in context.workspace.records.all(Deployment, f"{endpoint_id}/deployments")}


def answer(context: Context, call: Call, endpoint: Endpoint, operation: Operation, status: int) -> Response:
    return followed(context, call, operation, _shown(context, call, endpoint), status)


def _shown(context: Context, call: Call, endpoint: Endpoint) -> dict[str, Any]:
    return shown_endpoint(context, call, endpoint, scoring_uri(context.workspace, call.base, endpoint.name))


def _given_keys(given: dict[str, Any]) -> dict[str, str]:
    keys = given.get("keys")
    if keys is None:
        return {}
    if not isinstance(keys, dict):
        raise bad_request("The member 'properties.keys' must be an object.", "properties.keys")
    return {name: text_of(keys, name, required=False) for name in ("primaryKey", "secondaryKey")}


def _check_mode(endpoint: Endpoint, mode: str) -> None:
    if endpoint.properties["authMode"] != mode:
        message = f"The endpoint {endpoint.name} has the authMode {endpoint.properties['authMode']}, not {mode}."
        raise bad_request(message, "properties.authMode")


def _path(call: Call) -> str:
    return f"onlineEndpoints/{call.names['endpoint']}"


_ONE = f"{scope.WORKSPACE}/onlineEndpoints/{{endpoint}}"
ADDRESSES = [
    *of_resources(
        "arm.onlineEndpoints", _ONE, list_endpoints, get_endpoint, put_endpoint, delete_endpoint, patch_endpoint
    ),
    ("arm.onlineEndpoints.keys", "POST", f"{_ONE}/listKeys", list_keys),
    ("arm.onlineEndpoints.regenerateKeys", "POST", f"{_ONE}/regenerateKeys", regenerate_keys),
    ("arm.onlineEndpoints.token", "POST", f"{_ONE}/token", get_token),
]
