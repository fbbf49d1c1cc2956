"""Classic management: services and endpoints of a workspace, and the PATCH that swaps an endpoint's trained models."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api import ports, swagger
from studio.api.context import Call, Context, check_id, not_in_workspace
from studio.errors import StudioError, bad_argument, body_invalid, not_found, unauthorized
from studio.learning.ilearner import SUFFIX
from studio.publishing import DEFAULT
from studio.state.records import Endpoint, Reference, Resource, Scorer, Service, Workspace, now

_SETTINGS = {
    "Description": "description",
    "ThrottleLevel": "throttle_level",
    "MaxConcurrentCalls": "max_concurrent_calls",
    "DiagnosticsTraceLevel": "diagnostics",
    "PreventUpdate": "prevent_update",
}
_LOW = 4  #: concurrent calls of an endpoint whose throttle level is Low
_HIGH = 20  #: and of one whose level is High, unless it says otherwise
_MOST = 200


def list_services(context: Context, call: Call) -> Response:
    workspace = _owned(context, call)
    return JSONResponse([_shown_service(context, each) for each in context.studio.records.all(Service, workspace.id)])


def read_service(context: Context, call: Call) -> Response:
    return JSONResponse(_shown_service(context, _owned_service(context, call)))


def put_service(context: Context, call: Call) -> Response:
    """Refuse the code services of the Python and R clients: they would run a stranger's code."""
    _owned(context, call)
    raise StudioError(
        "WebServicePackageError",
        "ValidationError",
        "This Studio runs no code that is sent to it; publish an experiment with `python -m studio publish`.",
    )


def delete_service(context: Context, call: Call) -> Response:
    service = _owned_service(context, call)
    context.studio.records.delete(service, *context.studio.records.all(Endpoint, service.id))
    return Response(status_code=204)


def list_endpoints(context: Context, call: Call) -> Response:
    service = _owned_service(context, call)
    endpoints = context.studio.records.all(Endpoint, service.id)
    return JSONResponse([_shown(context, call, service, endpoint) for endpoint in endpoints])


def read(context: Context, call: Call) -> Response:
    service, endpoint = _endpoint(context, call)
    return JSONResponse(_shown(context, call, service, endpoint))


def create(context: Context, call: Call) -> Response:
    """Make an endpoint with the models of the default one."""
    service, name = _owned_service(context, call), call.names["name"]
    settings = _settings(call.json()) if call.body.strip() else {}
    context.studio.add_endpoints(service, [name], **settings)
    endpoint = context.studio.records.named(Endpoint, service.id, name)
    assert endpoint is not None, "it was added"
    return JSONResponse(_shown(context, call, service, endpoint), status_code=201)


def update(context: Context, call: Call) -> Response:
    """Swap trained models, change settings. The answer is empty and tells nothing about when it takes effect."""
    service, endpoint = _endpoint(context, call)
    body = call.json()
    settings = _settings(body, endpoint)
    swapped: dict[str, Resource] = {}
    if given := body.get("Resources"):
        _check_updatable(service, endpoint)
        swapped = _swapped(context, endpoint, given)
    if context.strike("no effect", endpoint):
        return Response(status_code=200)

    def updated(endpoint: Endpoint) -> Endpoint:
        scorers = [_with(scorer, swapped.get(scorer.resource.name)) for scorer in endpoint.scorers]
        return msgspec.structs.replace(endpoint, **settings, scorers=scorers)

    if context.studio.records.change(Endpoint, endpoint.id, updated) is None:
        raise _no_endpoint(endpoint.name)
    return Response(status_code=200)


def refresh(context: Context, call: Call) -> Response:
    """Take the graph of the default endpoint over, with its models or with those that the endpoint has."""
    service, endpoint = _endpoint(context, call)
    if endpoint.name == DEFAULT:
        raise _invalid(
            "UpdateWebServiceResourceFailed", "The default endpoint is the one that others are refreshed from."
        )
    _check_open(endpoint)
    overwrite = _flag("OverwriteResources", call.json().get("OverwriteResources"))
    default = context.studio.default_endpoint(service)

    def refreshed(endpoint: Endpoint) -> Endpoint | None:
        kept = {} if overwrite else {scorer.resource.name: scorer.resource for scorer in endpoint.scorers}
        scorers = [_with(scorer, kept.get(scorer.resource.name)) for scorer in default.scorers]
        if scorers == endpoint.scorers and default.training == endpoint.training:
            return None
        return msgspec.structs.replace(endpoint, scorers=scorers, training=default.training, refreshed=now())

    changed = context.studio.records.change(Endpoint, endpoint.id, refreshed)
    return Response(status_code=200 if changed else 304)


def delete(context: Context, call: Call) -> Response:
    _, endpoint = _endpoint(context, call)
    context.studio.delete_endpoint(endpoint)
    return Response(status_code=204)


