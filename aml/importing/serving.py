"""Endpoints and their deployments, online and batch, as their files have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aml.importing.assets import Assets, common, environment, model, texts
from aml.importing.document import Document

_AUTHENTICATION = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
_IDENTITIES = {"system_assigned": "SystemAssigned", "user_assigned": "UserAssigned"}


def endpoint_body(document: Document, present: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the body of an endpoint. Traffic that the file does not name stays as it is at `present`."""
    kept = (present or {}).get("properties", {})
    given = document.text("auth_mode", "key").lower()
    properties: dict[str, Any] = {**common(document), "authMode": _AUTHENTICATION.get(given, given)}
    for name, member in (("traffic", "traffic"), ("mirror_traffic", "mirrorTraffic")):
        document.below(name)
        properties[member] = document.content.get(name, kept.get(member)) or {}
    if "public_network_access" in document.content:
        properties["publicNetworkAccess"] = document.text("public_network_access").capitalize()
    identity = document.below("identity")
    kind = identity.text("type", "system_assigned")
    body = {"identity": {"type": _IDENTITIES.get(kind, kind)}, "location": document.text("location", "local")}
    return {**body, "tags": properties.pop("tags"), "properties": properties}


def deployment_body(assets: Assets, document: Document) -> dict[str, Any]:
    properties: dict[str, Any] = {
        **common(document),
        "endpointComputeType": document.text("type", "managed").capitalize(),
    }
    properties["environmentVariables"] = texts(document.below("environment_variables"))
    if "model" in document.content:
        properties["model"] = model(assets, document)
    if "environment" in document.content:
        properties["environmentId"] = environment(assets, document)
    if "code_configuration" in document.content:
        code = document.below("code_configuration")
        properties["codeConfiguration"] = {
            "codeId": assets.code(code, "code"),
            "scoringScript": code.text("scoring_script"),
        }
    for name, (member, form) in _SIMPLE.items():
        if name in document.content:
            properties[member] = form(document, name)
    for name, member in (("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe")):
        if name in document.content:
            properties[member] = _members(document.below(name), _PROBE)
    if "request_settings" in document.content:
        properties["requestSettings"] = _members(document.below("request_settings"), _REQUESTS)
    if "scale_settings" in document.content:
        properties["scaleSettings"] = _members(document.below("scale_settings"), _SCALE)
    sku = {"name": "Default", "capacity": document.content.get("instance_count", 1)}
    return {"location": "local", "sku": sku, "tags": properties.pop("tags"), "properties": properties}


def batch_endpoint_body(document: Document, present: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the body of a batch endpoint. A default that the file does not name stays as it is at `present`."""
    properties = {**common(document), "authMode": "AADToken"}
    name = document.below("defaults").text("deployment_name", "")
    properties["defaults"] = {"deploymentName": name} if name else (present or {}).get("properties", {}).get("defaults")
    return {"location": "local", "tags": properties.pop("tags"), "properties": properties}


def batch_deployment_body(assets: Assets, document: Document) -> dict[str, Any]:
    if document.text("type", "pipeline") != "pipeline":
        raise document.error("no model scores in batch here; the type of a batch deployment is pipeline", "type")
    settings = texts(document.below("settings"))
    configuration = {
        "deploymentConfigurationType": "PipelineComponent",
        "componentId": {"referenceType": "Id", "assetId": assets.id_of(document, "component", "components")},
        "settings": {name: text.removeprefix("azureml:") for name, text in settings.items()},
    }
    properties = {**common(document), "deploymentConfiguration": configuration}
    return {"location": "local", "tags": properties.pop("tags"), "properties": properties}


Form = Callable[[Document, str], Any]


def _members(document: Document, forms: Mapping[str, tuple[str, Form]]) -> dict[str, Any]:
    return {member: form(document, name) for name, (member, form) in forms.items() if name in document.content}


def _as_it_is(document: Document, name: str) -> Any:
    return document.content[name]


def _word(document: Document, name: str) -> str:
    return document.text(name).capitalize()


def _seconds(document: Document, name: str) -> str:
    return f"PT{_number(document, name):g}S"


def _milliseconds(document: Document, name: str) -> str:
    return f"PT{_number(document, name) / 1000:g}S"


def _number(document: Document, name: str) -> float:
    value = document.content[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise document.error(f"{name!r} must be a number", name)
    return value


def _scale_type(document: Document, name: str) -> str:
    return "".join(part.capitalize() for part in document.text(name).split("_"))


_SIMPLE: Mapping[str, tuple[str, Form]] = {
    "instance_type": ("instanceType", _as_it_is),
    "model_mount_path": ("modelMountPath", _as_it_is),
    "app_insights_enabled": ("appInsightsEnabled", _as_it_is),
    "egress_public_network_access": ("egressPublicNetworkAccess", _word),
}
_PROBE: Mapping[str, tuple[str, Form]] = {
    "initial_delay": ("initialDelay", _seconds),
    "period": ("period", _seconds),
    "timeout": ("timeout", _seconds),
    "success_threshold": ("successThreshold", _as_it_is),
    "failure_threshold": ("failureThreshold", _as_it_is),
}
_REQUESTS: Mapping[str, tuple[str, Form]] = {
    "request_timeout_ms": ("requestTimeout", _milliseconds),
    "max_queue_wait_ms": ("maxQueueWait", _milliseconds),
    "max_concurrent_requests_per_instance": ("maxConcurrentRequestsPerInstance", _as_it_is),
}
_SCALE: Mapping[str, tuple[str, Form]] = {
    "type": ("scaleType", _scale_type),
    "min_instances": ("minInstances", _as_it_is),
    "max_instances": ("maxInstances", _as_it_is),
    "polling_interval": ("pollingInterval", _seconds),
    "target_utilization_percentage": ("targetUtilizationPercentage", _as_it_is),
}
