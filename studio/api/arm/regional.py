"""A definition for another region: it can be read there once its copy was asked for."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from studio.api.arm import scope
from studio.api.arm.operations import accept
from studio.api.arm.views import find
from studio.api.context import Call, Context
from studio.errors import bad_argument
from studio.state.records import WebService

_VERSION = "2017-01-01"


def create(context: Context, call: Call) -> Response:
    """Make the copy. Nothing is encrypted here, so that it is the definition itself, also after later changes."""
    _, service = find(context, call, _VERSION)
    region = scope.region(call.query.get("region", ""))
    if not region.isalnum():
        raise bad_argument("InvalidQueryParameter", "The query parameter 'region' must name a region.", "region")

    with scope.alone(service.id):
        _, service = find(context, call, _VERSION)
        service = msgspec.structs.replace(service, regions=sorted({*service.regions, region}))
        context.studio.records.put(service)
    made = {"payloadsInBlobStorage": False, "provisioningState": "Provisioning"}
    shown = {name: service.definition[name] for name in ("id", "name", "type", "location")}
    headers = accept(context, call, service.id, service.definition["location"])
    return scope.answer({**shown, "properties": made}, 202, headers)


def check_region(service: WebService, region: str) -> None:
    """Raise unless the definition can be read for the region."""
    if scope.region(region) not in (scope.region(service.definition["location"]), *service.regions):
        message = (
            f"Web Service Definition for region {region} was not found. Please use the same URL making a POST call "
            "and wait for it succeeded, then try GET again."
        )
        raise scope.not_found("PerRegionPayloadNotFound", message)


ADDRESSES = [("arm.regional", "POST", f"{scope.GROUP}/webServices/{{name}}/CreateRegionalBlob", create)]
