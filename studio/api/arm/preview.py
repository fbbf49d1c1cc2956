"""`2016-05-01-preview` writes parameters as text where `2017-01-01` has objects, and keeps no payload in a blob."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

VERSION = "2016-05-01-preview"


def from_preview(properties: Any) -> Any:
    """Return the properties, their members in camelCase, in the form of 2017-01-01."""
    return _with_parameters(properties, lambda text: {"value": text} if isinstance(text, str) else None)


def to_preview(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties of 2017-01-01 in the form of the preview."""
    shown: dict[str, Any] = _with_parameters(properties, _text)
    return {name: value for name, value in shown.items() if not name.startswith("payloads")}


def _text(parameter: dict[str, Any]) -> str:
    value = parameter.get("value", "")
    return value if isinstance(value, str) else json.dumps(value)


def _with_parameters(properties: Any, change: Callable[[Any], Any]) -> Any:
    """Return the properties with every parameter changed; what is malformed is left for its reader to refuse."""

    def changed(member: Any) -> Any:
        if not isinstance(member, dict) or not isinstance(member.get("parameters"), dict):
            return member
        return {**member, "parameters": {name: change(value) for name, value in member["parameters"].items()}}

    properties = changed(properties)
    package = properties.get("package") if isinstance(properties, dict) else None
    if not isinstance(package, dict) or not isinstance(package.get("nodes"), dict):
        return properties
    nodes = {name: changed(node) for name, node in package["nodes"].items()}
    return {**properties, "package": {**package, "nodes": nodes}}
