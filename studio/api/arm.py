"""New web services in the resource manager: get a definition, put it back with another model, follow the operation.

Wire shapes are those of recorded traffic: PUT 201/200 and PATCH 200 carry `Azure-AsyncOperation`, whose body says
`status`. Member names are accepted in any case and answered in camelCase. Keys of the storage are never answered.
"""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import unquote

from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context
from studio.errors import StudioError, body_invalid, not_found, unauthorized
from studio.keys import new_id
from studio.publishing import LOCATION, new_endpoint
from studio.records import Endpoint, Operation, Resource, Scorer, WebService, now

VERSIONS = ("2017-01-01", "2016-05-01-preview")
_FREE = ("title", "description", "realtimeConfiguration", "diagnostics", "exposeSampleData")
_NAMES = {
    name.lower(): name
    for name in (
        *_FREE,
        "properties",
        "tags",
        "location",
        "readOnly",
        "keys",
        "primary",
        "secondary",
        "storageAccount",
        "machineLearningWorkspace",
        "commitmentPlan",
        "input",
        "output",
        "exampleRequest",
        "assets",
        "parameters",
        "packageType",
        "package",
        "locationInfo",
        "uri",
        "credentials",
        "name",
        "type",
        "id",
        "key",
        "payloadsInBlobStorage",
        "provisioningState",
        "createdOn",
        "modifiedOn",
        "swaggerLocation",
    )
}


def read(context: Context, call: Call) -> Response:
    return JSONResponse(_shown(call, _web_service(context, call)))


def list_all(context: Context, call: Call) -> Response:
    _check(context, call)
    prefix = _id(call) if "group" in call.names else ""
    services = context.studio.records.all(WebService, context.studio.identity.subscription)
    shown = [_shown(call, service) for service in services if service.id.startswith(prefix)]
    for each in shown:
        each["properties"] = {k: v for k, v in each["properties"].items() if k not in ("package", "assets")}
    return JSONResponse({"value": shown})


def list_keys(context: Context, call: Call) -> Response:
    endpoint = context.studio.records.get(Endpoint, _web_service(context, call).endpoint)
    return JSONResponse({"primary": endpoint.primary_key, "secondary": endpoint.secondary_key})


def replace(context: Context, call: Call) -> Response:
    """PUT: make a service of a definition, or replace one's."""
    _check(context, call)
    if context.studio.records.find(WebService, _id(call)) is None:
        return _create(context, call)
    return _write(context, call, whole=True)


def patch(context: Context, call: Call) -> Response:
    return _write(context, call, whole=False)


def operation(context: Context, call: Call) -> Response:
    _check(context, call)
    found = context.studio.records.get(Operation, call.names["operation"])
    ended = {"endTime": found.ended.isoformat()} if found.ended else {}
    error = {"error": found.error, "errorInfo": found.error} if found.error else {}
    body = {
        "id": unquote(call.path),
        "name": found.id,
        "status": found.status,
        "provisioningState": found.status,
        "startTime": found.started.isoformat(),
        **ended,
        "percentComplete": 1.0 if found.ended else 0.6,
        **error,
    }
    return JSONResponse(body, headers={} if found.ended else {"Retry-After": "1"})


def _write(context: Context, call: Call, *, whole: bool) -> Response:
    service = _web_service(context, call)
    given = _cased(call.json())
    properties = given.get("properties")
    if not isinstance(properties, dict) or (whole and "packageType" not in properties):
        raise body_invalid()
    _check_immutable(service, properties)
    operation = Operation(id=new_id(), parent=service.id, status="Succeeded", started=now())
    try:
        _apply(context, service, given)
    except StudioError as error:
        # The definition is well-formed and was accepted; that the model cannot be used shows in the operation.
        operation.status, operation.error = "Failed", error.body["error"]
    return _accepted(context, call, service, operation, 200)


