"""Classic management: services and endpoints of a workspace, and the PATCH that swaps an endpoint's trained model."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context
from studio.errors import StudioError, bad_argument, body_invalid, not_found, unauthorized
from studio.models import SUFFIX, check_replaces
from studio.publishing import new_endpoint
from studio.records import Endpoint, Reference, Resource, Service

_NAME = re.compile(r"[a-z0-9]{1,24}")
_SETTINGS = {
    "Description": "description",
    "ThrottleLevel": "throttle_level",
    "MaxConcurrentCalls": "max_concurrent_calls",
    "DiagnosticsTraceLevel": "diagnostics",
    "PreventUpdate": "prevent_update",
}


def list_services(context: Context, call: Call) -> Response:
    _check_workspace(context, call)
    _check_token(context, call)
    services = context.studio.records.all(Service, context.studio.identity.workspace)
    return JSONResponse([_shown_service(context, service) for service in services])


def read_service(context: Context, call: Call) -> Response:
    _check_token(context, call)
    return JSONResponse(_shown_service(context, _service(context, call)))


def list_endpoints(context: Context, call: Call) -> Response:
    _check_token(context, call)
    service = _service(context, call)
    endpoints = context.studio.records.all(Endpoint, service.id)
    return JSONResponse([_shown(context, call, service, endpoint) for endpoint in endpoints])


def read(context: Context, call: Call) -> Response:
    service, endpoint = _endpoint(context, call)
    return JSONResponse(_shown(context, call, service, endpoint))


def create(context: Context, call: Call) -> Response:
    """Make an endpoint with the models of the default one."""
    _check_token(context, call)
    service, name = _service(context, call), call.names["name"]
    if not _NAME.fullmatch(name):
        raise bad_argument(
            "BadParameterValue", f"The endpoint name {name!r} must be 1 to 24 lower-case letters and digits.", "name"
        )
    existing = {endpoint.name: endpoint for endpoint in context.studio.records.all(Endpoint, service.id)}
    if name in existing:
        raise StudioError("Conflict", "EndpointAlreadyExists", f"The service has an endpoint {name!r} already.", name)
    default = existing["default"]
    endpoint = new_endpoint(service.id, name)
    endpoint.resource, endpoint.experiment = default.resource, default.experiment
    endpoint = _with_settings(endpoint, call.json() if call.body.strip() else {})
    context.studio.records.put(endpoint)
    return JSONResponse(_shown(context, call, service, endpoint), status_code=201)


def update(context: Context, call: Call) -> Response:
    """Swap trained models, change settings. The answer is empty and tells nothing about when it takes effect."""
    service, endpoint = _endpoint(context, call)
    body = call.json()
    given = body.get("Resources")
    changed = None
    if given:
        _check_updatable(service, endpoint)
        changed = _swapped(context, endpoint, given)
    settings = {key: value for key, value in body.items() if key in _SETTINGS}

    def update(endpoint: Endpoint) -> Endpoint:
        if changed:
            endpoint.resource = changed
        return _with_settings(endpoint, settings)

    context.studio.records.change(Endpoint, endpoint.id, update)
    return Response(status_code=200)


def delete(context: Context, call: Call) -> Response:
    service, endpoint = _endpoint(context, call)
    others = [each for each in context.studio.records.all(Endpoint, service.id) if each.id != endpoint.id]
    if endpoint.name == "default" and others:
        raise _invalid("CannotDeleteDefaultEndpoint", "The default endpoint cannot be deleted while others exist.")
    context.studio.records.delete(endpoint)
    return Response(status_code=204)


def _swapped(context: Context, endpoint: Endpoint, given: Any) -> Resource:
    resource = endpoint.resource
    assert resource is not None, "checked by the caller"
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise body_invalid()
    name = given[0].get("Name")
    if name != resource.name:
        raise bad_argument(
            "BadParameterValue",
            f"The endpoint has no resource {name!r}; its resources are: {resource.name}.",
            str(name),
        )
    try:
        location = msgspec.convert(given[0].get("Location"), Reference)
    except msgspec.ValidationError:
        raise body_invalid() from None
    if not (location.relative_location or "").lower().endswith(SUFFIX):
        raise bad_argument(
            "InvalidBlobExtension",
            f"The blob reference: {location.relative_location} has an invalid or missing file extension. "
            f'Supported file extensions for this output type are: "{SUFFIX}".',
            str(name),
        )
    return take_model(context, resource, location)


def take_model(context: Context, resource: Resource, location: Reference) -> Resource:
    """Return the resource with the blob's model, which is copied: the blob may go afterwards."""
    models = context.studio.models
    sha256 = models.keep(context.studio.blobs.read(location, resource.name))
    check_replaces(models.load(sha256).manifest, models.load(resource.sha256).manifest)
    return resource.becoming(sha256, location, time.time(), context.switch_after)


