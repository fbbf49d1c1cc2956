"""The web service that a call names, and how one is shown: without keys, with addresses on the caller's own host."""

from __future__ import annotations

from typing import Any

from studio.api.arm import scope
from studio.api.arm.changes import PAYLOAD
from studio.api.arm.operations import VERSIONS
from studio.api.arm.preview import VERSION as PREVIEW
from studio.api.arm.preview import to_preview
from studio.api.context import Call, Context
from studio.state.records import Reference, WebService


def find(context: Context, call: Call, *versions: str) -> tuple[str, WebService]:
    """Return the api-version, and the service that the call names."""
    version = scope.enter(context, call, *(versions or VERSIONS))
    service = context.studio.records.find(WebService, key(call))
    if service is None:
        message = f"No Web Service could be found with the provided name: {call.names['name']}."
        raise scope.not_found("WebServiceNotFound", message)
    return version, service


def key(call: Call) -> str:
    return scope.resource_id(call, "webServices").lower()


def shown(
    context: Context, call: Call, version: str, definition: dict[str, Any], endpoint: str, whole: bool = True
) -> dict[str, Any]:
    """Return the definition as the api-version has it; lists leave the payload out (`whole` is false).

    Of a definition above 3 MB the payload is in a blob, whose address comes with a SAS.
    """
    properties = dict(definition["properties"])
    subscription = context.studio.identity.subscription.replace("-", "")
    properties["swaggerLocation"] = f"{call.base}/subscriptions/{subscription}/services/{endpoint}/swagger.json"
    if properties["payloadsInBlobStorage"] and version != PREVIEW and whole:
        link = context.studio.blobs.result(payload_reference(context, endpoint))
        uri = f"{link.base_location}{link.relative_location}{link.sas_blob_token}"
        properties["payloadsLocation"] = {"uri": uri, "credentials": ""}
        whole = False
    if not whole:
        properties = {name: value for name, value in properties.items() if name not in PAYLOAD}
    return {**definition, "properties": to_preview(properties) if version == PREVIEW else properties}


def payload_reference(context: Context, endpoint: str) -> Reference:
    """Return the blob in which a large definition's payload is."""
    return context.studio.blobs.own(f"webservicepayloads/{endpoint}.json")
