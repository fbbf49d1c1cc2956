"""The deployments of an endpoint: which model each serves, and what a new one is made of. No I/O.

A new deployment is a copy of the live one with another model. It is named by the model's content, and has the model's
SHA-256 as a tag.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.azureml.versions import PIPELINE, SHA256, version_path
from shared.adapters.azureml.workspace import for_writing, is_same, state_of
from shared.domain.azureml import AzureMLOnlineTarget, DeploymentChanges
from shared.domain.jobs import Model
from shared.domain.ports import Pending

CHANGING = frozenset({"creating", "updating", "scaling", "deleting"})
_SHORTEST, _USUAL, _LONGEST = 1.0, 5.0, 30.0  #: seconds between two looks
_OURS = re.compile(r"m[0-9a-f]{12}")
#: of an identity: what the service fills
_IDENTITY = ("type", "userAssignedIdentities")


@dataclass(frozen=True)
class Deployment:
    """`sha256` is the hash of the kept model that it serves; empty for one that this app does not know.

    `made`: by this app, or served what this app took over. Only such a one may be deleted.
    """

    name: str
    state: str
    sha256: str
    made: bool
    resource: Mapping[str, Any]
    version: Mapping[str, Any]  #: what it serves, where that had to be read

    @property
    def key(self) -> str:
        """How the shares name it."""
        return self.sha256 or self.name


def deployment_name(model: Model) -> str:
    return f"m{model.sha256[:12]}"


def is_our_name(name: str) -> bool:
    """Return whether a deployment of this name is one that this app made, or a failed try of one."""
    return bool(_OURS.fullmatch(name.lower()))


def made_for(resource: Mapping[str, Any], served: str, target: AzureMLOnlineTarget) -> str:
    """Return the SHA-256 of the model that this app made the deployment for, if it still serves that; else nothing.

    `served` is the path of the version that it serves. The tag alone is not enough: somebody can give a deployment
    another model, and leave its tags.
    """
    model = Model(sha256=(resource.get("tags") or {}).get(SHA256, ""), size=0)
    named = model.sha256 and is_same(str(resource["name"]), deployment_name(model))
    return model.sha256 if named and is_same(served, version_path(target, model)) else ""


def model_of(resource: Mapping[str, Any]) -> str:
    """Return the id of the model version that a deployment serves; empty where it has code alone."""
    return str(resource["properties"].get("model") or "").removeprefix("azureml:")


def deployment_body(
    pattern: Mapping[str, Any], workspace: str, target: AzureMLOnlineTarget, model: Model, pipeline: str
) -> dict[str, Any]:
    """Return a deployment as the pattern is, with the model and with what the configuration has otherwise."""
    body, changes = for_writing(pattern), target.deployment
    return {
        **body,
        **identity_for_writing(body),
        "tags": {**(body.get("tags") or {}), SHA256: model.sha256, PIPELINE: pipeline},
        "sku": _sku(body.get("sku") or {}, changes),
        "properties": {
            **body["properties"],
            "model": f"{workspace}/{version_path(target, model)}",
            **_changed(body["properties"], workspace, changes),
        },
    }


def identity_for_writing(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity without what the service fills: ids of principals, also of those that the user assigned."""
    identity = body.get("identity")
    if not isinstance(identity, Mapping):
        return {}
    kept = {name: identity[name] for name in _IDENTITY if identity.get(name)}
    if assigned := kept.get("userAssignedIdentities"):
        kept["userAssignedIdentities"] = {name: {} for name in assigned}
    return {"identity": kept}


def is_changing(resource: Mapping[str, Any]) -> bool:
    return state_of(resource) in CHANGING


def look_again(resource: Mapping[str, Any], now: datetime) -> Pending:
    """Return when to look again at what the service changes: after a tenth of the time that it has taken so far."""
    try:
        begun = datetime.fromisoformat(str(resource["systemData"]["lastModifiedAt"]))
        seconds = (now - begun).total_seconds() / 10
    except (LookupError, TypeError, ValueError):
        return Pending(_USUAL)
    return Pending(min(max(seconds, _SHORTEST), _LONGEST))


def _sku(sku: Mapping[str, Any], changes: DeploymentChanges) -> dict[str, Any]:
    given = {"capacity": changes.instances} if changes.instances else {}
    return {"name": "Default", "capacity": 1, **sku, **given}


def _changed(properties: Mapping[str, Any], workspace: str, changes: DeploymentChanges) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if changes.instance_type:
        changed["instanceType"] = changes.instance_type
    if changes.environment:
        changed["environmentId"] = _environment(workspace, changes.environment)
    if changes.variables:
        changed["environmentVariables"] = {**(properties.get("environmentVariables") or {}), **changes.variables}
    return changed


def _environment(workspace: str, written: str) -> str:
    """Return the id of an environment, written as NAME:VERSION, or as the id itself, as of a registry's."""
    if "/" in written:
        return written
    name, _, version = written.removeprefix("azureml:").partition(":")
    return f"{workspace}/environments/{name}/versions/{version}"
