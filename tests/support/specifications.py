"""Microsoft's published specifications as judges: what is sent and answered is validated, what was seen is counted.

The files are Swagger 2.0. As AutoRest reads them, an `object` without members is any value, and what is null is absent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from tests.support.arm import Manager

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value) is not None


class Specification:
    """One file. `of` what a definition demands, `faults` lists what a body has against it."""

    def __init__(self, file: Path) -> None:
        self._content = json.loads(file.read_text("utf-8"))
        self.version = str(self._content["info"]["version"])
        self._definitions = _closed(self._content["definitions"])
        self._right: set[tuple[str, int]] = set()  #: the references that parts of the body fulfil, by the parts' ids
        self._validator = extend(Draft202012Validator, {"$ref": self._follow})

    def _follow(self, validator: Any, reference: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
        """Look at a part of the body by a definition; once only where it has no fault.

        To find what is not evaluated, the validator looks at each part again at each level that it is in.
        """
        key = (reference, id(instance))
        if key not in self._right:
            faults = list(Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, schema) or ())
            if not faults:
                self._right.add(key)
            yield from faults

    def faults(self, schema: Any, body: Any) -> list[str]:
        """Return what is wrong with the body; a member that the schema does not know is wrong too."""
        self._right.clear()
        validator = self._validator({**_rewritten(schema), "definitions": self._definitions}, format_checker=FORMATS)
        errors = list(validator.iter_errors(body))
        # What has another fault counts as not evaluated, and so does all that it is in.
        said = [each for each in errors if each.validator != "unevaluatedProperties"] or errors
        return sorted(f"{'.'.join(map(str, each.path))}: {each.message}" for each in said)

    def named(self, definition: str, body: Any) -> list[str]:
        return self.faults({"$ref": f"#/definitions/{definition}"}, body)

    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the operations by method and path, with their parameters resolved."""
        found = {}
        for path, methods in self._content["paths"].items():
            shared = methods.get("parameters", [])
            for method, operation in methods.items():
                if method != "parameters":
                    parameters = [self._parameter(each) for each in (*shared, *operation.get("parameters", []))]
                    found[method.upper(), path] = {**operation, "parameters": parameters}
        return found

    def _parameter(self, parameter: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in parameter:
            return parameter
        return dict(self._content["parameters"][parameter["$ref"].rsplit("/", 1)[1]])


class Judge:
    """Calls a service by its specification, and keeps which answers of it were seen."""

    def __init__(self, specification: Specification, manager: Manager) -> None:
        self.specification, self._manager = specification, manager
        self._operations = specification.operations()
        self._seen: dict[tuple[str, str], set[str]] = defaultdict(set)

    def call(
        self, method: str, ending: str, body: Any = None, tolerated: frozenset[str] = frozenset(), **names: str
    ) -> requests.Response:
        """Make the call of the one operation whose path ends so, and judge what is sent and answered.

        `names` are the parameters of the path and the query; `tolerated` are the only faults that the answer may have.
        """
        [(path, operation)] = [
            (path, operation)
            for (verb, path), operation in self._operations.items()
            if verb == method and path.endswith(ending) and set(_holes(path)) <= {"subscriptionId", *names}
        ]
        names["subscriptionId"] = self._manager.subscription
        query = {each["name"]: names[each["name"]] for each in operation["parameters"] if _is_asked(each, names)}
        for parameter in operation["parameters"]:
            if parameter["in"] == "body":
                faults = self.specification.faults(parameter["schema"], _without_null(body))
                assert not faults, f"{method} {path} is sent what is not as specified: {faults}"
        answer = self._manager.call(method, path.format_map(names), body, self.specification.version, **query)
        self.judge(method, path, answer, tolerated)
        return answer

    def judge(self, method: str, path: str, answer: requests.Response, tolerated: frozenset[str]) -> None:
        responses, status = self._operations[method, path]["responses"], str(answer.status_code)
        documented = status if status in responses else "default"
        assert documented in responses, f"{method} {path} answered {status}, which is not documented: {answer.text}"
        self._seen[method, path].add(documented)
        if schema := responses[documented].get("schema"):
            # The default answer is specified without the `error` around it, which is there in recorded traffic.
            body = answer.json()["error"] if documented == "default" else answer.json()
            if documented == "default":
                body = {name: body[name] for name in ("code", "message")}
            faults = set(self.specification.faults(schema, body))
            assert faults == tolerated, f"{method} {path} answered what is not as specified: {faults}"

    def unseen(self) -> set[tuple[str, str, str]]:
        """Return the documented answers that were not seen: method, last part of the path, status."""
        return {
            (method, path.rsplit("/", 1)[1], status)
            for (method, path), operation in self._operations.items()
            for status in set(operation["responses"]) - self._seen[method, path]
        }


def _is_asked(parameter: dict[str, Any], names: dict[str, str]) -> bool:
    return parameter["in"] == "query" and parameter["name"] in names


def _holes(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def _closed(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions, each also as `X.open`: what X inherits from, while X itself allows no unknown member.

    A definition with a discriminator is, by its value, the one that inherits from it.
    """
    closed: dict[str, Any] = {}
    for name, definition in definitions.items():
        inherited = [{"$ref": f"{parent['$ref']}.open"} for parent in definition.get("allOf", [])]
        closed[f"{name}.open"] = {**_rewritten({**definition, "allOf": []}), "allOf": inherited}
        closed[name] = {"allOf": [{"$ref": f"#/definitions/{name}.open"}, *_kinds(name, definition, definitions)]}
        if "properties" in definition or "allOf" in definition:
            closed[name]["unevaluatedProperties"] = False
    return closed


def _kinds(name: str, definition: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "if": {"properties": {definition["discriminator"]: {"const": kind["x-ms-discriminator-value"]}}},
            "then": {"$ref": f"#/definitions/{child}.open"},
        }
        for child, kind in definitions.items()
        if "discriminator" in definition and {"$ref": f"#/definitions/{name}"} in kind.get("allOf", [])
    ]


def _rewritten(schema: Any) -> Any:
    """Return a schema of Swagger as one of JSON Schema."""
    if isinstance(schema, list):
        return [_rewritten(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and not {"properties", "additionalProperties", "allOf"} & set(schema):
        return {}
    return {name: _rewritten(each) for name, each in schema.items()}
