"""The types of Azure Machine Learning's generated client as a judge: each answer is checked against them.

`RELEARN_SPECIFICATIONS` names the folder that has `azureml-v2/models-2025-12-01.json`; without it, it is looked for
beside the checkout.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from local.children import ROOT
from tests.support.specifications import FORMATS

FOLDER = Path(os.environ.get("RELEARN_SPECIFICATIONS") or ROOT.parent / "shared" / "specs") / "azureml-v2"
VERSION = "2025-12-01"
MISSING = f"models-{VERSION}.json is not in {FOLDER}, so no answer was checked; RELEARN_SPECIFICATIONS names its folder"

_SIMPLE: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "Any": {},
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "datetime.timedelta": {"type": "string", "pattern": r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$"},
}
#: the type of a group's resources, where it is not the group's name, and of what single operations answer
_KINDS = {"Jobs": "JobBase", "DataVersions": "DataVersionBase"}
_ANSWERS = {"list_keys": "EndpointAuthKeys", "get_token": "EndpointAuthToken", "get_logs": "DeploymentLogs"}
_LISTS = ("list", "list_by_resource_group", "list_by_subscription")
_RESOURCES = ("get", "create_or_update", "update")
#: what every resource has, by the type that it comes from
_RESOURCE = {"id": {"type": "string"}, "name": {"type": "string"}, "type": {"type": "string"}, "systemData": {}}
_BASES: dict[str, dict[str, Any]] = {
    "ProxyResource": _RESOURCE,
    "TrackedResource": {**_RESOURCE, "location": {"type": "string"}, "tags": {"type": "object"}},
}
#: members that the service gives and this version of the client does not know
_PORTS = ("UriFileJobOutput", "UriFolderJobOutput", "CustomModelJobOutput", "MLFlowModelJobOutput")
_BESIDE: dict[str, set[str]] = {
    "WorkspaceProperties": {"mlFlowTrackingUri"},
    "Workspace": {"location"},
    "QueueSettings": {"priority"},
    **{name: {"assetVersion"} for name in _PORTS},
    "JobResourceConfiguration": {"instanceCount", "instanceType", "properties"},  # of a type that is not at hand
}


def there() -> bool:
    return (FOLDER / f"models-{VERSION}.json").exists()


def faults(kind: str, body: Any, *, sent: bool = False) -> list[str]:
    """Return what the type has against the body: a member missing, of a wrong form, or unknown.

    Where a client `sent` the body, the words of enumerations may have any case, and a property may be a number: the
    official one sends `aadToken`, and `hash_version` as a number.
    """
    if sent and isinstance(body["properties"].get("properties"), dict):
        texts = {name: str(value) for name, value in body["properties"]["properties"].items()}
        body = {**body, "properties": {**body["properties"], "properties": texts}}
    errors = _validator(kind, sent).iter_errors(body)
    return sorted(f"{'.'.join(map(str, each.path))}: {each.message[:200]}" for each in errors)


@cache
def operations() -> dict[tuple[str, str], list[int]]:
    """Return the statuses of success by method and path, with each part of a path that varies written as `{}`."""
    listed = json.loads((FOLDER / f"operations-{VERSION}.json").read_text("utf-8"))
    return {(each["method"], re.sub(r"{[^}]*}", "{}", each["path"])): each["success"] for each in listed}


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that a call is, if it is one of those at hand."""
    return next((each for each, place in _places() if each["method"] == method and place.fullmatch(path)), None)


def faults_of_call(operation: dict[str, Any], status: int, sent: Any, answered: Any) -> list[str]:
    """Return what the operation and its types have against what a client sent and was answered."""
    kind = _kind(operation)
    creates = status < 400 and operation["operation"] == "create_or_update" and kind in _definitions()
    return faults_of_answer(operation, status, answered) + (faults(kind, sent, sent=True) if creates else [])