def regenerate_key(context: Context, call: Call) -> Response:
    """Make one of the endpoint's keys anew. No client recorded this call: its form is this Studio's own."""
    service, endpoint = _endpoint(context, call)
    kind = call.json().get("KeyType")
    if kind not in ("Primary", "Secondary"):
        raise bad_argument("BadParameterValue", "KeyType must be Primary or Secondary.", "KeyType")
    changed = context.studio.regenerate_key(endpoint, "primary" if kind == "Primary" else "secondary")
    return JSONResponse(_shown(context, call, service, changed))


def describe(context: Context, call: Call) -> Response:
    _, endpoint = _endpoint(context, call)
    return JSONResponse(swagger.document(context.studio, endpoint, call.base))


_SERVICES = "/workspaces/{workspace}/webservices"
_ENDPOINT = f"{_SERVICES}/{{service}}/endpoints/{{name}}"
ADDRESSES = [
    ("classic.services", "GET", _SERVICES, list_services),
    ("classic.service", "GET", f"{_SERVICES}/{{service}}", read_service),
    ("classic.publish", "PUT", f"{_SERVICES}/{{service}}", put_service),
    ("classic.unpublish", "DELETE", f"{_SERVICES}/{{service}}", delete_service),
    ("classic.endpoints", "GET", f"{_SERVICES}/{{service}}/endpoints", list_endpoints),
    ("classic.read", "GET", _ENDPOINT, read),
    ("classic.create", "PUT", _ENDPOINT, create),
    ("classic.update", "PATCH", _ENDPOINT, update),
    ("classic.delete", "DELETE", _ENDPOINT, delete),
    ("classic.refresh", "POST", f"{_ENDPOINT}/refresh", refresh),
    ("classic.key", "POST", f"{_ENDPOINT}/regeneratekey", regenerate_key),
    ("classic.apidocument", "GET", f"{_ENDPOINT}/apidocument", describe),
]


def _with(scorer: Scorer, resource: Resource | None) -> Scorer:
    return msgspec.structs.replace(scorer, resource=resource) if resource else scorer


