"""Long-running operations: begun with a write, ended by what carries it out."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from aml.errors import ArmError
from aml.state.records import Operation, Records, now
from service.database import Record
from service.keys import new_id

ENDED = ("Succeeded", "Failed", "Canceled")
KEPT = 1000  #: the newest operations, of all


def begin(records: Records, kind: str, resource: str) -> Operation:
    """Record an operation of the resource, given by its id. `kind` is what the service begins its name with."""
    operation = Operation(id=f"{kind}:{new_id()}:{new_id()}", parent=resource, status="InProgress", started=now())
    records.put(operation)
    records.keep_newest(Operation, KEPT)
    return operation


def end(records: Records, operation: str, error: ArmError | None = None) -> None:
    """Record how the operation of that id ended. What has ended stays as it is."""

    def ended(found: Operation) -> Operation | None:
        if found.status in ENDED:
            return None
        status = "Failed" if error else "Succeeded"
        return msgspec.structs.replace(found, status=status, ended=now(), error=error.detail if error else None)

    records.change(Operation, operation, ended)


def end_all(records: Records, resource: str, error: ArmError | None = None) -> None:
    """Record how the operations of a resource ended."""
    for operation in records.all(Operation, resource):
        end(records, operation.id, error)


def end_of_deleted(records: Records, kinds: Collection[type[Record]]) -> None:
    """End the operations whose resource is not there: a server deleted it, and died before it ended the operation."""
    for operation in records.all(Operation):
        if operation.status not in ENDED and not any(records.find(kind, operation.parent) for kind in kinds):
            end(records, operation.id)