def _check_updatable(service: Service, endpoint: Endpoint) -> None:
    if endpoint.resource is None:
        raise _invalid(
            "UpdateWebServiceResourceFailed",
            "Sorry, but this feature is not supported or available in this context. "
            "This Web Service has no updatable resources.",
        )
    if endpoint.name == "default":
        raise _invalid(
            "UpdateWebServiceResourceFailed",
            f"The default endpoint of {service.name!r} follows its experiment; add an endpoint and update that.",
        )
    if endpoint.prevent_update:
        raise _invalid("UpdateWebServiceResourceFailed", "The endpoint prevents updates (PreventUpdate).")


def _invalid(detail: str, message: str) -> StudioError:
    return StudioError("InvalidOperation", detail, message)


def _with_settings(endpoint: Endpoint, settings: dict[str, Any]) -> Endpoint:
    """Return the endpoint with the settings. Clients send numbers and booleans as strings too."""
    changes: dict[str, Any] = {}
    for key, name in _SETTINGS.items():
        value = settings.get(key)
        if value is None:
            continue
        try:
            changes[name] = _setting(name, value)
        except ValueError:
            raise bad_argument("BadParameterValue", f"{key} cannot be {value!r}.", key) from None
    return msgspec.structs.replace(endpoint, **changes)


def _setting(name: str, value: Any) -> Any:
    if name == "max_concurrent_calls":
        number = int(value)
        if not 1 <= number <= 200:
            raise ValueError
        return number
    if name == "prevent_update":
        if str(value).lower() not in ("true", "false"):
            raise ValueError
        return str(value).lower() == "true"
    allowed = {"throttle_level": ("Low", "High"), "diagnostics": ("None", "Error", "All")}.get(name)
    if allowed and value not in allowed:
        raise ValueError
    return str(value)


def _check_workspace(context: Context, call: Call) -> None:
    if call.names["workspace"] != context.studio.identity.workspace:
        raise not_found("WorkspaceNotFound", f"No workspace has the id {call.names['workspace']}.")


def _check_token(context: Context, call: Call) -> None:
    if call.key != context.studio.identity.workspace_token:
        raise unauthorized("ManagementRequestUnauthorized")


def _service(context: Context, call: Call) -> Service:
    _check_workspace(context, call)
    service = context.studio.records.find(Service, call.names["service"])
    if service is None or service.parent != call.names["workspace"]:
        raise not_found("WebServiceIdNotFoundInWorkspace", f"The workspace has no web service {call.names['service']}.")
    return service


def _endpoint(context: Context, call: Call) -> tuple[Service, Endpoint]:
    """Return the named endpoint, if the caller has the workspace's token or one of the endpoint's keys."""
    service = _service(context, call)
    endpoints = context.studio.records.all(Endpoint, service.id)
    endpoint = next((each for each in endpoints if each.name == call.names["name"]), None)
    is_owner = call.key == context.studio.identity.workspace_token
    if endpoint is None:
        if not is_owner:
            raise unauthorized("ManagementRequestUnauthorized")
        raise not_found("WebServiceNotFound", f"The service has no endpoint {call.names['name']!r}.")
    if not is_owner and not endpoint.opens(call.key):
        raise unauthorized("ManagementRequestUnauthorized")
    return service, endpoint


def _shown_service(context: Context, service: Service) -> dict[str, Any]:
    return {
        "Id": service.id,
        "Name": service.name,
        "Description": "",
        "CreationTime": f"{service.created:%Y-%m-%dT%H:%M:%SZ}",
        "WorkspaceId": service.parent,
        "DefaultEndpointName": "default",
        "EndpointCount": len(context.studio.records.all(Endpoint, service.id)),
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
        "Resources": _shown_resources(context, endpoint.resource),
    }


def _shown_resources(context: Context, resource: Resource | None) -> list[dict[str, Any]]:
    if resource is None:
        return []
    location = msgspec.to_builtins(msgspec.structs.replace(resource.location, connection_string=None))
    if not resource.location.sas_blob_token and resource.location.base_location == context.studio.blobs.address:
        location = msgspec.to_builtins(context.studio.blobs.result(resource.location))
    location.pop("ConnectionString", None)
    return [{"Name": resource.name, "Kind": "Trained Model", "Location": location}]