def _swapped(context: Context, endpoint: Endpoint, given: Any) -> dict[str, Resource]:
    """Return the resources that the request replaces, by name: every model is read and checked before any is live."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise body_invalid()
    begins = context.update_begins(endpoint)
    known = {scorer.resource.name: scorer.resource for scorer in endpoint.scorers}
    swapped = {}
    for each in given:
        name = each.get("Name")
        if not isinstance(name, str) or name not in known:
            raise bad_argument(
                "BadParameterValue",
                f"The endpoint has no resource {name!r}; its resources are: {', '.join(known)}.",
                str(name),
            )
        try:
            location = msgspec.convert(each.get("Location"), Reference)
        except msgspec.ValidationError:
            raise bad_argument(
                "MissingInputBlobInformation", f"The resource {name!r} has no Location to take its model from.", name
            ) from None
        ports.check_extension(location, (SUFFIX,), name, "output")
        swapped[name] = context.studio.take_model(known[name], location, begins)
    return swapped


def _check_updatable(service: Service, endpoint: Endpoint) -> None:
    if not endpoint.scorers:
        raise _invalid(
            "UpdateWebServiceResourceFailed",
            "Sorry, but this feature is not supported or available in this context. "
            "This Web Service has no updatable resources.",
        )
    if endpoint.name == DEFAULT:
        raise _invalid(
            "UpdateWebServiceResourceFailed",
            f"The default endpoint of {service.name!r} follows its experiment; add an endpoint and update that.",
        )
    _check_open(endpoint)


def _check_open(endpoint: Endpoint) -> None:
    if endpoint.prevent_update:
        raise _invalid("UpdateWebServiceResourceFailed", f"The endpoint {endpoint.name!r} has PreventUpdate set.")


def _invalid(detail: str, message: str) -> StudioError:
    return StudioError("InvalidOperation", detail, message)


def _settings(given: dict[str, Any], endpoint: Endpoint | None = None) -> dict[str, Any]:
    """Return the settings among the members. Clients send numbers and booleans as strings too, and null for none."""
    settings: dict[str, Any] = {}
    for key, name in _SETTINGS.items():
        value = given.get(key)
        if value is None:
            continue
        try:
            settings[name] = _setting(name, value)
        except (ValueError, TypeError):
            raise bad_argument("BadParameterValue", f"{key} cannot be {value!r}.", key) from None
    level = settings.get("throttle_level", endpoint.throttle_level if endpoint else "Low")
    calls = settings.get("max_concurrent_calls")
    if level == "Low" and calls is not None and calls > _LOW:
        if "throttle_level" in settings or endpoint is None:
            raise bad_argument(
                "WebServiceConcurrentRequestRequirementInvalid",
                f"An endpoint of ThrottleLevel Low takes {_LOW} concurrent calls at most, not {calls}; give it High.",
                "MaxConcurrentCalls",
            )
        settings["throttle_level"] = "High"
    if "throttle_level" in settings and calls is None:
        settings["max_concurrent_calls"] = _LOW if level == "Low" else _HIGH
    return settings


def _setting(name: str, value: Any) -> Any:
    if name == "max_concurrent_calls":
        return _calls(value)
    if name == "prevent_update":
        return _flag("PreventUpdate", value)
    allowed = {"throttle_level": ("Low", "High"), "diagnostics": ("None", "Error", "All")}.get(name)
    if not isinstance(value, str) or (allowed and value not in allowed):
        raise ValueError
    return value


def _calls(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise ValueError
    number = int(value)
    if number > _MOST:
        raise bad_argument(
            "WebServiceTooManyConcurrentRequestRequirement",
            f"Cannot set concurrent request requirement to more than {_MOST}; it is {number}.",
            "MaxConcurrentCalls",
        )
    if number < 1:
        raise ValueError
    return number


def _flag(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise bad_argument("BadParameterValue", f"{name} must be True or False, not {value!r}.", name)
    return str(value).lower() == "true"


def _workspace(context: Context, call: Call) -> Workspace:
    found = context.studio.records.find(Workspace, call.names["workspace"])
    if found is None and call.names["workspace"] == context.studio.identity.workspace:
        found = context.studio.workspace
    if found is None:
        raise not_found("WorkspaceNotFound", f"No workspace has the id {call.names['workspace']}.")
    return found


def _owned(context: Context, call: Call) -> Workspace:
    """Return the workspace, if the caller has one of its tokens."""
    workspace = _workspace(context, call)
    if not workspace.opens(call.key):
        raise unauthorized("ManagementRequestUnauthorized")
    return workspace


def _service(context: Context, call: Call, workspace: Workspace) -> Service:
    check_id(call.names["service"])
    service = context.studio.records.find(Service, call.names["service"])
    if service is None or service.parent != workspace.id:
        raise not_in_workspace(call.names["service"])
    return service


def _owned_service(context: Context, call: Call) -> Service:
    return _service(context, call, _owned(context, call))


def _endpoint(context: Context, call: Call) -> tuple[Service, Endpoint]:
    """Return the endpoint named or given by its id, if the caller has the workspace's token or the endpoint's key."""
    workspace = _workspace(context, call)
    is_owner = workspace.opens(call.key)
    service = context.studio.records.find(Service, call.names["service"])
    endpoint = None
    if service and service.parent == workspace.id:
        named = context.studio.records.named(Endpoint, service.id, call.names["name"])
        by_id = named or context.studio.records.find(Endpoint, call.names["name"])
        endpoint = by_id if by_id and by_id.parent == service.id else None
    if not is_owner and not (endpoint and endpoint.opens(call.key)):
        raise unauthorized("ManagementRequestUnauthorized")
    service = _service(context, call, workspace)
    if endpoint is None:
        raise _no_endpoint(call.names["name"])
    return service, endpoint


def _no_endpoint(name: str) -> StudioError:
    return not_found("WebServiceNotFound", f"The web service has no endpoint {name!r}.")


def _shown_service(context: Context, service: Service) -> dict[str, Any]:
    return {
        "Id": service.id,
        "Name": service.name,
        "Description": "",
        "CreationTime": f"{service.created:%Y-%m-%dT%H:%M:%SZ}",
        "WorkspaceId": service.parent,
        "DefaultEndpointName": DEFAULT,
        "EndpointCount": context.studio.records.count(Endpoint, service.id),
    }


def _shown(context: Context, call: Call, service: Service, endpoint: Endpoint) -> dict[str, Any]:
    place = f"workspaces/{service.parent}/webservices/{service.id}/endpoints/{endpoint.id}"
    return {
        "Name": endpoint.name,
        "Description": endpoint.description,
        "CreationTime": f"{endpoint.created:%Y-%m-%dT%H:%M:%SZ}",
        "WorkspaceId": service.parent,
        "WebServiceId": service.id,
        "HelpLocation": f"{call.base}/apihelp/{place}",
        "PrimaryKey": endpoint.primary_key,
        "SecondaryKey": endpoint.secondary_key,
        "ApiLocation": f"{call.base}/workspaces/{service.parent}/services/{endpoint.id}",
        "Version": None,
        "PreventUpdate": endpoint.prevent_update,
        "SampleDataEnabled": False,
        "ExperimentLocation": None,
        "MaxConcurrentCalls": endpoint.max_concurrent_calls,
        "DiagnosticsTraceLevel": endpoint.diagnostics,
        "ThrottleLevel": endpoint.throttle_level,
        "Resources": [_shown_resource(context, scorer.resource) for scorer in endpoint.scorers],
    }


def _shown_resource(context: Context, resource: Resource) -> dict[str, Any]:
    location = msgspec.structs.replace(resource.location, connection_string=None)
    if not location.sas_blob_token and location.base_location == context.studio.blobs.address:
        location = context.studio.blobs.result(location)
    shown = msgspec.to_builtins(location)
    shown.pop("ConnectionString", None)
    return {"Name": resource.name, "Kind": "Trained Model", "Location": shown}
