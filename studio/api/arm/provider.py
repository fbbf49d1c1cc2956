"""The operations that the resource provider has."""

from __future__ import annotations

from starlette.responses import Response

from studio.api.arm import scope
from studio.api.context import Call, Context

VERSIONS = ("2017-01-01", "2016-05-01-preview", "2016-04-01", "2019-10-01")
_OPERATIONS = {
    "webServices": ("web service", ("read", "write", "delete", "listkeys/read", "CreateRegionalBlob/action")),
    "commitmentPlans": ("commitment plan", ("read", "write", "delete", "commitmentAssociations/move/action")),
    "workspaces": ("workspace", ("read", "write", "delete", "listworkspacekeys/action", "resyncstoragekeys/action")),
}


def list_operations(context: Context, call: Call) -> Response:
    scope.enter(context, call, *VERSIONS)
    value = [
        {
            "name": f"{scope.PROVIDER}/{kind}/{operation}",
            "display": {
                "provider": scope.PROVIDER,
                "resource": kind,
                "operation": operation,
                "description": f"The operation {operation} of a {noun}.",
            },
        }
        for kind, (noun, operations) in _OPERATIONS.items()
        for operation in operations
    ]
    return scope.answer({"value": value})


ADDRESSES = [("arm.operations", "GET", f"/providers/{scope.PROVIDER}/operations", list_operations)]
