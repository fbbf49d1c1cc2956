"""What an endpoint and a deployment may be: their bodies are checked, and what they do not name gets its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aml.api import scope
from aml.errors import ArmError, bad_request
from aml.jobs.task import variables_of
from aml.members import text_of
from aml.state.serving import Deployment
from service.durations import seconds_of

AUTHENTICATION = {"key": "Key", "amltoken": "AMLToken", "aadtoken": "AADToken"}
MOST_INSTANCES, MOST_DEPLOYMENTS, MOST_SECONDS, MOST_MIRRORED = 50, 20, 180.0, 50
_ENDPOINT = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_DEPLOYMENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,30}[A-Za-z0-9]")
_PROBE = {"failureThreshold": 30, "initialDelay": "PT10S", "period": "PT10S", "successThreshold": 1, "timeout": "PT2S"}
_REQUESTS = {"maxConcurrentRequestsPerInstance": 1, "maxQueueWait": "PT0.5S", "requestTimeout": "PT5S"}
_SCALE = {"scaleType": "Default"}
_SWITCH = ("Enabled", "Disabled")


def check_endpoint_name(name: str) -> None:
    if not _ENDPOINT.fullmatch(name):
        what = "It begins with a letter and has 3 to 32 letters, digits and single dashes."
        raise bad_request(f"The endpoint name {name[:80]!r} is invalid. {what}", "name")


def check_deployment_name(name: str) -> None:
    if not _DEPLOYMENT.fullmatch(name):
        what = "It begins with a letter and has 3 to 32 letters, digits, '-' and '_'."
        raise bad_request(f"The deployment name {name[:80]!r} is invalid. {what}", "name")


def read_endpoint(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of an endpoint. Traffic that is not named is nothing: a PUT replaces all."""
    mode = text_of(given, "authMode")
    if mode.lower() not in AUTHENTICATION:
        known = ", ".join(AUTHENTICATION.values())
        raise bad_request(f"authMode is {mode[:40]!r}; it can be: {known}.", "properties.authMode")
    return {
        **read_described(given),
        **({"compute": text_of(given, "compute")} if "compute" in given else {}),
        "authMode": AUTHENTICATION[mode.lower()],
        "publicNetworkAccess": _word(given, "publicNetworkAccess", _SWITCH),
        "traffic": _percents(given, "traffic"),
        "mirrorTraffic": _percents(given, "mirrorTraffic"),
    }


