"""The workspace itself."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.api.doors import data_plane
from aml.call import Call
from aml.context import Context
from aml.state.records import stamp
from aml.state.workspace import PROVIDER


def get(context: Context, call: Call) -> Response:
    return scope.answer(_shown(context, call))


def listed(context: Context, call: Call) -> Response:
    return scope.answer({"value": [_shown(context, call)]})


def get_group(context: Context, _: Call) -> Response:
    known = context.workspace.identity
    place = f"/subscriptions/{known.subscription}/resourceGroups/{known.group}"
    kind = "Microsoft.Resources/resourceGroups"
    group = {"id": place, "name": known.group, "type": kind, "location": known.location}
    return scope.answer({**group, "properties": {"provisioningState": "Succeeded"}})


def permissions(_: Context, __: Call) -> Response:
    """Answer what the caller may do: all, as it is its own machine."""
    return scope.answer({"value": [{"actions": ["*"], "notActions": [], "dataActions": ["*"], "notDataActions": []}]})


def tracking_uri(context: Context, call: Call) -> str:
    """Return where MLflow finds the workspace."""
    return f"azureml://{data_plane(context, call).partition('://')[2]}/mlflow/v1.0{context.workspace.id}"


def _shown(context: Context, call: Call) -> dict[str, Any]:
    workspace, known = context.workspace, context.workspace.identity
    group = f"/subscriptions/{known.subscription}/resourceGroups/{known.group}/providers"
    created = stamp(known.created)
    return {
        "id": workspace.id,
        "name": known.workspace,
        "type": f"{PROVIDER}/workspaces",
        "location": known.location,
        "kind": "Default",
        "tags": {},
        "identity": {"type": "SystemAssigned", "principalId": known.principal, "tenantId": known.tenant},
        "sku": {"name": "Basic", "tier": "Basic"},
        "systemData": {"createdAt": created, "createdBy": "local", "createdByType": "User", "lastModifiedAt": created},
        "properties": {
            "workspaceId": known.guid,
            "friendlyName": known.workspace,
            "description": "",
            "discoveryUrl": f"{call.base}/discovery",
            "mlFlowTrackingUri": tracking_uri(context, call),
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
            "tenantId": known.tenant,
            "storageAccount": f"{group}/Microsoft.Storage/storageAccounts/{workspace.account.name}",
            "keyVault": f"{group}/Microsoft.KeyVault/vaults/local",
            "applicationInsights": f"{group}/Microsoft.Insights/components/local",
        },
    }


ADDRESSES = [
    ("arm.workspace", "GET", scope.GROUP, get_group),
    ("arm.workspace", "GET", scope.WORKSPACE, get),
    ("arm.workspace", "GET", scope.WORKSPACES, listed),
    ("arm.workspace", "GET", f"{scope.SUBSCRIPTION}/providers/{PROVIDER}/workspaces", listed),
    ("arm.workspace", "GET", f"{scope.WORKSPACE}/providers/Microsoft.Authorization/permissions", permissions),
]
