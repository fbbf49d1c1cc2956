"""Online endpoints: made, changed, read, deleted, their keys and tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.responses import Response

from aml.api import operations as following
from aml.api import scope
from aml.api.listing import has_tags, listed
from aml.api.online_forms import check_endpoint_name, check_traffic, read_endpoint, read_identity
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request, not_found
from aml.identity import tokens
from aml.members import text_of
from aml.serving.gateway import audience_of, scoring_uri
from aml.state import operations
from aml.state.records import Operation, make
from aml.state.serving import Deployment, Endpoint, Served
from service.keys import new_key

TOKEN_SECONDS = 3600

S = TypeVar("S", bound=Served)


def put_endpoint(context: Context, call: Call) -> Response:
    """Make the endpoint, or replace it: what the body does not name, as its traffic, is nothing afterwards."""
    check_endpoint_name(call.names["endpoint"])
    body = call.json()
    given = scope.properties_of(body)
    properties, identity = read_endpoint(given), read_identity(body)
    path = f"onlineEndpoints/{call.names['endpoint']}"
    keys = _given_keys(given)
    fresh = make(
        Endpoint,
        path,
        properties,
        primary=keys.get("primaryKey") or new_key(),
        secondary=keys.get("secondaryKey") or new_key(),
    )
    changes: dict[str, Any] = {
        "properties": properties,
        "identity": identity,
        "tags": scope.texts_of(body, "tags"),
        "location": context.workspace.identity.location,
        "kind": body["kind"] if isinstance(body.get("kind"), str) else "Managed",
    }
    with context.serving.writes:
        check_traffic(properties, deployments_of(context, path.lower()))
        endpoint, operation, new = make_or_begin(context, fresh, "oeidp", changes)
    return answer(context, call, endpoint, operation, 201 if new else 200)


def patch_endpoint(context: Context, call: Call) -> Response:
    """Change tags and identity. Traffic cannot be changed so."""
    body = call.json()
    endpoint = endpoint_of(context, call)
    changes: dict[str, Any] = {}
    if "tags" in body:
        changes["tags"] = scope.texts_of(body, "tags")
    if body.get("identity") is not None:
        changes["identity"] = read_identity(body)
    return answer(context, call, *begin(context, endpoint, "oeidp", "Updating", changes), 200)


def get_endpoint(context: Context, call: Call) -> Response:
    return scope.answer(_shown(context, call, endpoint_of(context, call)))


def list_endpoints(context: Context, call: Call) -> Response:
    tagged, name = has_tags(call.query.get("tags") or ""), (call.query.get("name") or "").lower()

    def wanted(endpoint: Endpoint) -> bool:
        return tagged(endpoint) and name in ("", endpoint.name.lower())

    return listed(context, call, Endpoint, "onlineendpoints", lambda each: _shown(context, call, each), wanted)


def delete_endpoint(context: Context, call: Call) -> Response:
    """Delete the endpoint with its deployments."""
    found = context.workspace.records.find(Endpoint, _path(call))
    if found is None:
        return scope.answer(None, 204)
    return accepted(context, call, begin(context, found, "oeidp", "Deleting")[1])


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
    return accepted(context, call, begin(context, endpoint, "oeidp", "Updating", {kind: value})[1])


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
    found = context.workspace.records.find(Endpoint, _path(call))
    if found is None:
        raise not_found(f"The specified resource was not found: onlineEndpoints/{call.names['endpoint'][:80]}")
    return found


def deployments_of(context: Context, endpoint_id: str) -> dict[str, Deployment]:
    """Return the deployments of an endpoint by their names in lower case."""
    return {each.name.lower(): each for each in context.workspace.records.all(Deployment, f"{endpoint_id}/deployments")}


def make_or_begin(context: Context, fresh: S, kind: str, changes: Mapping[str, Any]) -> tuple[S, Operation, bool]:
    """Record the new resource, or that a change of the one that is there begins; return whether it is new."""
    records = context.workspace.records
    check_no_fault(context, fresh)
    operation = operations.begin(records, kind, fresh.id)
    made = fresh.begun("Creating", operation.id, **changes)
    kept = records.find_or_make(type(fresh), fresh.id, lambda: made)
    if kept is made:
        context.serving.carry_out(made)
        return made, operation, True
    records.delete(operation)
    return *_begun(context, kept, operations.begin(records, kind, kept.id), "Updating", changes), False


def begin(
    context: Context, resource: S, kind: str, state: str, changes: Mapping[str, Any] | None = None
) -> tuple[S, Operation]:
    """Record that a change begins, and have it carried out. Raises while another change goes on."""
    check_no_fault(context, resource)
    operation = operations.begin(context.workspace.records, kind, resource.id)
    return _begun(context, resource, operation, state, changes or {})


def _begun(
    context: Context, resource: S, operation: Operation, state: str, changes: Mapping[str, Any]
) -> tuple[S, Operation]:
    records = context.workspace.records

    def change(found: S) -> S | None:
        # Another call may have begun since.
        return None if found.moves else found.begun(state, operation.id, **changes)

    changed = records.change(type(resource), resource.id, change)
    if changed is None:
        records.delete(operation)
        check_still(records.find(type(resource), resource.id) or resource)
        raise not_found(f"The specified resource was not found: {resource.path}")
    context.serving.carry_out(changed)
    return changed, operation


def check_still(resource: Served) -> None:
    """Raise while the resource is being changed."""
    if resource.moves:
        raise _moves(resource, resource.state)


def check_no_fault(context: Context, resource: Served) -> None:
    """Raise what is ordered for a write."""
    if context.faults.strike("updating", resource.names):
        raise _moves(resource, "Updating")


def _moves(resource: Served, state: str) -> ArmError:
    kind = "endpoint" if isinstance(resource, Endpoint) else "deployment"
    message = (
        f"Cannot perform this operation on the {kind} {resource.name}, because it is in {state} provisioning state. "
        "Try again when the operation has ended."
    )
    return ArmError(400, "BadRequest", message, "properties.provisioningState")


def answer(context: Context, call: Call, endpoint: Endpoint, operation: Operation, status: int) -> Response:
    headers = following.headers(context, call, operation, located=False)
    return scope.answer(_shown(context, call, endpoint), status, headers)


def accepted(context: Context, call: Call, operation: Operation) -> Response:
    """Answer 202 for a change that has no other answer."""
    return scope.answer(None, 202, following.headers(context, call, operation, located=True))


def with_operation(context: Context, call: Call, resource: Served, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties as they are answered: with the state, and where the last operation is followed."""
    own = {"AzureAsyncOperationUri": following.address(context, call, resource.operation)}
    return {
        **properties,
        "properties": {**properties["properties"], **own},
        "provisioningState": resource.state,
    }


