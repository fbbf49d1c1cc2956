"""MLflow's registry: its versions of registered models are the workspace's versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response

from aml.addresses import below
from aml.api import scope
from aml.api.assets import MODELS
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.runs.filters import Facts, named, read_filter, read_order
from aml.runs.protocol import BASE, asked, listed, missing, page, pairs, position, text, texts
from aml.runs.sources import address_of, readable
from aml.runs.views import run_of
from aml.state import assets, models
from aml.state.records import Asset, Version


def create(context: Context, call: Call) -> Response:
    """Make the next version of a model from a source."""
    body = call.json()
    asset = model_of(context, text(body, "name"))
    source = text(body, "source")
    address, logged = address_of(context, source)
    run = run_of(context, str(body["run_id"])).name if body.get("run_id") else None
    given = {"modelUri": address, "modelType": "mlflow_model", "tags": pairs(body, "tags"), "jobName": run}
    given["description"] = str(body.get("description") or "") or None
    properties = MODELS.filled({name: value for name, value in given.items() if value is not None})
    more = {"source": source, "logged": str(body.get("model_id") or logged)}
    made = assets.add_next_version(context.workspace.records, asset, properties, **more)
    return _answered(context, call, made)


def get(context: Context, call: Call) -> Response:
    return _answered(context, call, version_of(context, call.query))


def update(context: Context, call: Call) -> Response:
    body = call.json()
    return _changed(context, call, {"description": str(body.get("description") or "") or None})


def transition(context: Context, call: Call) -> Response:
    """Move the version to a stage, and others out of it where that is asked for."""
    body = call.json()
    version, given = version_of(context, body), text(body, "stage")
    stage = next((each for each in models.STAGES if each.lower() == given.lower()), None)
    if stage is None:
        message = f"Invalid Model Version stage: {given[:80]}. Value must be one of {', '.join(models.STAGES)}."
        raise bad_request(message, "stage")
    records = context.workspace.records
    if body.get("archive_existing_versions") in (True, "true"):
        for each in records.all(Version, version.parent):
            if each.id != version.id and models.stage_of(each) == stage:
                assets.change_properties(records, each, lambda _: {"stage": "Archived"})
    return _changed(context, call, {"stage": None if stage == models.STAGES[0] else stage})


def delete(context: Context, call: Call) -> Response:
    assets.remove_version(context.workspace.records, version_of(context, call.json()))
    return scope.answer({})


def search(context: Context, call: Call) -> Response:
    """Answer a page of the versions that the filter wants, the newest first. Another order needs them all."""
    body = asked(call)
    given, order = str(body.get("filter") or ""), texts(body, "order_by")
    holds = read_filter(given)
    records, name = context.workspace.records, named(given)
    ids = [models.asset_id(name)] if name is not None else [e.id for e in records.all(Asset, models.COLLECTION)]
    known = {each.id: each for each in (records.find(Asset, one) for one in ids) if each}
    after, size = position(body)
    parents = [f"{each}/versions" for each in known]

    def wanted(version: Version) -> bool:
        return holds(_facts(version))

    if not order:
        found, following = records.page(Version, parents, wanted, after, size, newest_first=True)
    else:
        every, _ = records.page(Version, parents, wanted, 0, None, newest_first=True)
        ordered = read_order(order, _facts)(every)
        found, following = ordered[after : after + size], after + size if len(ordered) > after + size else None
    shown = [shown_version(call, each, known[each.parent.rpartition("/")[0]]) for each in found]
    return page("model_versions", shown, following)


def download_uri(context: Context, call: Call) -> Response:
    return scope.answer({"artifact_uri": readable(call, version_of(context, call.query))})


def set_tag(context: Context, call: Call) -> Response:
    body = call.json()
    version, tag = version_of(context, body), {text(body, "key"): str(body.get("value", ""))}
    assets.change_properties(
        context.workspace.records, version, lambda known: {"tags": {**known.get("tags", {}), **tag}}
    )
    return scope.answer({})


def delete_tag(context: Context, call: Call) -> Response:
    body = call.json()
    version, key = version_of(context, body), text(body, "key")

    def without(known: dict[str, Any]) -> dict[str, Any]:
        return {"tags": {name: value for name, value in known.get("tags", {}).items() if name != key}}

    assets.change_properties(context.workspace.records, version, without)
    return scope.answer({})


def version_of(context: Context, body: Mapping[str, Any]) -> Version:
    name, version = text(body, "name"), str(body.get("version") or "")
    model_of(context, name)
    found = context.workspace.records.find(Version, f"{models.versions_id(name)}/{version}".lower())
    if found is None:
        raise missing(f"Model Version (name={name[:255]}, version={version[:80]}) not found")
    return found


def shown_version(call: Call, version: Version, asset: Asset) -> dict[str, Any]:
    known = version.properties
    return {
        "name": asset.name,
        "version": version.name,
        "creation_timestamp": milliseconds_of(version.created),
        "last_updated_timestamp": milliseconds_of(version.modified),
        "user_id": "local",
        "current_stage": models.stage_of(version),
        "description": known.get("description") or "",
        "source": version.source or readable(call, version),
        "run_id": known.get("jobName") or "",
        "status": "READY",
        "tags": listed(known.get("tags") or {}),
        "aliases": assets.aliases_of(asset, version),
        "model_id": version.logged,
    }


def milliseconds_of(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def model_of(context: Context, name: str) -> Asset:
    found = context.workspace.records.find(Asset, models.asset_id(name))
    if found is None:
        raise missing(f"Registered Model with name={name[:255]} not found")
    return found


def _changed(context: Context, call: Call, changes: dict[str, Any]) -> Response:
    version = version_of(context, call.json())
    changed = assets.change_properties(context.workspace.records, version, lambda _: changes)
    return _answered(context, call, changed)


def _answered(context: Context, call: Call, version: Version) -> Response:
    asset = model_of(context, version.path.split("/")[1])
    return scope.answer({"model_version": shown_version(call, version, asset)})


def _facts(version: Version) -> Facts:
    known = version.properties
    numbers = {"version_number": int(version.name) if version.name.isascii() and version.name.isdigit() else None}
    times = {"creation_timestamp": milliseconds_of(version.created)}
    times["last_updated_timestamp"] = milliseconds_of(version.modified)
    texts = {"name": version.path.split("/")[1], "run_id": known.get("jobName"), "source_path": version.source}
    attributes = {**texts, **times, **numbers, "version": version.name, "current_stage": models.stage_of(version)}
    groups: dict[str, dict[str, Any]] = {"attributes": attributes, "tags": models.tags_to_find(version)}
    return lambda group, name: groups.get(group, {}).get(name)


ADDRESSES = below(
    f"{BASE}/mlflow/model-versions",
    "mlflow.registry",
    ("POST", "create", create),
    ("GET", "get", get),
    ("PATCH", "update", update),
    ("POST", "transition-stage", transition),
    ("DELETE", "delete", delete),
    ("GET", "search", search),
    ("GET", "get-download-uri", download_uri),
    ("POST", "set-tag", set_tag),
    ("DELETE", "delete-tag", delete_tag),
)
