"""Versions of a registered model: each kept model is one, named by its content, with its SHA-256 as a tag.

What a version has as its address never changes; its tags may. A version that somebody else registered gets the tag once
its content is kept (`adopt`), and a second one that says which deployment of an endpoint served it then.
"""

import re
from collections.abc import Mapping
from typing import Any

from shared.adapters.azureml.workspace import Workspace, for_writing
from shared.base.errors import ServiceRefused
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.jobs import Model

MISSING: Mapping[str, Any] = {"properties": {}}  #: in the place of a version that is not there
SHA256, PIPELINE = "relearn.sha256", "relearn.pipeline"
_ADOPTED = "relearn.adopted."  #: and the name of an endpoint: the deployment that was live there
_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/.+/workspaces/[^/]+/)?datastores/([^/]+)/paths/(.+)", re.IGNORECASE
)


def version_name(model: Model) -> str:
    return model.sha256[:12]


def version_path(target: AzureMLOnlineTarget, model: Model) -> str:
    """Return where the version of a kept model is, below the workspace."""
    return f"models/{target.model}/versions/{version_name(model)}"


def register(workspace: Workspace, target: AzureMLOnlineTarget, model: Model, pipeline: str) -> None:
    """Have the version of a kept model; raise `ServiceRefused` when that name has another content."""
    path, asked = version_path(target, model), f"azureml://datastores/{target.datastore}/paths/{model.name}"
    found = workspace.find(path)
    if found is None:
        tags = {SHA256: model.sha256, PIPELINE: pipeline}
        own = {"modelUri": asked, "modelType": target.type, "tags": tags}
        workspace.put(path, {"properties": {**own, "properties": {}, "isAnonymous": False, "isArchived": False}})
        return
    there = found["properties"].get("modelUri")
    if datastore_and_path(there) != datastore_and_path(asked) or sha256_of(found) not in ("", model.sha256):
        raise ServiceRefused(
            f"The model {target.model} has a version {version_name(model)} with another content ({there}); delete or "
            "archive it, or give the target another `model`",
            409,
        )
    if not sha256_of(found):
        _tag(workspace, path, found, {SHA256: model.sha256})


def adopt(workspace: Workspace, path: str, endpoint: str, deployment: str, model: Model) -> Mapping[str, Any]:
    """Note at a version which kept model it is, and which deployment of the endpoint serves it; return the version."""
    found = workspace.get(path)
    if sha256_of(found) not in ("", model.sha256):
        raise ServiceRefused(f"{path} has the tag {SHA256}: {sha256_of(found)}, and its content is {model.sha256}", 409)
    tags = {SHA256: model.sha256, f"{_ADOPTED}{endpoint}": deployment}
    return _tag(workspace, path, found, tags) if tags.items() - tags_of(found).items() else found


def sha256_of(version: Mapping[str, Any]) -> str:
    return tags_of(version).get(SHA256, "")


def adopted_by(version: Mapping[str, Any], endpoint: str) -> str:
    """Return the deployment of the endpoint that served the version when it was adopted; empty where none did."""
    return tags_of(version).get(f"{_ADOPTED}{endpoint}", "")


def tags_of(version: Mapping[str, Any]) -> dict[str, str]:
    return dict(version["properties"].get("tags") or {})


def datastore_and_path(address: Any) -> tuple[str, str] | None:
    """Return what `azureml://datastores/{name}/paths/{path}` names, also in its long form; None for another address."""
    found = _DATASTORE.fullmatch(str(address or ""))
    return (found[1].lower(), found[2].rstrip("/")) if found else None


def _tag(workspace: Workspace, path: str, version: Mapping[str, Any], tags: Mapping[str, str]) -> Mapping[str, Any]:
    """Add the tags: the version is written as it is, since a PUT drops what it does not name. Return it."""
    body = for_writing(version)
    written: Mapping[str, Any] = workspace.put(
        path, {"properties": {**body["properties"], "tags": {**tags_of(version), **tags}}}
    )
    return written
