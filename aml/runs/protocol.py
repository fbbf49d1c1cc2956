"""MLflow's protocol by REST: where it is, how the members of a body are read, and the form of errors and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request

_PREFIX = f"/mlflow/{{release}}{scope.WORKSPACE}"
BASE = f"{_PREFIX}/api/2.0"
ANY = f"{_PREFIX}/{{rest:path}}"  #: whatever is asked
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PAGE = 1000  #: runs, models or versions of an answer, at most
_LISTS = ("order_by", "stages")
_LARGEST = (1 << 63) - 1
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    413: "REQUEST_LIMIT_EXCEEDED",
}


def refused(error: ArmError) -> Response:
    """Return an error in MLflow's form."""
    code = error.code if error.code.isupper() else _CODES.get(error.status, "INTERNAL_ERROR")
    return scope.answer({"error_code": code, "message": error.message}, error.status, error.headers)


def missing(message: str) -> ArmError:
    return ArmError(404, "RESOURCE_DOES_NOT_EXIST", message)


def unknown(_: Context, call: Call) -> Response:
    """Refuse a call of MLflow's that is not answered here."""
    raise ArmError(404, "ENDPOINT_NOT_FOUND", f"Nothing answers {call.names['rest'][:200]!r} in this local workspace.")


def taken(message: str) -> ArmError:
    return ArmError(400, "RESOURCE_ALREADY_EXISTS", message)


def asked(call: Call) -> Mapping[str, Any]:
    """Return the members of a search, which may come as a body or, by GET, in the query: there a list may be long."""
    if call.body:
        return call.json()
    return {name: call.query.getlist(name) if name in _LISTS else each for name, each in call.query.items()}


def text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"Missing value for required parameter '{name}'.", name)
    return value


def run_id(body: Mapping[str, Any]) -> str:
    return text(body, "run_id" if body.get("run_id") else "run_uuid")


def texts(body: Mapping[str, Any], name: str) -> list[str]:
    return [str(each) for each in items(body, name)]


def items(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise bad_request(f"{name!r} must be a list.", name)
    return value


def pairs(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a list of keys and values, such as tags."""
    found = {}
    for each in items(body, name):
        if not isinstance(each, dict):
            raise bad_request(f"Each of {name!r} must be an object with a key.", name)
        found[text(each, "key")] = str(each.get("value", ""))
    return found


def listed(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return keys and values as they are answered."""
    return [{"key": key, "value": value} for key, value in values.items()]


def position(body: Mapping[str, Any], most: int = PAGE) -> tuple[int, int]:
    """Return after what the page begins, and its size."""
    token, size = str(body.get("page_token") or "0"), body.get("max_results") or most
    if isinstance(size, str) and size.isascii() and size.isdigit():
        size = int(size[:9])
    known = token.isascii() and token.isdigit() and len(token) < 20 and int(token) <= _LARGEST
    if not (known and isinstance(size, int) and size > 0):
        raise bad_request("'page_token' or 'max_results' is not one that this server gave or takes.", "page_token")
    return int(token), min(size, most)


def page(name: str, shown: list[dict[str, Any]], after: int | None) -> Response:
    """Answer a page; `after` is what the next one begins after, None on the last."""
    following = {} if after is None else {"next_page_token": str(after)}
    return scope.answer({name: shown, **following})


ADDRESSES = [("mlflow.unknown", method, ANY, unknown) for method in METHODS]
