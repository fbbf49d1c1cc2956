"""The shapes of requests and answers, for somebody who helps from afar. No value and no name of the user is in them.

Member names are kept where the services' documents have them; every other name is written `{}`, and what such names
have in common is one member. Of a path, a query and the headers the same holds.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import requests

from shared.base.decoding import from_json


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MEMBERS = _words((Path(__file__).parent / "members.txt").read_text("utf-8"))  #: names that the documents have
AT_MOST = 1 << 20  #: bytes of an answer whose shape is taken
DEEPEST = 20
OTHER = "{}"  #: in place of a name
#: members whose own members are named by the user, or by the service for the user's things
_NAMED_BY_OTHERS = _words(
    "traffic mirrorTraffic tags environmentVariables inputs outputs userAssignedIdentities services jobs "
    "flavors properties.properties input_data predictions logFiles datasets collections"
)
_PATH = _words(
    "subscriptions resourceGroups providers Microsoft.MachineLearningServices Microsoft.Authorization permissions "
    "workspaces jobs cancel components versions computes datastores onlineEndpoints deployments skus models "
    "environments codes listKeys token getLogs locations vmSizes usages mfeOperationsStatus mfeOperationResults "
    "mlflow history api 2.0 v1.0 v2.0 runs search get details children experiments get-by-name metrics "
    "get-history score"
)
_SEGMENTS = {each.lower(): each for each in _PATH}
_QUERY = _words("api-version run_id count $skip $top listViewType experiment_name")
_HEADERS = _words(
    "content-type retry-after location azure-asyncoperation x-ms-async-operation-timeout "
    "x-ms-ratelimit-remaining-subscription-reads x-ms-ratelimit-remaining-subscription-writes x-ms-request-id "
    "x-ms-correlation-request-id azureml-model-deployment ms-azureml-model-error-statuscode "
    "ms-azureml-model-error-reason ms-azureml-model-time x-request-id www-authenticate"
)
_PLANES = {
    "management": re.compile(r"management\.azure\.com"),
    "runs": re.compile(r".+\.api\.azureml\.ms"),
    "scoring": re.compile(r".+\.inference\.ml\.azure\.com"),
}
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_KINDS = {NoneType: "null", bool: "boolean", int: "integer", float: "number", dict: "object", list: "list"}
#: what a text looks like
_LOOKS = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*"),
    "duration": re.compile(r"P(\d+D)?(T[\d.]+.*)?"),
    "resource id": re.compile(r"(azureml:)?/subscriptions/.+", re.IGNORECASE),
    "address": re.compile(r"[a-z]+://.+"),
    "empty": re.compile(""),
}

Shape = Any  #: JSON


class Recorder:
    """A hook of a session: takes the shape of each call, while its answer is read."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}

    def __call__(self, response: requests.Response, *_: Any, **__: Any) -> None:
        response.raw = _Read(response.raw, lambda content: self._take(response, content))

    def _take(self, response: requests.Response, content: bytes) -> None:
        request, parts = response.request, urlsplit(str(response.request.url))
        call = {
            "plane": next((name for name, host in _PLANES.items() if host.fullmatch(parts.hostname or "")), "other"),
            "method": str(request.method) if request.method in ("GET", "PUT", "POST", "PATCH", "DELETE") else OTHER,
            "path": path(parts.path),
            "query": query(parts.query),
            "sent": _body(request.body),
            "status": response.status_code,
            "headers": [name for name in sorted(_HEADERS) if name in response.headers],
            "answered": _body(content),
        }
        line = json.dumps(call, sort_keys=True)
        self._calls[line] = self._calls.get(line, 0) + 1

    def text(self) -> str:
        """Return the calls as JSON, each shape once."""
        calls = [{**json.loads(line), "times": times} for line, times in self._calls.items()]
        return f"{json.dumps({'format': 1, 'calls': calls}, indent=1)}\n"

    @property
    def count(self) -> int:
        return sum(self._calls.values())


class _Read:
    """An answer's stream that passes on what was read when it ends."""

    def __init__(self, raw: Any, ended: Callable[[bytes], None]) -> None:
        self._raw, self._ended, self._content = raw, ended, bytearray()

    def read1(self, *given: Any, **options: Any) -> bytes:
        chunk: bytes = self._raw.read1(*given, **options)
        if chunk:
            self._content += chunk[: AT_MOST + 1 - len(self._content)]
        else:
            self._ended(bytes(self._content))
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def path(text: str) -> str:
    """Return the path with every segment that the documents do not have replaced."""
    return "/".join(_SEGMENTS.get(each.lower(), OTHER) if each else "" for each in text.split("/"))


def query(text: str) -> list[str]:
    """Return the names of the parameters; of the version its date too."""
    found = []
    for name, value in parse_qsl(text, keep_blank_values=True):
        is_version = name == "api-version" and _VERSION.fullmatch(value)
        found.append(f"{name}={value}" if is_version else name if name in _QUERY else OTHER)
    return sorted(found)


def shape(value: Any, at: str = "", depth: int = 0) -> Shape:
    """Return the value with types in place of values, and with only the documents' names. `at` is where it stands."""
    if depth > DEEPEST:
        return "deeper"
    if isinstance(value, Mapping):
        found: dict[str, Shape] = {}
        for name, member in value.items():
            known = str(name) if name in MEMBERS and at not in _NAMED_BY_OTHERS else OTHER
            place = f"properties.{known}" if at == "properties" and known == "properties" else known
            inner = shape(member, place, depth + 1)
            found[known] = merged(found[known], inner) if known in found else inner
        return found
    if isinstance(value, list):
        shapes = [shape(each, at, depth + 1) for each in value[:100]]
        return [reduce(merged, shapes)] if shapes else []
    return _kind(value)


def merged(one: Shape, other: Shape) -> Shape:
    """Return what both are like."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        both = {**one, **other}
        return {name: merged(one[name], other[name]) if name in one and name in other else both[name] for name in both}
    if isinstance(one, list) and isinstance(other, list):
        return [reduce(merged, [*one, *other])]
    kinds = {kind for each in (one, other) for kind in (each.split(" | ") if isinstance(each, str) else [_kind(each)])}
    return " | ".join(sorted(kinds))


def _kind(value: Any) -> str:
    if kind := _KINDS.get(type(value)):
        return kind
    look = next((name for name, form in _LOOKS.items() if form.fullmatch(str(value))), "")
    return f"text ({look})" if look else "text"


def _body(content: bytes | str | None) -> Shape:
    if not content:
        return None
    if len(content) > AT_MOST:
        return "large"
    try:
        return shape(from_json(content.encode() if isinstance(content, str) else content, object))
    except (msgspec.MsgspecError, RecursionError):
        return "not JSON"
