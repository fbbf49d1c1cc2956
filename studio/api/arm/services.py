"""New web services: PUT makes or replaces a definition, PATCH changes it, and the operation has the outcome.

Keys and storage keys are taken and never answered. A definition is refused at once when it is malformed or would change
what cannot change; that its graph or its model cannot be used is the operation's error, and then nothing has changed.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from studio.api.arm import changes, scope
from studio.api.arm.changes import Patch, Whole
from studio.api.arm.operations import VERSIONS, accept
from studio.api.arm.preview import VERSION as PREVIEW
from studio.api.arm.preview import from_preview
from studio.api.arm.regional import check_region
from studio.api.arm.views import find, key, payload_reference, shown
from studio.api.casing import cased
from studio.api.context import Call, Context
from studio.definitions.definition import BlobLocation, Properties, Table, frame
from studio.definitions.graphs import check_fits, joined_models
from studio.errors import StudioError, body_invalid
from studio.publishing import new_endpoint
from studio.state.records import CommitmentPlan, Endpoint, Reference, Resource, Scorer, WebService

_FAILED = StudioError("InternalError", "UpdateWebServiceResourceFailed", "The operation failed on order.")


def read(context: Context, call: Call) -> Response:
    version, service = find(context, call)
    if "region" in call.query:
        check_region(service, call.query["region"])
    return scope.answer(shown(context, call, version, service.definition, service.endpoint))


def list_keys(context: Context, call: Call) -> Response:
    _, service = find(context, call)
    endpoint = context.studio.records.get(Endpoint, service.endpoint)
    return scope.answer({"primary": endpoint.primary_key, "secondary": endpoint.secondary_key})


def replace(context: Context, call: Call) -> Response:
    """Make a service of a definition, or put the definition in place of one's, without a warning."""
    version = scope.enter(context, call, *VERSIONS)
    scope.check_name(call)
    body = _whole(call, version)
    with scope.alone(key(call)):
        service = context.studio.records.find(WebService, key(call))
        if service is None:
            return _create(context, call, version, body)
        scope.check_location(service.definition["location"], body.location)
        return _update(context, call, version, service, body.properties, body.tags or {}, whole=True)


def patch(context: Context, call: Call) -> Response:
    """Change the members that are given; the preview wants the location with them."""
    version, _ = find(context, call)
    body: Whole | Patch = _whole(call, version) if version == PREVIEW else scope.read_changes(call, Patch)
    with scope.alone(key(call)):
        _, service = find(context, call)
        kept = service.definition
        if isinstance(body, Whole):
            scope.check_location(kept["location"], body.location)
        given = body.properties or Properties(package_type=kept["properties"]["packageType"])
        tags = kept["tags"] if body.tags is None else body.tags
        return _update(context, call, version, service, given, tags, whole=False)


def delete(context: Context, call: Call) -> Response:
    """Delete the service. To delete one that does not exist is accepted too."""
    scope.enter(context, call, *VERSIONS)
    with scope.alone(key(call)):
        service = context.studio.records.find(WebService, key(call))
        if service:
            context.studio.records.delete(service, context.studio.records.get(Endpoint, service.endpoint))
    location = service.definition["location"] if service else ""
    return scope.answer(None, 202, accept(context, call, key(call), location, located=True))


_PLACE = f"{scope.GROUP}/webServices/{{name}}"
ADDRESSES = [
    ("arm.read", "GET", _PLACE, read),
    ("arm.replace", "PUT", _PLACE, replace),
    ("arm.patch", "PATCH", _PLACE, patch),
    ("arm.delete", "DELETE", _PLACE, delete),
    ("arm.keys", "GET", f"{_PLACE}/listKeys", list_keys),
]


def _whole(call: Call, version: str) -> Whole:
    given: Any = call.json()
    if version == PREVIEW:
        given = cased(given, Whole)
        given = {**given, "properties": from_preview(given.get("properties"))}
    return scope.read_members(given, Whole)


def _create(context: Context, call: Call, version: str, body: Whole) -> Response:
    changes.check_type(body.properties, None)
    plan = body.properties.commitment_plan.id if body.properties.commitment_plan else ""
    if plan and context.studio.records.find(CommitmentPlan, plan.lower()) is None:
        message = f"The commitment plan {plan!r} does not exist; create it first, or leave commitmentPlan out."
        raise StudioError("BadRequest", "CommitmentPlanNotFound", message, "commitmentPlan")
    arm_id = scope.resource_id(call, "webServices")
    endpoint = new_endpoint(arm_id.lower(), call.names["name"])
    account = body.properties.storage_account
    base = {"storageAccount": {"name": (account and account.name) or context.studio.blobs.account}}
    service = WebService(
        id=arm_id.lower(),
        parent=context.studio.identity.subscription,
        name=call.names["name"],
        endpoint=endpoint.id,
        definition=frame(arm_id, body.location, body.tags or {}, base),
        plan=plan.lower(),
    )
    _, headers = _carry_out(context, call, service, endpoint, body.properties, body.tags or {}, whole=True)
    made = {"payloadsInBlobStorage": False, "provisioningState": "Provisioning"}
    if version == PREVIEW:
        del made["payloadsInBlobStorage"]
    return scope.answer({**service.definition, "properties": made}, 201, headers)