def faults_of_answer(operation: dict[str, Any], status: int, answered: Any) -> list[str]:
    """Return what the operation and its types have against an answer; `answered` is its body, None for an empty one."""
    if status >= 400:
        return faults("ErrorResponse", answered)
    name, kind = operation["operation"], _kind(operation)
    bodies = [(_ANSWERS.get(name, ""), answered)]
    if name in _LISTS:
        bodies = [(kind, each) for each in answered["value"]]
    elif name in _RESOURCES:
        bodies = [(kind, answered)]
    found = [] if status in operation["success"] else [f"the status {status}"]
    return found + [fault for kind, body in bodies if kind in _definitions() for fault in faults(kind, body)]


def _kind(operation: dict[str, Any]) -> str:
    return _KINDS.get(operation["group"], str(operation["group"]).removesuffix("s"))


@cache
def _validator(kind: str, sent: bool) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": _definitions(sent)}, format_checker=FORMATS)


@cache
def _places() -> list[tuple[dict[str, Any], re.Pattern[str]]]:
    listed = json.loads((FOLDER / f"operations-{VERSION}.json").read_text("utf-8"))
    return [(each, re.compile(re.sub(r"{[^}]*}", "[^/]+", each["path"]), re.IGNORECASE)) for each in listed]


@cache
def _definitions(any_case: bool = False) -> dict[str, Any]:
    models = json.loads((FOLDER / f"models-{VERSION}.json").read_text("utf-8"))
    enums = json.loads((FOLDER / f"enums-{VERSION}.json").read_text("utf-8"))
    words = {name: _words(each, any_case) for name, each in enums.items()}
    return {name: _definition(name, models, words) for name in models}


def _words(words: list[str], any_case: bool) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?i:{'|'.join(map(re.escape, words))})$"} if any_case else {"enum": words}


def _definition(name: str, models: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """Return the type with the members that it inherits. A type with kinds is, by its discriminator, one of them."""
    kinds = {other: value for other in models if (value := _kind_of(other, name, models))}
    if kinds:
        by = _discriminator(next(iter(kinds)), models)
        return {
            "type": "object",
            "required": [by],
            "allOf": [
                {"if": {"properties": {by: {"const": value}}}, "then": {"$ref": f"#/$defs/{other}"}}
                for other, value in kinds.items()
            ],
        }
    members, required = dict[str, Any](), list[str]()
    for each in _line(name, models):
        members |= _BASES.get(each, {})
        for member, field in models.get(each, {"fields": {}})["fields"].items():
            members[member] = _form(field["type"], models, words)
            required += [member] if field["required"] else []
    members |= {member: {} for member in _BESIDE.get(name, ())}
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def _line(name: str, models: dict[str, Any]) -> list[str]:
    """Return the type and those that it inherits from, the first ancestor first."""
    base = models[name]["base"].partition(",")[0] if name in models else ""
    return [*(_line(base, models) if base else []), name]


def _discriminator(name: str, models: dict[str, Any]) -> str:
    [by] = [member for member, field in models[name]["fields"].items() if field["type"].startswith("Literal")]
    return str(by)


def _kind_of(name: str, parent: str, models: dict[str, Any]) -> str:
    base, _, value = models[name]["base"].partition(', discriminator="')
    return str(value.rstrip('"')) if value and base == parent else ""


def _form(text: str, models: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a type as Python writes it. A type that is not at hand may have any form."""
    if text in _SIMPLE:
        return _SIMPLE[text]
    if inner := re.fullmatch(r"list\[(.*)\]", text):
        return {"type": "array", "items": _form(inner[1], models, words)}
    if inner := re.fullmatch(r"dict\[str, (.*)\]", text):
        return {"type": "object", "additionalProperties": _form(inner[1], models, words)}
    if inner := re.fullmatch(r"Union\[str, (.*)\]", text):
        return dict(words.get(inner[1], {"type": "string"}))
    if text in models:
        return {"$ref": f"#/$defs/{text}"}
    return {"type": "string"} if text.startswith("Literal") else {}
