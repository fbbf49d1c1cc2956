"""Data Factory artefacts in an Azure Resource Manager template, as the portal exports a whole factory.

Parameters, variables and `concat` are put in where they are plain; anything else becomes an expression. A secure
parameter is never put in.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS = {"pipelines", "datapipelines", "linkedservices", "datasets", "triggers"}
_TOKEN = re.compile(r"\s*(?:(parameters|variables)\('([^']+)'\)|'((?:[^']|'')*)')\s*(?:,|$)")


def is_template(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("resources"), list | dict)


def is_parameters(document: Mapping[str, Any]) -> bool:
    return "deploymentParameters" in str(document.get("$schema")) and isinstance(document.get("parameters"), dict)


def given_values(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a parameters file, by name in lower case as the Resource Manager compares them."""
    parameters = document["parameters"].items()
    return {name.casefold(): body["value"] for name, body in parameters if isinstance(body, dict) and "value" in body}


def resources(template: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each resource's type and its artefact (`name`, `properties`), in the order of the template."""
    yield from _resources(template["resources"], _values(template, given))


def is_artefact(kind: str) -> bool:
    """Return whether a resource type is one of Data Factory's (version 1 nests short ones in a `datafactories`)."""
    return kind.rpartition("/")[2].casefold() in _KINDS and kind.casefold().startswith(
        ("microsoft.datafactory/", *(_KINDS if "/" not in kind else ()))
    )


def is_factory(kind: str) -> bool:
    return kind.casefold() in ("microsoft.datafactory/factories", "microsoft.datafactory/datafactories")


def _resources(items: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items.values() if isinstance(items, dict) else items:
        if not isinstance(item, dict):
            continue
        name = _name(str(item.get("name")), values)
        yield str(item.get("type")), {"name": name, "properties": _resolved(item.get("properties"), values)}
        if is_template(item):
            yield from _resources(item["resources"], values)


def _values(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, body in _mapping(template.get("parameters")).items():
        if isinstance(body, dict) and not str(body.get("type")).casefold().startswith("secure"):
            found = given.get(name.casefold(), body.get("defaultValue"))
            if found is not None:
                values[f"parameters {name.casefold()}"] = found
    for name, body in _mapping(template.get("variables")).items():
        values[f"variables {name.casefold()}"] = _resolved(body, values)
    return values


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(member, values) for key, member in value.items()}
    if isinstance(value, list):
        return [_resolved(member, values) for member in value]
    if not isinstance(value, str) or not value.startswith("[") or not value.endswith("]"):
        return value[1:] if isinstance(value, str) and value.startswith("[[") else value
    if value.startswith("[["):
        return value[1:]
    found = _evaluated(value, values)
    return {"type": "Expression", "value": value} if found is None else found


def _name(text: str, values: Mapping[str, Any]) -> str:
    """Return the last part of a resource's name; the factory's own name before it is often not known."""
    found = _evaluated(text, values) if text.startswith("[") else text
    if not isinstance(found, str):
        literals = re.findall(r"'((?:[^']|'')*)'", text)
        found = literals[-1] if literals else text
    return found.rpartition("/")[2]


def _evaluated(expression: str, values: Mapping[str, Any]) -> Any:
    inner = expression[1:-1].strip()
    joined = re.fullmatch(r"concat\((.*)\)", inner, re.DOTALL)
    inner = joined[1] if joined else inner
    tokens = [*_TOKEN.finditer(inner)]
    parts: list[Any] = [
        token[3].replace("''", "'") if token[1] is None else values.get(f"{token[1]} {token[2].casefold()}")
        for token in tokens
    ]
    if None in parts or "".join(token[0] for token in tokens) != inner:
        return None
    if len(parts) == 1:
        return parts[0]
    return "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None