def _shown(context: Context, call: Call, endpoint: Endpoint) -> dict[str, Any]:
    uri = scoring_uri(call.base, endpoint.name)
    shown = with_operation(context, call, endpoint, endpoint.properties)
    return {
        **scope.shown(context, endpoint),
        "location": endpoint.location,
        "kind": endpoint.kind,
        "tags": endpoint.tags,
        "identity": _shown_identity(context, endpoint.identity),
        "properties": {**shown, "scoringUri": uri, "swaggerUri": f"{uri}/swagger.json"},
    }


def _shown_identity(context: Context, identity: dict[str, Any]) -> dict[str, Any]:
    known = context.workspace.identity
    own = {"principalId": known.principal, "tenantId": known.tenant}
    return {**identity, **(own if "system" in identity["type"].lower() else {})}


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
    return f"onlineendpoints/{call.names['endpoint']}".lower()


_ENDPOINTS = f"{scope.WORKSPACE}/onlineEndpoints"
_ONE = f"{_ENDPOINTS}/{{endpoint}}"
ADDRESSES = [
    ("arm.onlineEndpoints.list", "GET", _ENDPOINTS, list_endpoints),
    ("arm.onlineEndpoints.get", "GET", _ONE, get_endpoint),
    ("arm.onlineEndpoints.put", "PUT", _ONE, put_endpoint),
    ("arm.onlineEndpoints.patch", "PATCH", _ONE, patch_endpoint),
    ("arm.onlineEndpoints.delete", "DELETE", _ONE, delete_endpoint),
    ("arm.onlineEndpoints.keys", "POST", f"{_ONE}/listKeys", list_keys),
    ("arm.onlineEndpoints.regenerateKeys", "POST", f"{_ONE}/regenerateKeys", regenerate_keys),
    ("arm.onlineEndpoints.token", "POST", f"{_ONE}/token", get_token),
]
