"""What carries out the changes of endpoints and deployments: each in its own thread, to its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aml.errors import ArmError
from aml.faults import Faults
from aml.state import operations
from aml.state.records import Job, Resource
from aml.state.serving import BatchDeployment, BatchEndpoint, Deployment, Endpoint, Served
from aml.state.workspace import Workspace

log = logging.getLogger("aml.serving")

LOOK = 0.25  #: seconds between two looks at what is waited for
ENDPOINT_DELETED = ArmError(409, "Conflict", "The endpoint was deleted.")
#: what operations change
KINDS: tuple[type[Resource], ...] = (Endpoint, Deployment, BatchEndpoint, BatchDeployment, Job)


@dataclass(frozen=True)
class Pace:
    """The least seconds of a change of a deployment, and of an endpoint."""

    deployment: float = 0.0
    endpoint: float = 0.0


class Changes:
    """Batch endpoints and their deployments have no process: a change of them is only recorded."""

    def __init__(self, workspace: Workspace, pace: Pace, faults: Faults) -> None:
        self._workspace, self._records = workspace, workspace.records
        self._pace, self._faults = pace, faults
        self.writes = threading.Lock()  #: held while resources that name each other are checked and changed
        self._threads: set[threading.Thread] = set()
        self.stopping = threading.Event()  #: set to have all threads end at their next look

    def start(self) -> None:
        """Carry out what the server before had begun."""
        operations.end_of_deleted(self._records, KINDS)
        for kind in (BatchEndpoint, BatchDeployment):
            for resource in self._records.all(kind):
                if resource.moves:
                    self.carry_out(resource)
                else:
                    operations.end_all(self._records, resource.id)

    def stop(self) -> None:
        """Wait until every thread has ended. What was being changed is carried out by the next server."""
        self.stopping.set()
        while threads := list(self._threads):
            for thread in threads:
                thread.join()

    def carry_out(self, resource: Served) -> None:
        """Bring about what the record says, in a thread."""
        self._spawn(self._delete_record if resource.state == "Deleting" else self._settle, resource)

    def failed(self, resource: Served) -> None:
        """Called when the change of a resource failed on order."""

    def _settle(self, resource: Served) -> None:
        if self._wait(self._pace.endpoint, lambda: False):
            self._records.change(type(resource), resource.id, lambda found: found.ended(resource.operation))
            operations.end(self._records, resource.operation)

    def _delete_record(self, resource: Served) -> None:
        """Delete the resource: an endpoint with its deployments, a deployment also where it is the default."""
        if not self._wait(self._pace.endpoint, lambda: False):
            return
        below = self._records.all(BatchDeployment, f"{resource.id}/deployments")
        if isinstance(resource, BatchDeployment):
            self._records.change(BatchEndpoint, resource.endpoint, lambda found: found.without(resource.name))
        for deployment in below:
            operations.end_all(self._records, deployment.id, ENDPOINT_DELETED)
        self._records.delete(resource, *below)
        operations.end(self._records, resource.operation)

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> bool:
        """Wait, and return whether to go on."""
        deadline = time.monotonic() + seconds
        while not (over := is_over() or self.stopping.is_set()) and (left := deadline - time.monotonic()) > 0:
            self.stopping.wait(min(left, LOOK))
        return not over

    def _spawn(self, work: Callable[[Any], None], resource: Served) -> None:
        name = f"aml-serving: {type(resource).__name__}"
        thread = threading.Thread(target=partial(self._run, work, resource), name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self, work: Callable[[Any], None], resource: Served) -> None:
        try:
            if not resource.moves or not self._misbehaves(resource):
                work(resource)
        except Exception:  # a fault of this program ends this change only; the log has the traceback
            log.exception("A change of %s could not be carried out", resource.path)
        finally:
            self._threads.discard(threading.current_thread())

    def _misbehaves(self, resource: Served) -> bool:
        """Return whether a fault has the change end otherwise than it should, or not at all."""
        if self._faults.strike("endless operation", resource.names):
            return True
        failing = self._faults.strike("failing operation", resource.names)
        if not failing:
            return False
        if self._wait(failing.delay, lambda: False):
            kind = type(resource)
            self._records.change(kind, resource.id, lambda found: found.ended(resource.operation, state="Failed"))
            self.failed(resource)
            error = ArmError(500, "InternalServerError", "The operation failed on order.")
            operations.end(self._records, resource.operation, error)
        return True
