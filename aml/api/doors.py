"""What leads a client here before it has a token: cloud metadata, discovery, and the managed-identity endpoint."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.identity import tokens
from aml.identity.names import is_of_this_machine

CLOUD = "Relearn"  #: not the name of a cloud that a client knows: it would take its own addresses
PORTAL = "https://portal.azure.local/"
#: members of a cloud that its clients look for, and that are nowhere here
_FLAT = (
    "graph", "graphAudience", "media", "batch", "gallery", "sqlManagement", "vmImageAliasDoc",
    "activeDirectoryDataLake", "microsoftGraphResourceId", "logAnalyticsResourceId", "appInsightsResourceId",
    "synapseAnalyticsResourceId", "attestationResourceId", "ossrDbmsResourceId",
)  # fmt: skip
_SUFFIXES = (
    "keyVaultDns", "sqlServerHostname", "azureDataLakeStoreFileSystem", "azureDataLakeAnalyticsCatalogAndJob",
    "acrLoginServer", "azureFrontDoorEndpointSuffix", "mysqlServerEndpoint", "postgresqlServerEndpoint",
    "mariadbServerEndpoint", "synapseAnalytics", "attestationEndpoint",
)  # fmt: skip


def metadata(context: Context, call: Call) -> Response:
    """Answer the clouds: this server is one."""
    cloud: dict[str, Any] = {
        "name": CLOUD,
        "portal": PORTAL,
        "resourceManager": call.base,
        "authentication": {
            "loginEndpoint": call.base,
            "audiences": ["https://management.core.windows.net/", f"{call.base}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        **dict.fromkeys(_FLAT, call.base),
        "suffixes": {**dict.fromkeys(_SUFFIXES, "local"), "storage": context.workspace.account.suffix},
    }
    return scope.answer([cloud])


def discovery(context: Context, call: Call) -> Response:
    """Answer where the data planes are: here, or behind the real name of the region."""
    names = ("api", "history", "experimentation", "modelmanagement", "mlflow", "hyperdrive", "catalog")
    return scope.answer(dict.fromkeys(names, data_plane(context, call)))


def data_plane(context: Context, call: Call) -> str:
    """Return the address of the data planes, as the caller reaches this server."""
    region = context.workspace.identity.location
    return call.base if is_of_this_machine(call.base) else f"https://{region}.api.azureml.ms"


def token(context: Context, call: Call) -> Response:
    """Answer a token of the workspace's managed identity, as App Service does."""
    given = call.headers.get("x-identity-header", "")
    if not hmac.compare_digest(given.encode(), context.workspace.identity.identity_header.encode()):
        raise ArmError(401, "Unauthorized", "The header X-IDENTITY-HEADER is missing or wrong; `aml env` prints it.")
    resource = call.query.get("resource", "")
    if not resource:
        raise bad_request("The query parameter 'resource' is missing.", "resource", "InvalidRequest")
    value, expires = tokens.issue(context.workspace.identity, resource)
    body = {"access_token": value, "expires_on": str(expires), "resource": resource, "token_type": "Bearer"}
    return scope.answer({**body, "client_id": context.workspace.identity.principal})


ADDRESSES = [
    ("public.metadata", "GET", "/metadata/endpoints", metadata),
    ("public.discovery", "GET", "/discovery", discovery),
    ("public.discovery", "GET", "/discovery/workspaces/{guid}", discovery),
    ("public.token", "GET", "/msi/token", token),
]