def _create(context: Context, call: Call) -> Response:
    """Make the service around the model that its definition names."""
    given = _cased(call.json())
    properties = given.get("properties")
    if not isinstance(properties, dict) or properties.get("packageType") != "Graph":
        raise body_invalid()
    models = [asset for asset in (properties.get("assets") or {}).values() if asset.get("type") == "Resource"]
    if len(models) != 1:
        raise StudioError("BadRequest", "ValidationError", f"The definition has {len(models)} trained models, not one.")
    location = context.studio.blobs.named(str((models[0].get("locationInfo") or {}).get("uri")))
    sha256 = context.studio.models.keep(context.studio.blobs.read(location, models[0]["name"]))
    endpoint = new_endpoint(_id(call), call.names["name"])
    resource = Resource(name=models[0]["name"], location=location, sha256=sha256)
    endpoint.scorers = [Scorer(resource=resource, input="input1", output="output1")]
    keys = properties.pop("keys", None) or {}
    endpoint.primary_key = keys.get("primary") or endpoint.primary_key
    endpoint.secondary_key = keys.get("secondary") or endpoint.secondary_key
    stamp = now().isoformat()
    kept = {name: value for name, value in properties.items() if name not in ("storageAccount", "commitmentPlan")}
    made = {"createdOn": stamp, "modifiedOn": stamp, "provisioningState": "Succeeded", "payloadsInBlobStorage": False}
    definition = {
        "id": call.path,
        "name": call.names["name"],
        "type": "Microsoft.MachineLearning/webServices",
        "location": given.get("location", LOCATION),
        "tags": given.get("tags") or {},
        "properties": {**kept, **made, "storageAccount": {"name": context.studio.blobs.account}},
    }
    service = WebService(
        id=_id(call),
        parent=context.studio.identity.subscription,
        name=call.names["name"],
        endpoint=endpoint.id,
        definition=definition,
    )
    context.studio.records.put(endpoint, service)
    operation = Operation(id=new_id(), parent=service.id, status="Succeeded", started=now())
    return _accepted(context, call, service, operation, 201)


def _accepted(context: Context, call: Call, service: WebService, operation: Operation, status: int) -> Response:
    """Record the operation, which has ended, and answer as if it went on."""
    operation.ended = now()
    context.studio.records.put(operation)
    identity, version = context.studio.identity, call.query["api-version"]
    place = f"/subscriptions/{identity.subscription}/providers/Microsoft.MachineLearning/locations/southcentralus"
    answer = _shown(call, service)
    answer["properties"] = {"payloadsInBlobStorage": False, "provisioningState": "Provisioning"}
    headers = {
        "Azure-AsyncOperation": f"{call.base}{place}/operationsStatus/{operation.id}?api-version={version}",
        "Azure-AsyncOperationPercentComplete": "0",
        "Retry-After": "1",
    }
    return JSONResponse(answer, status_code=status, headers=headers)


def _check_immutable(service: WebService, properties: dict[str, Any]) -> None:
    kept = service.definition["properties"]
    if kept.get("readOnly"):
        raise StudioError("BadRequest", "CannotChangeReadOnly", "The web service is read-only; it can only be deleted.")
    account = properties.get("storageAccount")
    configured = kept["storageAccount"]["name"]
    if isinstance(account, dict) and account.get("name", configured) != configured:
        raise StudioError(
            "BadRequest",
            "CannotChangeStorageAccount",
            f"The StorageAccount cannot be changed. Currently configured storage account name = '{configured}'.",
        )
    if properties.get("packageType", "Graph") != "Graph":
        raise StudioError("BadRequest", "CannotChangePackageType", "The packageType must be 'Graph'.")


