"""Writes of endpoints and deployments: each begins a long-running operation, and is refused while another goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.responses import Response

from aml.api import operations as following
from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, not_found
from aml.state import operations
from aml.state.records import Operation
from aml.state.serving import AnyDeployment, AnyEndpoint, Served

S = TypeVar("S", bound=Served)


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


def delete(context: Context, call: Call, found: Served | None, kind: str) -> Response:
    """Begin to delete the resource, if it was found."""
    if found is None:
        return scope.answer(None, 204)
    return followed(context, call, begin(context, found, kind, "Deleting")[1])


def check_still(resource: Served) -> None:
    """Raise while the resource is being changed."""
    if resource.moves:
        raise _moves(resource, resource.state)


def check_no_fault(context: Context, resource: Served) -> None:
    """Raise what is ordered for a write."""
    if context.faults.strike("updating", resource.names):
        raise _moves(resource, "Updating")


def _moves(resource: Served, state: str) -> ArmError:
    kind = "deployment" if "/deployments/" in resource.id else "endpoint"
    message = (
        f"Cannot perform this operation on the {kind} {resource.name}, because it is in {state} provisioning state. "
        "Try again when the operation has ended."
    )
    return ArmError(400, "BadRequest", message, "properties.provisioningState")


def followed(context: Context, call: Call, operation: Operation, body: Any = None, status: int = 202) -> Response:
    """Answer the resource as it is, or nothing, and where its change is followed."""
    return scope.answer(body, status, following.headers(context, call, operation, located=status == 202))


def read_frame(context: Context, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an endpoint has beside its properties and its identity."""
    return {
        "tags": scope.texts_of(body, "tags"),
        "location": context.workspace.identity.location,
        "kind": body["kind"] if isinstance(body.get("kind"), str) else "Managed",
    }


def shown_endpoint(context: Context, call: Call, endpoint: AnyEndpoint, uri: str) -> dict[str, Any]:
    """Return an endpoint as it is answered; calls of it go to `uri`."""
    known = context.workspace.identity
    own = {"principalId": known.principal, "tenantId": known.tenant}
    shown = with_operation(context, call, endpoint, endpoint.properties)
    return {
        **scope.shown(context, endpoint),
        "location": endpoint.location,
        "kind": endpoint.kind,
        "tags": endpoint.tags,
        "identity": {**endpoint.identity, **(own if "system" in endpoint.identity["type"].lower() else {})},
        "properties": {**shown, "scoringUri": uri, "swaggerUri": f"{uri}/swagger.json"},
    }


def shown_deployment(context: Context, call: Call, deployment: AnyDeployment) -> dict[str, Any]:
    """Return a deployment as it is answered."""
    return {
        **scope.shown(context, deployment),
        "location": deployment.location,
        "kind": "Managed",
        "tags": deployment.tags,
        "properties": with_operation(context, call, deployment, deployment.properties),
    }


def with_operation(context: Context, call: Call, resource: Served, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties as they are answered: with the state, and where the last operation is followed."""
    own = {"AzureAsyncOperationUri": following.address(context, call, resource.operation)}
    return {
        **properties,
        "properties": {**properties["properties"], **own},
        "provisioningState": resource.state,
    }
