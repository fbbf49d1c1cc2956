"""Long-running operations. The headers and the body are as in recorded traffic, which says `status`.

An operation's outcome is fixed when it is accepted; until its end it is shown as in progress.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from service.keys import new_id
from studio.api.arm import scope
from studio.api.context import Call, Context
from studio.definitions.definition import stamp
from studio.errors import StudioError
from studio.state.records import Operation, now

VERSIONS = ("2017-01-01", "2016-05-01-preview")
KEPT = 1000  #: the newest operations, of all


def accept(
    context: Context,
    call: Call,
    parent: str,
    location: str,
    failure: StudioError | None = None,
    seconds: float = 0.0,
    located: bool = False,
) -> dict[str, str]:
    """Record the operation, which ends in so many seconds; return the headers by which it is followed.

    `located` adds the `Location` that a DELETE is answered with.
    """
    operation = Operation(
        id=new_id(),
        parent=parent,
        status="Failed" if failure else "Succeeded",
        started=now(),
        ended=now() + timedelta(seconds=seconds),
        error=failure.body["error"] if failure else None,
    )
    context.studio.records.put(operation)
    context.studio.records.keep_newest(Operation, KEPT)
    headers = {
        "Azure-AsyncOperation": _address(context, call, location, "operationsStatus", operation),
        "Azure-AsyncOperationPercentComplete": "0",
        "Retry-After": "1",
    }
    if located:
        headers["Location"] = _address(context, call, location, "operationresults", operation)
    return headers


def status(context: Context, call: Call) -> Response:
    """Answer how far the operation is."""
    operation, ended = _operation(context, call)
    body: dict[str, Any] = {
        "id": f"{scope.place(call)}/locations/{call.names['location']}/operationsStatus/{operation.id}",
        "name": operation.id,
        "status": operation.status if ended else "Provisioning",
        "provisioningState": operation.status if ended else "Provisioning",
        "startTime": stamp(operation.started),
        "percentComplete": 1.0 if ended else 0.6,
    }
    if ended:
        body["endTime"] = stamp(ended)
        if operation.error:
            body |= {"error": operation.error, "errorInfo": operation.error}
    return scope.answer(body, headers={} if ended else {"Retry-After": "1"})


def result(context: Context, call: Call) -> Response:
    """Answer 202 until the operation has ended, then nothing, or its error."""
    operation, ended = _operation(context, call)
    if not ended:
        here = f"{scope.place(call)}/locations/{call.names['location']}/operationresults/{operation.id}"
        location = f"{call.base}{quote(here)}?api-version={call.query['api-version']}"
        return scope.answer(None, 202, {"Location": location, "Retry-After": "1"})
    if operation.error:
        error = operation.error
        detail = error["details"][0]
        raise StudioError(error["code"], detail["code"], detail["message"], detail.get("target"))
    return scope.answer(None, 204)


_PLACE = f"{scope.SUBSCRIPTION}/locations/{{location}}"
ADDRESSES = [
    ("arm.operation", "GET", f"{_PLACE}/operationsStatus/{{operation}}", status),
    ("arm.operation", "GET", f"{_PLACE}/operationresults/{{operation}}", result),
]


def _operation(context: Context, call: Call) -> tuple[Operation, datetime | None]:
    """Return the operation and when it ended, if it has."""
    scope.enter(context, call, *VERSIONS)
    operation = context.studio.records.find(Operation, call.names["operation"].lower())
    if operation is None:
        raise scope.not_found("OperationNotFound", f"No operation has the id {call.names['operation']}.")
    ended = operation.ended
    return operation, ended if ended and ended <= now() else None


def _address(context: Context, call: Call, location: str, kind: str, operation: Operation) -> str:
    subscription = f"/subscriptions/{context.studio.identity.subscription}/providers/{scope.PROVIDER}"
    where = scope.region(location) or "global"
    return f"{call.base}{subscription}/locations/{where}/{kind}/{operation.id}?api-version={call.query['api-version']}"