def read_identity(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of an endpoint, which it must have."""
    given = body.get("identity")
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind.lower().replace(" ", "") not in (
        "systemassigned",
        "userassigned",
        "systemassigned,userassigned",
    ):
        raise bad_request("The endpoint needs an 'identity' with the type SystemAssigned or UserAssigned.", "identity")
    assigned = given.get("userAssignedIdentities") if isinstance(given, dict) else None
    if assigned is None:
        return {"type": kind}
    if not isinstance(assigned, dict):
        raise bad_request("'userAssignedIdentities' must be an object.", "identity.userAssignedIdentities")
    return {"type": kind, "userAssignedIdentities": {str(each): {} for each in assigned}}


def read_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags and the identity that a PATCH of an endpoint gives."""
    changes: dict[str, Any] = {}
    if "tags" in body:
        changes["tags"] = scope.texts_of(body, "tags")
    if body.get("identity") is not None:
        changes["identity"] = read_identity(body)
    return changes


def check_traffic(properties: dict[str, Any], deployments: Mapping[str, Deployment]) -> None:
    """Raise unless the maps can be followed. `deployments` are those of the endpoint, by their names in lower case."""
    traffic = properties["traffic"] = _named(properties["traffic"], "traffic", deployments)
    mirror = properties["mirrorTraffic"] = _named(properties["mirrorTraffic"], "mirrorTraffic", deployments)
    if (total := sum(traffic.values())) not in (0, 100):
        message = f"The sum of the traffic is {total}; it must be 0 or 100."
        raise bad_request(message, "properties.traffic")
    mirrored = {name: part for name, part in mirror.items() if part}
    if len(mirrored) > 1 or any(part > MOST_MIRRORED for part in mirrored.values()):
        message = f"mirrorTraffic names one deployment, with {MOST_MIRRORED} percent at most."
        raise bad_request(message, "properties.mirrorTraffic")
    for name in mirrored:
        if traffic.get(name):
            message = f"The deployment {name} has live traffic. It can have live or mirrored traffic, not both."
            raise bad_request(message, "properties.mirrorTraffic")


def read_deployment(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a deployment, with a default for each that is not named."""
    kind = text_of(given, "endpointComputeType")
    if kind.lower() != "managed":
        message = f"endpointComputeType is {kind[:40]!r}; here it can be Managed."
        raise bad_request(message, "properties.endpointComputeType")
    code = _object(given, "codeConfiguration")
    if code:
        code = {"codeId": text_of(code, "codeId"), "scoringScript": text_of(code, "scoringScript")}
    if not code and not given.get("model"):
        message = "A deployment has a 'model', or a 'codeConfiguration', or both."
        raise bad_request(message, "properties.model")
    kept = {name: text_of(given, name) for name in ("model", "environmentId", "modelMountPath") if name in given}
    return {
        **read_described(given),
        **kept,
        **({"codeConfiguration": code} if code else {}),
        "endpointComputeType": "Managed",
        "instanceType": text_of(given, "instanceType", required=False) or "Standard_F4s_v2",
        "environmentVariables": variables_of(given, "environmentVariables"),
        "appInsightsEnabled": given.get("appInsightsEnabled") is True,
        "egressPublicNetworkAccess": _word(given, "egressPublicNetworkAccess", _SWITCH),
        "requestSettings": _requests(given),
        "livenessProbe": _probe(given, "livenessProbe"),
        "readinessProbe": _probe(given, "readinessProbe"),
        "scaleSettings": _scale(given),
    }


def read_sku(body: Mapping[str, Any], former: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the sku: how many instances."""
    given = body.get("sku")
    if given is None:
        return dict(former or {"name": "Default", "capacity": 1})
    if not isinstance(given, dict):
        raise bad_request("The member 'sku' must be an object.", "sku")
    capacity = _count(given, "capacity", int((former or {}).get("capacity") or 1), "sku")
    if capacity > MOST_INSTANCES:
        message = f"The capacity is {capacity}; a deployment has {MOST_INSTANCES} instances at most."
        raise bad_request(message, "sku.capacity")
    return {"name": "Default", "capacity": capacity}


def _requests(given: Mapping[str, Any]) -> dict[str, Any]:
    settings = {**_REQUESTS, **_object(given, "requestSettings")}
    settings = {name: settings[name] for name in _REQUESTS}
    _count(settings, "maxConcurrentRequestsPerInstance", 1, "properties.requestSettings")
    _duration(settings, "maxQueueWait", "properties.requestSettings")
    if not 0 < _duration(settings, "requestTimeout", "properties.requestSettings") <= MOST_SECONDS:
        message = (
            f"The requestTimeout {settings['requestTimeout']} is not above 0 and at most {MOST_SECONDS:g} seconds."
        )
        raise bad_request(message, "properties.requestSettings.requestTimeout")
    return settings


def _probe(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    settings: dict[str, Any] = {**_PROBE, **_object(given, name)}
    settings = {each: settings[each] for each in _PROBE}
    for each, default in _PROBE.items():
        if isinstance(default, int):
            _count(settings, each, default, f"properties.{name}")
        else:
            _duration(settings, each, f"properties.{name}")
    return settings


def _scale(given: Mapping[str, Any]) -> dict[str, Any]:
    settings = _object(given, "scaleSettings") or dict(_SCALE)
    if settings.get("scaleType") == "Default":
        return dict(_SCALE)
    if settings.get("scaleType") != "TargetUtilization":
        message = "scaleType can be Default or TargetUtilization."
        raise bad_request(message, "properties.scaleSettings.scaleType")
    where = "properties.scaleSettings"
    kept: dict[str, Any] = {"scaleType": "TargetUtilization"}
    for name in ("minInstances", "maxInstances", "targetUtilizationPercentage"):
        kept[name] = _count(settings, name, 70 if name.startswith("target") else 1, where)
    settings.setdefault("pollingInterval", "PT1S")
    _duration(settings, "pollingInterval", where)
    return {**kept, "pollingInterval": settings["pollingInterval"]}


def read_described(given: Mapping[str, Any]) -> dict[str, Any]:
    text = text_of(given, "description", required=False) if given.get("description") else ""
    properties = scope.texts_of(given, "properties")
    properties.pop("AzureAsyncOperationUri", None)  # the service's own, which a client sends back
    return {**({"description": text} if text else {}), "properties": properties}


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object; what is null in it counts as not given."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"The member 'properties.{name}' must be an object.", f"properties.{name}")
    return {key: each for key, each in value.items() if each is not None}


def _word(given: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    """Return a member that is one of the words; the first unless it is given."""
    value = given.get(name)
    if value is None:
        return words[0]
    if value not in words:
        raise bad_request(f"{name} can be: {', '.join(words)}.", f"properties.{name}")
    return str(value)


def _count(given: Mapping[str, Any], name: str, default: int, where: str) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 1_000_000:
        raise bad_request(f"The member '{where}.{name}' must be a whole number above 0.", f"{where}.{name}")
    return value


def _duration(given: Mapping[str, Any], name: str, where: str) -> float:
    value = given.get(name)
    seconds = seconds_of(value) if isinstance(value, str) else None
    if seconds is None:
        raise bad_request(f"The member '{where}.{name}' must be a duration, as PT5S.", f"{where}.{name}")
    return seconds


def _percents(given: Mapping[str, Any], name: str) -> dict[str, int]:
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(
        isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 100 for part in value.values()
    ):
        message = f"'{name}' must be an object of deployments and whole percents from 0 to 100."
        raise bad_request(message, f"properties.{name}")
    return dict(value)


def _named(parts: Mapping[str, int], member: str, deployments: Mapping[str, Deployment]) -> dict[str, int]:
    """Return the map with the deployments' names as they were made. A name that is not there is refused."""
    known: dict[str, int] = {}
    for name, part in parts.items():
        found = deployments.get(name.lower())
        if found is None:
            message = f"The deployment {name[:80]!r} of '{member}' is not there; make it first."
            raise ArmError(400, "BadRequest", message, f"properties.{member}")
        if part and (not found.served or found.state == "Deleting"):
            message = f"The deployment {found.name} is {found.state} and answers nothing; it cannot have traffic."
            raise ArmError(400, "BadRequest", message, f"properties.{member}")
        known[found.name] = known.get(found.name, 0) + part
    return known
