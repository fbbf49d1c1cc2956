"""Datastores and computes: where data is, and what jobs run on."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import scope
from aml.api.listing import listed
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request, conflict, not_found
from aml.members import text_of
from aml.state.records import Compute, Datastore, make, now
from aml.state.workspace import ARTIFACTS, DEFAULT_DATASTORE, compute_properties

BUILT_IN = (DEFAULT_DATASTORE, ARTIFACTS)


def list_datastores(context: Context, call: Call) -> Response:
    default = call.query.get("isDefault", "").lower() == "true"
    names = [each for each in call.query.get("names", "").lower().split(",") if each]

    def wanted(store: Datastore) -> bool:
        is_default = store.name == DEFAULT_DATASTORE
        return (is_default or not default) and (not names or store.name.lower() in names)

    return listed(context, call, Datastore, "datastores", lambda each: scope.shown(context, each), wanted)


def get_datastore(context: Context, call: Call) -> Response:
    return scope.answer(scope.shown(context, _datastore(context, call)))


def put_datastore(context: Context, call: Call) -> Response:
    """Name a container of the workspace's account. No other account is called."""
    name = call.names["name"]
    scope.check_name(name, "name")
    properties = scope.properties_of(call.json())
    if properties.get("datastoreType") != "AzureBlob":
        kind = str(properties.get("datastoreType"))[:40]
        raise bad_request(f"The datastore type {kind!r} is not here; it can be AzureBlob.", "properties.datastoreType")
    account = text_of(properties, "accountName")
    if account != context.workspace.account.name:
        known = context.workspace.account.name
        message = f"The account {account[:80]!r} is not the workspace's own, {known!r}; no other account is used."
        raise bad_request(message, "properties.accountName")
    container = text_of(properties, "containerName")
    made = make(Datastore, f"datastores/{name}", _without_secrets(properties, container))
    kept = context.workspace.records.find_or_make(Datastore, made.id, lambda: made)
    if kept is made:
        return scope.answer(scope.shown(context, made), 201)
    if kept.properties["containerName"] != container:
        raise bad_request("The container of a datastore cannot be changed.", "properties.containerName")
    changed = msgspec.structs.replace(kept, properties={**kept.properties, **made.properties}, modified=now())
    if kept.name in BUILT_IN:
        changed = msgspec.structs.replace(changed, properties={**changed.properties, "isDefault": _is_default(kept)})
    context.workspace.records.put(changed)
    return scope.answer(scope.shown(context, changed))


def delete_datastore(context: Context, call: Call) -> Response:
    found = context.workspace.records.find(Datastore, _path("datastores", call))
    if found is None:
        return scope.answer(None, 204)
    if found.name in BUILT_IN:
        raise conflict(f"The datastore {found.name} belongs to the workspace and cannot be deleted.")
    context.workspace.records.delete(found)
    return scope.answer(None)


def list_secrets(context: Context, call: Call) -> Response:
    """Refuse: every datastore here is opened by identity, and the account's key stays with the server."""
    store = _datastore(context, call)
    message = f"The datastore {store.name} has no secrets: its credentials are of the type None."
    raise bad_request(message, "credentials")


def list_computes(context: Context, call: Call) -> Response:
    return listed(context, call, Compute, "computes", lambda each: _shown_compute(context, each))


def get_compute(context: Context, call: Call) -> Response:
    found = context.workspace.records.find(Compute, _path("computes", call))
    if found is None:
        raise not_found(f"Requested compute {call.names['name'][:80]} was not found.", "ComputeNotFound")
    return scope.answer(_shown_compute(context, found))


def put_compute(context: Context, call: Call) -> Response:
    """Make a cluster, or change its size. It is there at once."""
    name = call.names["name"]
    scope.check_name(name, "name")
    body = call.json()
    properties, identity = scope.properties_of(body), body.get("identity") or {}
    if not isinstance(identity, dict):
        raise bad_request("'identity' must be an object.", "identity")
    if properties.get("computeType") != "AmlCompute":
        kind = str(properties.get("computeType"))[:40]
        raise bad_request(f"The compute type {kind!r} is not here; it can be AmlCompute.", "properties.computeType")
    given = properties.get("properties")
    cluster: dict[str, Any] = given if isinstance(given, dict) else {}
    scale = cluster.get("scaleSettings")
    nodes = scale.get("maxNodeCount") if isinstance(scale, dict) else 1
    if not isinstance(nodes, int) or isinstance(nodes, bool) or not 0 <= nodes <= 1000:
        raise bad_request("'maxNodeCount' must be a whole number from 0 to 1000.", "properties.scaleSettings")
    size = cluster.get("vmSize")
    kept_as = compute_properties(size if isinstance(size, str) else "local", nodes)
    made = make(Compute, f"computes/{name}", kept_as, identity=identity)
    kept = context.workspace.records.find_or_make(Compute, made.id, lambda: made)
    if kept is not made:
        made = msgspec.structs.replace(kept, properties=made.properties, identity=identity, modified=now())
        context.workspace.records.put(made)
    return scope.answer(_shown_compute(context, made), 200 if kept is not made else 201)


def delete_compute(context: Context, call: Call) -> Response:
    found = context.workspace.records.find(Compute, _path("computes", call))
    if found is None:
        return scope.answer(None, 204)
    context.workspace.records.delete(found)
    return scope.answer(None)


def _shown_compute(context: Context, compute: Compute) -> dict[str, Any]:
    known, identity = context.workspace.identity, compute.identity
    if str(identity.get("type")).lower().startswith("system"):
        identity = {**identity, "principalId": known.principal, "tenantId": known.tenant}
    shown = {"identity": identity} if identity else {}
    return {**scope.shown(context, compute), "location": known.location, **shown}


def _datastore(context: Context, call: Call) -> Datastore:
    found = context.workspace.records.find(Datastore, _path("datastores", call))
    if found is None:
        raise not_found(f"Could not find datastore: {call.names['name'][:80]}")
    return found


def _is_default(store: Datastore) -> bool:
    return store.name == DEFAULT_DATASTORE


def _path(collection: str, call: Call) -> str:
    return f"{collection}/{call.names['name']}".lower()


def _without_secrets(properties: dict[str, Any], container: str) -> dict[str, Any]:
    """Return the datastore as it is kept: opened by identity, whatever key came with it."""
    kept: dict[str, Any] = {
        name: properties[name] for name in ("description", "endpoint", "protocol") if name in properties
    }
    identity = properties.get("serviceDataAccessAuthIdentity") or "WorkspaceSystemAssignedIdentity"
    return {
        "endpoint": "core.windows.net",
        "protocol": "https",
        **kept,
        "datastoreType": "AzureBlob",
        "accountName": properties["accountName"],
        "containerName": container,
        "isDefault": False,
        "credentials": {"credentialsType": "None"},
        "serviceDataAccessAuthIdentity": identity,
        "tags": scope.texts_of(properties, "tags"),
        "properties": scope.texts_of(properties, "properties"),
    }


_DATASTORE, _COMPUTE = f"{scope.WORKSPACE}/datastores/{{name}}", f"{scope.WORKSPACE}/computes/{{name}}"
ADDRESSES = [
    *of_resources("arm.datastores", _DATASTORE, list_datastores, get_datastore, put_datastore, delete_datastore),
    ("arm.datastores.secrets", "POST", f"{_DATASTORE}/listSecrets", list_secrets),
    *of_resources("arm.computes", _COMPUTE, list_computes, get_compute, put_compute, delete_compute),
]
