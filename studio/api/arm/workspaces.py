"""Studio workspaces as resources: made at once, with two tokens that open Classic management."""

from __future__ import annotations

import uuid
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from service.keys import new_id
from studio.api.arm import scope
from studio.api.context import Call, Context
from studio.definitions.definition import Member, stamp
from studio.errors import StudioError
from studio.publishing import new_workspace
from studio.state.records import Endpoint, Service, Workspace

_VERSIONS = ("2016-04-01", "2019-10-01")
_State = Literal["Deleted", "Enabled", "Disabled", "Migrated", "Updated", "Registered", "Unregistered"]


class _Sku(Member):
    name: str | None = None
    tier: str | None = None


class _Made(Member):
    user_storage_account_id: str
    owner_email: str
    key_vault_identifier_id: str | None = None


class _Whole(Member):
    location: str
    properties: _Made
    tags: dict[str, str] | None = None
    sku: _Sku | None = None


class _Changed(Member):
    workspace_state: _State | None = None
    key_vault_identifier_id: str | None = None
    sku: _Sku | None = None


class _Patch(Member):
    properties: _Changed | None = None
    tags: dict[str, str] | None = None


def replace(context: Context, call: Call) -> Response:
    """Make the workspace or replace what it says of itself; its id and its tokens stay."""
    version = scope.enter(context, call, *_VERSIONS)
    scope.check_name(call)
    body, arm_id = scope.read_body(call, _Whole), scope.resource_id(call, "workspaces")
    made = body.properties
    with scope.alone(arm_id):
        workspace = _find(context, call)
        if workspace is None:
            workspace = new_workspace(new_id(), arm_id, call.names["name"], body.location)
        else:
            scope.check_location(workspace.location, body.location)
            _check_storage(context, workspace, made.user_storage_account_id)
        workspace = msgspec.structs.replace(
            workspace,
            owner=made.owner_email,
            storage_account=made.user_storage_account_id,
            key_vault=made.key_vault_identifier_id,
            tags=body.tags or {},
            sku=_written(body.sku),
        )
        context.studio.records.put(workspace)
    return scope.answer(_shown(context, call, version, workspace))


def patch(context: Context, call: Call) -> Response:
    _open(context, call)
    body = scope.read_changes(call, _Patch)
    changed = body.properties or _Changed()
    with scope.alone(scope.resource_id(call, "workspaces")):
        version, workspace = _open(context, call)
        workspace = msgspec.structs.replace(
            workspace,
            state=changed.workspace_state or workspace.state,
            key_vault=changed.key_vault_identifier_id or workspace.key_vault,
            tags=workspace.tags if body.tags is None else body.tags,
            sku=_written(changed.sku) if changed.sku else workspace.sku,
        )
        context.studio.records.put(workspace)
    return scope.answer(_shown(context, call, version, workspace))


def read(context: Context, call: Call) -> Response:
    version, workspace = _open(context, call)
    return scope.answer(_shown(context, call, version, workspace))


def delete(context: Context, call: Call) -> Response:
    """Delete the workspace with its web services; 204 says that it did not exist."""
    scope.enter(context, call, *_VERSIONS)
    with scope.alone(scope.resource_id(call, "workspaces")):
        workspace = _find(context, call)
        if workspace is None:
            return scope.answer(None, 204)
        if workspace.id == context.studio.identity.workspace:
            message = "This is the workspace that this Studio publishes to; it cannot be deleted."
            raise StudioError("Conflict", "WorkspaceInUse", message, workspace.name)
        records = context.studio.records
        services = records.all(Service, workspace.id)
        endpoints = [endpoint for service in services for endpoint in records.all(Endpoint, service.id)]
        records.delete(*endpoints, *services, workspace)
    return scope.answer()


def list_workspaces(context: Context, call: Call) -> Response:
    version = scope.enter(context, call, *_VERSIONS)
    under = f"{scope.place(call)}/workspaces/".lower() if "group" in call.names else ""
    context.studio.workspace  # noqa: B018 - the first one is made when it is asked for
    found = [each for each in context.studio.records.all(Workspace) if each.parent.startswith(under)]
    return scope.answer({"value": [_shown(context, call, version, each) for each in found]})


def list_keys(context: Context, call: Call) -> Response:
    _, workspace = _open(context, call)
    return scope.answer({"primaryToken": workspace.primary_token, "secondaryToken": workspace.secondary_token})


def resync_storage_keys(context: Context, call: Call) -> Response:
    """Answer well: the storage's keys are this Studio's setting."""
    _open(context, call)
    return scope.answer()


_PLACE = f"{scope.GROUP}/workspaces/{{name}}"
ADDRESSES = [
    ("arm.workspaces", "GET", f"{scope.SUBSCRIPTION}/workspaces", list_workspaces),
    ("arm.workspaces", "GET", f"{scope.GROUP}/workspaces", list_workspaces),
    ("arm.workspace", "GET", _PLACE, read),
    ("arm.workspace", "PUT", _PLACE, replace),
    ("arm.workspace", "PATCH", _PLACE, patch),
    ("arm.workspace", "DELETE", _PLACE, delete),
    ("arm.workspace.keys", "POST", f"{_PLACE}/listWorkspaceKeys", list_keys),
    ("arm.workspace.resync", "POST", f"{_PLACE}/resyncStorageKeys", resync_storage_keys),
]


def _find(context: Context, call: Call) -> Workspace | None:
    found = context.studio.records.all(Workspace, scope.resource_id(call, "workspaces").lower())
    return found[0] if found else None


def _open(context: Context, call: Call) -> tuple[str, Workspace]:
    version = scope.enter(context, call, *_VERSIONS)
    workspace = _find(context, call)
    if workspace is None:
        raise scope.not_found("WorkspaceNotFound", f"No workspace has the name {call.names['name']}.")
    return version, workspace


def _written(sku: _Sku | None) -> dict[str, str]:
    return dict(msgspec.to_builtins(sku)) if sku else {}


def _check_storage(context: Context, workspace: Workspace, given: str) -> None:
    kept = _storage(context, workspace)
    if given.lower() != kept.lower():
        raise scope.cannot_change(
            "UserStorageAccountId",
            f"The UserStorageAccountId cannot be changed. Currently configured storage account = '{kept}'.",
        )


def _storage(context: Context, workspace: Workspace) -> str:
    """Return the id of the workspace's storage account; the first workspace has this Studio's own."""
    group = workspace.parent.split("/providers/")[0]
    own = f"{group}/providers/Microsoft.Storage/storageAccounts/{context.studio.blobs.account}"
    return workspace.storage_account or own


def _shown(context: Context, call: Call, version: str, workspace: Workspace) -> dict[str, Any]:
    _, _, subscription, _, group, *_ = workspace.parent.split("/")
    place = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{scope.PROVIDER}"
    vault = {"keyVaultIdentifierId": workspace.key_vault} if workspace.key_vault else {}
    sku = {"sku": workspace.sku} if workspace.sku and version != _VERSIONS[0] else {}
    return {
        "id": f"{place}/workspaces/{workspace.name}",
        "name": workspace.name,
        "type": f"{scope.PROVIDER}/workspaces",
        "location": workspace.location,
        "tags": workspace.tags,
        **sku,
        "properties": {
            "userStorageAccountId": _storage(context, workspace),
            "ownerEmail": workspace.owner,
            "workspaceType": "PaidStandard",
            "workspaceState": workspace.state,
            "workspaceId": str(uuid.UUID(workspace.id)),
            "creationTime": stamp(workspace.created),
            "studioEndpoint": call.base,
            **vault,
        },
    }
