"""MLflow's registry: registered models. They are the models of the workspace, seen by another protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response

from aml.addresses import below
from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.runs.filters import Facts, read_filter, read_order
from aml.runs.protocol import BASE, asked, listed, page, pairs, position, taken, text, texts
from aml.runs.versions import milliseconds_of, model_of, shown_version, version_of
from aml.state import assets, models
from aml.state.records import Asset, Version, make
from service.database import Taken

_ALIAS = re.compile(r"(?!v\d+$)(?!latest$)[\w.-]{1,255}", re.IGNORECASE)


def create(context: Context, call: Call) -> Response:
    body = call.json()
    name = text(body, "name")
    scope.check_name(name, "name")
    members = {"description": str(body["description"])} if body.get("description") else {}
    properties = {**members, "tags": pairs(body, "tags"), "properties": {}, "isArchived": False}
    fresh = make(Asset, f"{models.COLLECTION}/{name}", properties)
    if context.workspace.records.find_or_make(Asset, fresh.id, lambda: fresh) is not fresh:
        raise taken(f"Registered Model (name={name}) already exists.")
    return _answered(context, call, fresh)


def get(context: Context, call: Call) -> Response:
    return _answered(context, call, model_of(context, text(call.query, "name")))


def update(context: Context, call: Call) -> Response:
    body = call.json()
    return _changed(context, call, lambda _: {"description": str(body.get("description") or "") or None})


def rename(context: Context, call: Call) -> Response:
    """Give the model and its versions another name, all or none."""
    body = call.json()
    asset, name = model_of(context, text(body, "name")), text(body, "new_name")
    scope.check_name(name, "new_name")
    records = context.workspace.records
    versions = records.all(Version, f"{asset.id}/versions")
    fresh = _moved(asset, f"{models.COLLECTION}/{name}")
    moved = [_moved(each, f"{fresh.path}/versions/{each.name}") for each in versions]
    try:
        records.exchange([asset, *versions], [fresh, *moved])
    except Taken:
        raise taken(f"Registered Model (name={name}) already exists.") from None
    return _answered(context, call, fresh)


def _moved(resource: Any, path: str) -> Any:
    place = path.lower()
    return msgspec.structs.replace(resource, id=place, parent=place.rpartition("/")[0], path=path)


def delete(context: Context, call: Call) -> Response:
    asset = model_of(context, text(call.json(), "name"))
    records = context.workspace.records
    records.delete(asset, *records.all(Version, f"{asset.id}/versions"))
    return scope.answer({})


def search(context: Context, call: Call) -> Response:
    body = asked(call)
    holds = read_filter(str(body.get("filter") or ""))
    ordered = read_order(texts(body, "order_by") or ["name"], _facts)
    start, size = position(body)
    records = context.workspace.records
    found = ordered([each for each in records.all(Asset, models.COLLECTION) if holds(_facts(each))])
    shown = [_shown(context, call, each) for each in found[start : start + size]]
    return page("registered_models", shown, start + size if len(found) > start + size else None)


def latest(context: Context, call: Call) -> Response:
    """Answer the newest version of each stage, or of those that are named."""
    body = asked(call)
    asset = model_of(context, text(body, "name"))
    stages = [stage.lower() for stage in texts(body, "stages")]
    newest = models.latest_of_stages(context.workspace.records.all(Version, f"{asset.id}/versions"))
    wanted = [each for stage, each in newest.items() if not stages or stage.lower() in stages]
    return scope.answer({"model_versions": [shown_version(call, each, asset) for each in wanted]})


def set_tag(context: Context, call: Call) -> Response:
    body = call.json()
    tag = {text(body, "key"): str(body.get("value", ""))}
    _changed(context, call, lambda known: {"tags": {**known.get("tags", {}), **tag}})
    return scope.answer({})


def delete_tag(context: Context, call: Call) -> Response:
    key = text(call.json(), "key")
    _changed(context, call, lambda known: {"tags": {k: v for k, v in known.get("tags", {}).items() if k != key}})
    return scope.answer({})


def set_alias(context: Context, call: Call) -> Response:
    body = call.json()
    alias, asset = text(body, "alias"), model_of(context, text(body, "name"))
    if not _ALIAS.fullmatch(alias):
        message = f"Invalid alias name: {alias[:80]!r}. It has letters, digits, '-', '_' and '.', and is not a version."
        raise bad_request(message, "alias")
    version = version_of(context, body)
    assets.set_alias(context.workspace.records, asset, alias, version.name)
    return scope.answer({})


def delete_alias(context: Context, call: Call) -> Response:
    body = call.json()
    assets.set_alias(context.workspace.records, model_of(context, text(body, "name")), text(body, "alias"), None)
    return scope.answer({})


def get_by_alias(context: Context, call: Call) -> Response:
    asset, alias = model_of(context, text(call.query, "name")), text(call.query, "alias")
    if alias not in asset.aliases:
        raise bad_request(f"Registered model alias {alias[:80]} not found.", "alias")
    version = version_of(context, {"name": asset.name, "version": asset.aliases[alias]})
    return scope.answer({"model_version": shown_version(call, version, asset)})


def _changed(context: Context, call: Call, changes: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    asset = model_of(context, text(call.json(), "name"))
    changed = assets.change_properties(context.workspace.records, asset, changes)
    return _answered(context, call, changed)


def _facts(asset: Asset) -> Facts:
    times = {"creation_timestamp": milliseconds_of(asset.created)}
    times |= dict.fromkeys(("last_updated_timestamp", "timestamp"), milliseconds_of(asset.modified))
    groups: dict[str, dict[str, Any]] = {
        "attributes": {"name": asset.name, **times},
        "tags": models.tags_to_find(asset),
    }
    return lambda group, name: groups.get(group, {}).get(name)


def _shown(context: Context, call: Call, asset: Asset) -> dict[str, Any]:
    newest = models.latest_of_stages(context.workspace.records.all(Version, f"{asset.id}/versions"))
    return {
        "name": asset.name,
        "creation_timestamp": milliseconds_of(asset.created),
        "last_updated_timestamp": milliseconds_of(asset.modified),
        "user_id": "local",
        "description": asset.properties.get("description") or "",
        "latest_versions": [shown_version(call, each, asset) for each in newest.values()],
        "tags": listed(asset.properties.get("tags") or {}),
        "aliases": [{"alias": alias, "version": version} for alias, version in asset.aliases.items()],
    }


def _answered(context: Context, call: Call, asset: Asset) -> Response:
    return scope.answer({"registered_model": _shown(context, call, asset)})


ADDRESSES = below(
    f"{BASE}/mlflow/registered-models",
    "mlflow.registry",
    ("POST", "create", create),
    ("GET", "get", get),
    ("PATCH", "update", update),
    ("POST", "rename", rename),
    ("DELETE", "delete", delete),
    ("GET", "search", search),
    ("POST", "get-latest-versions", latest),
    ("GET", "get-latest-versions", latest),
    ("POST", "set-tag", set_tag),
    ("DELETE", "delete-tag", delete_tag),
    ("POST", "alias", set_alias),
    ("DELETE", "alias", delete_alias),
    ("GET", "alias", get_by_alias),
)