def _update(
    context: Context,
    call: Call,
    version: str,
    service: WebService,
    given: Properties,
    tags: dict[str, str],
    whole: bool,
) -> Response:
    changes.check_read_only(service)
    changes.check_type(given, service.definition["properties"])
    changes.check_unchanged(service, given)
    endpoint = context.studio.records.get(Endpoint, service.endpoint)
    definition, headers = _carry_out(context, call, service, endpoint, given, tags, whole=whole)
    body = shown(context, call, version, definition, service.endpoint)
    body["properties"]["provisioningState"] = "Provisioning"
    return scope.answer(body, 200, headers)


def _carry_out(
    context: Context,
    call: Call,
    service: WebService,
    endpoint: Endpoint,
    given: Properties,
    tags: dict[str, str],
    whole: bool,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the definition as it is asked for, and the headers of the operation, which may have failed."""
    changes.check_values(given)
    given = _inline(context, given)
    properties = changes.merged(service.definition["properties"], given, whole)
    properties["payloadsInBlobStorage"] = changes.is_large(properties)
    definition = {**service.definition, "tags": tags, "properties": properties}
    failure, seconds = None, 0.0
    if fault := context.strike("failing operation", endpoint):
        failure, seconds = _FAILED, fault.delay
    elif not context.strike("no effect", endpoint):
        try:
            _apply(context, service, endpoint, definition, given)
        except StudioError as error:
            failure = error
    return definition, accept(context, call, service.id, service.definition["location"], failure, seconds)


def _apply(
    context: Context, service: WebService, endpoint: Endpoint, definition: dict[str, Any], given: Properties
) -> None:
    """Take the definition over, whole or not at all."""
    properties = msgspec.convert(definition["properties"], Properties)
    scorers = _scorers(context, service, endpoint, properties, given)
    if properties.payloads_in_blob_storage:
        payload = {name: definition["properties"].get(name) for name in changes.PAYLOAD}
        context.studio.blobs.write(payload_reference(context, endpoint.id), msgspec.json.encode(payload))
    realtime, diagnostics, keys = properties.realtime_configuration, properties.diagnostics, given.keys
    endpoint = msgspec.structs.replace(
        endpoint,
        scorers=scorers,
        description=properties.description or "",
        max_concurrent_calls=(realtime and realtime.max_concurrent_calls) or changes.CALLS[0],
        diagnostics=diagnostics.level if diagnostics else "None",
        primary_key=(keys and keys.primary) or endpoint.primary_key,
        secondary_key=(keys and keys.secondary) or endpoint.secondary_key,
    )
    context.studio.records.put(endpoint, msgspec.structs.replace(service, definition=definition))


def _scorers(
    context: Context, service: WebService, endpoint: Endpoint, properties: Properties, given: Properties
) -> list[Scorer]:
    """Return the definition's scorers. A model whose address stays is not read again: the service has its own copy."""
    kept = msgspec.convert({**service.definition["properties"], "packageType": "Graph"}, Properties)
    uris = {asset.name: asset.location_info.uri for asset in (kept.assets or {}).values()}
    former = {scorer.resource.name: scorer for scorer in endpoint.scorers}
    resources: dict[str, Resource] = {}
    joined = joined_models(properties)
    assets = {**(properties.assets or {}), **(given.assets or {})}
    changed = [each for each in joined if uris.get(assets[each.asset].name) != assets[each.asset].location_info.uri]
    begins = context.update_begins(endpoint) if changed and endpoint.scorers else 0.0
    for each in joined:
        asset = assets[each.asset]
        old = former.get(asset.name)
        if old and each not in changed:
            resource = old.resource
        else:
            location = _reference(context, asset.location_info)
            same = old is not None and _input(kept, old.input) == _input(properties, each.input)
            resource = _taken(context, asset.name, location, old.resource if old else None, begins, same)
            resource = resource.after(old.resource) if old else resource
        check_fits(context.studio.models.load(resource.sha256).manifest, properties, each)
        resources[each.asset] = resource
    return [Scorer(resource=resources[each.asset], input=each.input, output=each.output) for each in joined]


def _taken(
    context: Context, name: str, location: Reference, old: Resource | None, begins: float, same: bool
) -> Resource:
    """Return the resource of that name with the blob's model; in the `same` graph it must fit as the old one did."""
    if old and same:
        return context.studio.take_model(old, location, begins)
    sha256 = context.studio.models.keep(context.studio.blobs.read(location, name))
    return old.becoming(sha256, location, begins) if old else Resource(name=name, location=location, sha256=sha256)


def _input(properties: Properties, name: str) -> Table | None:
    return properties.input.properties.get(name) if properties.input else None


def _reference(context: Context, location: BlobLocation) -> Reference:
    """Return the blob; a SAS may be in its address or be its credentials, and without one it is the storage's own."""
    address, _, sas = location.uri.partition("?")
    reference = context.studio.blobs.named(address)
    if not sas and "sig=" in (location.credentials or ""):
        sas = str(location.credentials)
    return msgspec.structs.replace(reference, sas_blob_token=sas or None)


def _inline(context: Context, given: Properties) -> Properties:
    """Return the properties with the payload that they have in a blob."""
    if not given.payloads_in_blob_storage or given.payloads_location is None:
        return given
    content = context.studio.blobs.read(_reference(context, given.payloads_location), "payloadsLocation")
    try:
        payload = cased(msgspec.json.decode(content), Properties)
    except (msgspec.DecodeError, RecursionError):
        raise body_invalid() from None
    if not isinstance(payload, dict):
        raise body_invalid()
    held = {name: payload[name] for name in changes.PAYLOAD if name in payload}
    return scope.read_members({**held, **msgspec.to_builtins(given)}, Properties)
