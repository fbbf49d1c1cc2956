"""Classic management: services and endpoints of a workspace, and the PATCH that swaps an endpoint's trained models."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api import ports, swagger
from studio.api.context import Call, Context, check_id, not_in_workspace
from studio.api.settings import Settings, flag, read_settings
from studio.errors import StudioError, bad_argument, body_invalid, not_found, unauthorized
from studio.learning.manifest import SUFFIX
from studio.publishing import DEFAULT
from studio.state.records import Endpoint, Reference, Resource, Scorer, Service, Workspace, now


class _Replaced(msgspec.Struct, rename="pascal"):
    """A trained model to put in place of the one of that name."""

    name: Any = None
    location: Reference | None = None


class _Changes(Settings):
    """The body of an update."""

    resources: list[_Replaced] | None = None


class _Refresh(msgspec.Struct, rename="pascal"):
    overwrite_resources: Any = None


class _NewKey(msgspec.Struct, rename="pascal"):
    key_type: Any = None


def list_services(context: Context, call: Call) -> Response:
    workspace = context.owned_workspace(call)
    return JSONResponse([_shown_service(context, each) for each in context.studio.records.all(Service, workspace.id)])


def read_service(context: Context, call: Call) -> Response:
    return JSONResponse(_shown_service(context, _owned_service(context, call)))


def put_service(context: Context, call: Call) -> Response:
    """Refuse the code services of the Python and R clients: they would run a stranger's code."""
    context.owned_workspace(call)
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
    settings = read_settings(call.members(Settings)) if call.body.strip() else {}
    context.studio.add_endpoints(service, [name], **settings)
    endpoint = context.studio.records.named(Endpoint, service.id, name)
    assert endpoint is not None, "it was added"
    return JSONResponse(_shown(context, call, service, endpoint), status_code=201)


def update(context: Context, call: Call) -> Response:
    """Swap trained models, change settings. The answer is empty: it does not say when the change takes effect."""
    service, endpoint = _endpoint(context, call)
    body = call.members(_Changes)
    settings, given = read_settings(body, endpoint), body.get("Resources")
    swapped: dict[str, Resource] = {}
    if given:
        _check_updatable(service, endpoint)
        swapped = _swapped(context, endpoint, given)
    if not settings and not swapped:
        names = ", ".join(field.encode_name for field in msgspec.structs.fields(_Changes))
        raise bad_argument("RequestBodyInvalid", f"The request changes nothing. An update can name: {names}.")
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
    overwrite = flag("OverwriteResources", call.members(_Refresh).get("OverwriteResources"))
    default = context.studio.default_endpoint(service)

    def refreshed(endpoint: Endpoint) -> Endpoint | None:
        own = {scorer.resource.name: scorer.resource for scorer in endpoint.scorers}
        scorers = [_refreshed(scorer, own.get(scorer.resource.name), overwrite) for scorer in default.scorers]
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
    """Replace one of the endpoint's keys. No client recorded this call: its form is this Studio's own."""
    service, endpoint = _endpoint(context, call)
    kind = call.members(_NewKey).get("KeyType")
    if kind not in ("Primary", "Secondary"):
        raise bad_argument("BadParameterValue", "KeyType must be Primary or Secondary.", "KeyType")
    changed = context.studio.regenerate_key(endpoint, "primary" if kind == "Primary" else "secondary")
    return JSONResponse(_shown(context, call, service, changed))


def describe(context: Context, call: Call) -> Response:
    """Answer the swagger document without a key: R's client sends none, also below the help page."""
    endpoint = _find(context, context.workspace(call), call)
    if endpoint is None:
        raise _no_endpoint(call.names["name"])
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
    ("classic.apidocument", "GET", f"/apihelp{_ENDPOINT}/apidocument", describe),
]


def _with(scorer: Scorer, resource: Resource | None) -> Scorer:
    """Return the scorer with the resource of an update, if there is one."""
    return msgspec.structs.replace(scorer, resource=resource.after(scorer.resource)) if resource else scorer


def _refreshed(default: Scorer, own: Resource | None, overwrite: bool) -> Scorer:
    """Return the default endpoint's scorer for an endpoint whose resource of that name is `own`."""
    if own is None:
        return default
    return msgspec.structs.replace(default, resource=default.resource.after(own) if overwrite else own)


def _swapped(context: Context, endpoint: Endpoint, given: Any) -> dict[str, Resource]:
    """Return the resources that the request replaces, by name: every model is read and checked before any is live."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise body_invalid("Resources is not a list of resources.")
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


def _service(context: Context, call: Call, workspace: Workspace) -> Service:
    check_id(call.names["service"])
    service = context.studio.records.find(Service, call.names["service"])
    if service is None or service.parent != workspace.id:
        raise not_in_workspace(call.names["service"])
    return service


def _owned_service(context: Context, call: Call) -> Service:
    return _service(context, call, context.owned_workspace(call))


def _endpoint(context: Context, call: Call) -> tuple[Service, Endpoint]:
    """Return the endpoint named or given by its id, if the caller has the workspace's token or the endpoint's key."""
    check_key(context, call)
    workspace = context.workspace(call)
    endpoint = _find(context, workspace, call)
    service = _service(context, call, workspace)
    if endpoint is None:
        raise _no_endpoint(call.names["name"])
    return service, endpoint


def check_key(context: Context, call: Call) -> None:
    """Raise unless the call has the workspace's token or the key of the endpoint that its address names."""
    workspace = context.workspace(call)
    endpoint = _find(context, workspace, call) if "name" in call.names else None
    if not workspace.opens(call.key) and not (endpoint and endpoint.opens(call.key)):
        raise unauthorized("ManagementRequestUnauthorized")


def _find(context: Context, workspace: Workspace, call: Call) -> Endpoint | None:
    """Return the endpoint that the address gives by its name or its id."""
    service = context.studio.records.find(Service, call.names["service"])
    if service is None or service.parent != workspace.id:
        return None
    named = context.studio.records.named(Endpoint, service.id, call.names["name"])
    found = named or context.studio.records.find(Endpoint, call.names["name"])
    return found if found and found.parent == service.id else None


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
