"""How a client follows a long-running operation."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError
from aml.state.records import Operation, stamp
from aml.state.workspace import PROVIDER

RETRY = {"Retry-After": "1"}  #: a client waits for 30 seconds where an answer has none


def headers(context: Context, call: Call, operation: Operation, *, located: bool) -> dict[str, str]:
    """Return the headers by which a client follows it. An answer 202 has a `Location`, so `located`."""
    given = {"Azure-AsyncOperation": address(context, call, operation.id), **RETRY}
    if located:
        given["Location"] = address(context, call, operation.id, "mfeOperationResults")
    else:
        given["x-ms-async-operation-timeout"] = "PT1H"
    return given


def address(context: Context, call: Call, operation: str, kind: str = "mfeOperationsStatus") -> str:
    """Return where the operation of that id is followed."""
    return f"{call.base}{_place(context)}/{kind}/{operation}?api-version={call.version or '2025-12-01'}"


def status(context: Context, call: Call) -> Response:
    """Answer how far the operation is. One that failed is answered 200 too."""
    operation = _operation(context, call)
    body: dict[str, Any] = {
        "id": f"{_place(context)}/mfeOperationsStatus/{operation.id}",
        "name": operation.id,
        "status": operation.status,
        "startTime": stamp(operation.started),
    }
    if operation.ended:
        body["endTime"] = stamp(operation.ended)
    if operation.error:
        body["error"] = operation.error
    return scope.answer(body, headers={} if operation.ended else RETRY)


def result(context: Context, call: Call) -> Response:
    """Answer 202 until the operation has ended, then nothing, or its error."""
    operation = _operation(context, call)
    if not operation.ended:
        return scope.answer(None, 202, headers(context, call, operation, located=True))
    if operation.error:
        return scope.answer({"error": operation.error}, 400)
    return scope.answer(None, 204)


_LOCATION = f"{scope.SUBSCRIPTION}/providers/{PROVIDER}/locations/{{location}}"
ADDRESSES = [
    ("arm.operation", "GET", f"{_LOCATION}/mfeOperationsStatus/{{operation}}", status),
    ("arm.operation", "GET", f"{_LOCATION}/mfeOperationResults/{{operation}}", result),
]


def _operation(context: Context, call: Call) -> Operation:
    found = context.workspace.records.find(Operation, call.names["operation"].lower())
    if found is None:
        raise ArmError(404, "OperationNotFound", f"No operation has the id {call.names['operation'][:120]!r}.")
    return found


def _place(context: Context) -> str:
    known = context.workspace.identity
    return f"/subscriptions/{known.subscription}/providers/{PROVIDER}/locations/{known.location}"
