"""Batch endpoints: made, changed, read, deleted. A call of one starts a job of its default deployment."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import scope
from aml.api.changes import begin, delete, followed, make_or_begin, read_frame, shown_endpoint
from aml.api.listing import has_tags, listed
from aml.api.online_forms import check_endpoint_name, read_changes, read_described, read_identity
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.identity.names import jobs_uri
from aml.jobs.task import members_of
from aml.members import text_of
from aml.state.records import make
from aml.state.serving import BatchDeployment, BatchEndpoint

MODE = "AADToken"  #: how callers of every batch endpoint show who they are


def put_endpoint(context: Context, call: Call) -> Response:
    """Make the endpoint, or replace it."""
    check_endpoint_name(call.names["endpoint"])
    body = call.json()
    properties = _read(scope.properties_of(body))
    fresh = make(BatchEndpoint, path_of(call), properties)
    identity = read_identity(body) if body.get("identity") else {"type": "SystemAssigned"}
    changes = {"properties": properties, "identity": identity, **read_frame(context, body)}
    with context.serving.writes:
        _check_default(context, fresh)
        endpoint, operation, new = make_or_begin(context, fresh, "bepdp", changes)
    return followed(context, call, operation, _shown(context, call, endpoint), 201 if new else 200)


def patch_endpoint(context: Context, call: Call) -> Response:
    """Change tags, identity and the default deployment."""
    body = call.json()
    endpoint = endpoint_of(context, call)
    changes = read_changes(body)
    given = members_of(body, "properties")
    if given.get("defaults") is not None:
        changes["properties"] = {**endpoint.properties, "defaults": _defaults(given)}
    with context.serving.writes:
        if "properties" in changes:
            _check_default(context, make(BatchEndpoint, endpoint.path, changes["properties"]))
        endpoint, operation = begin(context, endpoint, "bepdp", "Updating", changes)
    return followed(context, call, operation, _shown(context, call, endpoint), 200)


def get_endpoint(context: Context, call: Call) -> Response:
    return scope.answer(_shown(context, call, endpoint_of(context, call)))


def list_endpoints(context: Context, call: Call) -> Response:
    tagged = has_tags(call.query.get("tags") or "")
    return listed(context, call, BatchEndpoint, "batchendpoints", lambda each: _shown(context, call, each), tagged)


def delete_endpoint(context: Context, call: Call) -> Response:
    """Delete the endpoint with its deployments. The jobs that it started stay."""
    return delete(context, call, context.workspace.records.find(BatchEndpoint, path_of(call).lower()), "bepdp")


def list_keys(context: Context, call: Call) -> Response:
    name = endpoint_of(context, call).name
    raise bad_request(f"The endpoint {name} has the authMode {MODE}: it has no keys.", "properties.authMode")


def endpoint_of(context: Context, call: Call) -> BatchEndpoint:
    """Return the endpoint that the call names."""
    return scope.find(context, BatchEndpoint, path_of(call))


def path_of(call: Call) -> str:
    return f"batchEndpoints/{call.names['endpoint']}"


def _read(given: dict[str, Any]) -> dict[str, Any]:
    mode = text_of(given, "authMode", required=False) or MODE
    if mode.lower() != MODE.lower():
        message = f"authMode is {mode[:40]!r}; a batch endpoint has {MODE}."
        raise bad_request(message, "properties.authMode")
    return {**read_described(given), "authMode": MODE, "defaults": _defaults(given)}


def _defaults(given: dict[str, Any]) -> dict[str, str]:
    name = text_of(members_of(given, "defaults"), "deploymentName", "properties.defaults", required=False)
    return {"deploymentName": name} if name else {}


def _check_default(context: Context, endpoint: BatchEndpoint) -> None:
    """Raise unless the default deployment is there, if one is named."""
    place = f"{endpoint.id}/deployments/{endpoint.default.lower()}"
    if endpoint.default and context.workspace.records.find(BatchDeployment, place) is None:
        message = f"The default deployment {endpoint.default[:80]!r} is not there; make it first."
        raise ArmError(400, "BadRequest", message, "properties.defaults.deploymentName")


def _shown(context: Context, call: Call, endpoint: BatchEndpoint) -> dict[str, Any]:
    return shown_endpoint(context, call, endpoint, jobs_uri(context.workspace, call.base, endpoint.name))


_ONE = f"{scope.WORKSPACE}/batchEndpoints/{{endpoint}}"
ADDRESSES = [
    *of_resources(
        "arm.batchEndpoints", _ONE, list_endpoints, get_endpoint, put_endpoint, delete_endpoint, patch_endpoint
    ),
    ("arm.batchEndpoints.keys", "POST", f"{_ONE}/listkeys", list_keys),
]
