"""Deployments of online endpoints: made, changed, read, deleted, and their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import scope
from aml.api.changes import begin, check_still, delete, followed, make_or_begin, shown_deployment
from aml.api.jobs import check_environment
from aml.api.listing import listed
from aml.api.online_endpoints import deployments_of, endpoint_of
from aml.api.online_forms import MOST_DEPLOYMENTS, MOST_INSTANCES, check_deployment_name, read_deployment, read_sku
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.serving.replica import LOGS
from aml.state.records import Operation, make
from aml.state.serving import Deployment, Endpoint
from aml.storage.addresses import place_of
from service.keys import new_id

MOST_LINES, LINES, MOST_BYTES = 5000, 50, 1 << 20
_KINDS = {name.lower(): name for name in LOGS}


def put_deployment(context: Context, call: Call) -> Response:
    """Make the deployment, or replace it: what answers goes on until the new one is ready."""
    check_deployment_name(call.names["deployment"])
    body = call.json()
    endpoint = endpoint_of(context, call)
    properties = read_deployment(scope.properties_of(body))
    _check_references(context, properties)
    fresh = make(Deployment, f"{endpoint.path}/deployments/{call.names['deployment']}", properties)
    changes: dict[str, Any] = {
        "properties": properties,
        "sku": read_sku(body),
        "tags": scope.texts_of(body, "tags"),
        "location": context.workspace.identity.location,
        "folder": new_id(),
    }
    with context.serving.writes:
        check_still(endpoint_of(context, call))
        there = deployments_of(context, endpoint.id)
        former = there.get(fresh.name.lower())
        if former is None and len(there) >= MOST_DEPLOYMENTS:
            raise bad_request(f"The endpoint has {MOST_DEPLOYMENTS} deployments already, the most that one can have.")
        deployment, operation, new = make_or_begin(context, fresh, "odidp", changes)
    if former:
        context.serving.discard(former)
    return answer(context, call, deployment, operation, 201 if new else 200)


def patch_deployment(context: Context, call: Call) -> Response:
    """Change tags, and how many instances there are."""
    body = call.json()
    check_still(endpoint_of(context, call))
    found = _deployment_of(context, call)
    changes: dict[str, Any] = {}
    if "tags" in body:
        changes["tags"] = scope.texts_of(body, "tags")
    if body.get("sku") is not None:
        changes["sku"] = read_sku(body, found.sku)
    deployment, operation = begin(context, found, "odidp", "Scaling", changes)
    return answer(context, call, deployment, operation, 200)


def get_deployment(context: Context, call: Call) -> Response:
    return scope.answer(_shown(context, call, _deployment_of(context, call)))


def list_deployments(context: Context, call: Call) -> Response:
    endpoint = endpoint_of(context, call)
    parent = f"{endpoint.id}/deployments"
    return listed(context, call, Deployment, parent, lambda each: _shown(context, call, each))


def delete_deployment(context: Context, call: Call) -> Response:
    """Delete the deployment, unless it has traffic."""
    with context.serving.writes:
        found = context.workspace.records.find(Deployment, _path(call).lower())
        if found:
            endpoint = endpoint_of(context, call)
            check_still(endpoint)
            _check_without_traffic(endpoint, found)
        return delete(context, call, found, "odidp")


def get_logs(context: Context, call: Call) -> Response:
    """Answer the last lines of a container's log."""
    body = call.json() if call.body else {}
    deployment = _deployment_of(context, call)
    kind = body.get("containerType") or "InferenceServer"
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        raise bad_request(f"containerType can be: {', '.join(LOGS)}.", "containerType")
    tail = LINES if body.get("tail") is None else body["tail"]
    if not isinstance(tail, int) or isinstance(tail, bool) or not tail > 0:
        raise bad_request("'tail' must be a whole number above 0.", "tail")
    file = context.serving.folder / deployment.folder / LOGS[_KINDS[kind.lower()]]
    return scope.answer({"content": last_lines(file, min(tail, MOST_LINES))})


def last_lines(file: Path, count: int) -> str:
    """Return the last lines of a log. Only its end is read, because a log may be large."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - MOST_BYTES))
            lines = opened.read(MOST_BYTES).decode(errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return ""
    return "".join(lines[-count:])


def list_skus(context: Context, call: Call) -> Response:
    _deployment_of(context, call)
    capacity = {"default": 1, "minimum": 1, "maximum": MOST_INSTANCES, "scaleType": "Automatic"}
    sku = {"resourceType": "Microsoft.MachineLearning.Services/endpoints/deployments", "sku": {"name": "Default"}}
    return scope.answer({"value": [{**sku, "capacity": capacity}]})


def answer(context: Context, call: Call, deployment: Deployment, operation: Operation, status: int) -> Response:
    return followed(context, call, operation, _shown(context, call, deployment), status)


def _shown(context: Context, call: Call, deployment: Deployment) -> dict[str, Any]:
    return {**shown_deployment(context, call, deployment), "sku": deployment.sku}


def _deployment_of(context: Context, call: Call) -> Deployment:
    return scope.find(context, Deployment, _path(call))


def _path(call: Call) -> str:
    return f"onlineEndpoints/{call.names['endpoint']}/deployments/{call.names['deployment']}"


def _check_references(context: Context, properties: dict[str, Any]) -> None:
    """Raise unless the model, the code and the environment are there."""
    if "model" in properties:
        place_of(context.workspace, properties["model"], "properties.model")
    if code := properties.get("codeConfiguration"):
        place_of(context.workspace, code["codeId"], "properties.codeConfiguration.codeId")
    if environment := properties.get("environmentId"):
        check_environment(context, environment)


def _check_without_traffic(endpoint: Endpoint, deployment: Deployment) -> None:
    asked = endpoint.properties
    for what, maps in (
        ("live", (endpoint.traffic, asked["traffic"])),
        ("mirrored", (endpoint.mirror, asked["mirrorTraffic"])),
    ):
        part = max(each.get(deployment.name, 0) for each in maps)
        if part:
            message = (
                f"The deployment {deployment.name} has {part} percent of {what} traffic and cannot be deleted. "
                "Set its traffic to 0 first."
            )
            raise ArmError(400, "BadRequest", message, "properties.traffic")


_ONE = f"{scope.WORKSPACE}/onlineEndpoints/{{endpoint}}/deployments/{{deployment}}"
ADDRESSES = [
    *of_resources(
        "arm.deployments", _ONE, list_deployments, get_deployment, put_deployment, delete_deployment, patch_deployment
    ),
    ("arm.deployments.logs", "POST", f"{_ONE}/getLogs", get_logs),
    ("arm.deployments.skus", "GET", f"{_ONE}/skus", list_skus),
]