def _apply(context: Context, service: WebService, given: dict[str, Any]) -> None:
    """Take the changes over: the model first, as it is the one that can fail."""
    properties = given["properties"]
    definition = copy.deepcopy(service.definition)
    kept = definition["properties"]
    endpoint = context.studio.records.get(Endpoint, service.endpoint)
    resources = {scorer.resource.name: scorer.resource for scorer in endpoint.scorers}
    begins = context.update_begins(endpoint)
    for key, asset in (properties.get("assets") or {}).items():
        known = kept["assets"].get(key)
        if known is None or known["name"] != asset.get("name", known["name"]):
            raise StudioError(
                "BadRequest", "ValidationError", f"The definition has no asset {key!r} of that name.", key
            )
        uri = (asset.get("locationInfo") or {}).get("uri", known["locationInfo"]["uri"])
        if known["type"] == "Resource" and uri != known["locationInfo"]["uri"]:
            location = context.studio.blobs.named(str(uri))
            resources[known["name"]] = context.studio.take_model(resources[known["name"]], location, begins)
            known["locationInfo"]["uri"] = uri
    kept.update({name: properties[name] for name in (*_FREE, "readOnly") if name in properties})
    kept["modifiedOn"] = now().isoformat()
    definition["tags"] = given.get("tags", definition["tags"])
    keys = properties.get("keys") or {}

    def updated(endpoint: Endpoint) -> Endpoint:
        for scorer in endpoint.scorers:
            scorer.resource = resources[scorer.resource.name]
        endpoint.primary_key = keys.get("primary") or endpoint.primary_key
        endpoint.secondary_key = keys.get("secondary") or endpoint.secondary_key
        return endpoint

    context.studio.records.change(Endpoint, endpoint.id, updated)
    service.definition = definition
    context.studio.records.put(service)


_PLACE = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices"
_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearning"
ADDRESSES = [
    ("arm.list", "GET", _PLACE, list_all),
    ("arm.list", "GET", f"{_SUBSCRIPTION}/webServices", list_all),
    ("arm.read", "GET", f"{_PLACE}/{{name}}", read),
    ("arm.replace", "PUT", f"{_PLACE}/{{name}}", replace),
    ("arm.patch", "PATCH", f"{_PLACE}/{{name}}", patch),
    ("arm.keys", "GET", f"{_PLACE}/{{name}}/listKeys", list_keys),
    ("arm.operation", "GET", f"{_SUBSCRIPTION}/locations/{{location}}/operationsStatus/{{operation}}", operation),
]


def _check(context: Context, call: Call) -> None:
    if call.key != context.studio.identity.arm_token:
        raise unauthorized("ManagementRequestUnauthorized")
    call.check_version(*VERSIONS)
    subscription = call.names["subscription"]
    if subscription.lower() != context.studio.identity.subscription:
        raise not_found("SubscriptionNotFound", f"No subscription has the id {subscription}.")


def _id(call: Call) -> str:
    group = f"/subscriptions/{call.names['subscription']}/resourceGroups/{call.names['group']}"
    return f"{group}/providers/Microsoft.MachineLearning/webServices/{call.names.get('name', '')}".lower()


def _web_service(context: Context, call: Call) -> WebService:
    _check(context, call)
    service = context.studio.records.find(WebService, _id(call))
    if service is None:
        raise not_found(
            "WebServiceNotFound", f"No Web Service could be found with the provided name: {call.names['name']}."
        )
    return service


def _shown(call: Call, service: WebService) -> dict[str, Any]:
    """Return the definition as it is answered: without keys, with its swagger's address on this host."""
    shown = copy.deepcopy(service.definition)
    subscription = service.parent.replace("-", "")
    base = f"{call.base}/subscriptions/{subscription}/services/{service.endpoint}"
    shown["properties"]["swaggerLocation"] = f"{base}/swagger.json"
    return shown


def _cased(value: Any) -> Any:
    """Return the body with the protocol's own member names in camelCase, whatever case they came in."""
    if isinstance(value, list):
        return [_cased(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {_NAMES.get(key.lower(), key): _cased(each) for key, each in value.items()}
