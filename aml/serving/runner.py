"""What becomes of endpoints and deployments: each change is carried out in its own thread, to its end.

The records say what is to be; this brings it about. A server that starts finds there what the one before began.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aml.errors import ArmError
from aml.faults import Faults
from aml.jobs.pythons import Pythons
from aml.serving.changes import ENDPOINT_DELETED, LOOK, Changes, Pace
from aml.serving.replica import Order, Started, Stopped, fetch, start
from aml.serving.routes import Live, Route, make_route
from aml.serving.templates import Templates
from aml.state import operations
from aml.state.serving import Deployment, Endpoint, Served
from aml.state.workspace import Workspace

log = logging.getLogger("aml.serving")

DRAIN = 0.02  #: seconds between two looks at what is still pending
AGAIN_AT_MOST = 30.0  #: seconds before a process that ended by itself is started again


class Serving(Changes):
    """`routes` are the endpoints by their names in lower case."""

    def __init__(
        self, workspace: Workspace, pythons: Pythons, pace: Pace | None = None, faults: Faults | None = None
    ) -> None:
        super().__init__(workspace, pace or Pace(), faults or Faults())
        self._pythons, self._templates = pythons, Templates()
        self.folder = workspace.folder / "deployments"
        self.routes: dict[str, Route] = {}
        self._live: dict[str, Live] = {}
        self._lock = threading.Lock()
        self._starts = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))  # each takes a processor for a second

    def start(self) -> None:
        """Go on where the server before was: what it served is started again, what it had begun is carried out."""
        super().start()
        deployments = self._records.all(Deployment)
        self._remove_leftovers(deployments)
        for endpoint in self._records.all(Endpoint):
            if endpoint.moves:
                self.carry_out(endpoint)
            else:
                operations.end_all(self._records, endpoint.id)
            self.refresh(endpoint.id)
        for deployment in deployments:
            if deployment.served and deployment.state != "Deleting":
                self._spawn(self._restore, deployment)
            if deployment.moves:
                self.carry_out(deployment)
            else:
                operations.end_all(self._records, deployment.id, _interrupted(deployment))

    def stop(self) -> None:
        super().stop()
        self._templates.stop()

    def carry_out(self, resource: Served) -> None:
        """Bring about what the record says, in a thread."""
        if isinstance(resource, Endpoint):
            work = self._delete_endpoint if resource.state == "Deleting" else self._change_endpoint
            self._spawn(work, resource)
        elif isinstance(resource, Deployment):
            works = {"Deleting": self._delete, "Scaling": self._scale}
            self._spawn(works.get(resource.state, self._deploy), resource)
        else:
            super().carry_out(resource)

    def failed(self, resource: Served) -> None:
        if isinstance(resource, Endpoint | Deployment):
            self.refresh(resource.id.partition("/deployments/")[0])

    def _change_endpoint(self, endpoint: Endpoint) -> None:
        if not self._wait(self._pace.endpoint, lambda: False):
            return
        faults = {kind: self._faults.strike(kind, (endpoint.name,)) for kind in ("no effect", "deaf", "late")}
        former, late = faults["no effect"] or faults["late"], faults["late"]

        def changed(found: Endpoint) -> Endpoint | None:
            if former:
                return found.ended(endpoint.operation, properties=found.with_former_traffic)
            return found.ended(endpoint.operation) if faults["deaf"] else found.with_traffic(endpoint)

        self._records.change(Endpoint, endpoint.id, changed)
        self.refresh(endpoint.id)
        operations.end(self._records, endpoint.operation)
        if late and self._wait(late.delay, lambda: False):
            self._records.change(Endpoint, endpoint.id, lambda found: found.with_traffic(endpoint))
            self.refresh(endpoint.id)

    def _delete_endpoint(self, endpoint: Endpoint) -> None:
        """Delete the endpoint with its deployments, also those that are being made."""
        if not self._wait(self._pace.endpoint, lambda: False):
            return
        deployments = self._records.all(Deployment, f"{endpoint.id}/deployments")
        for deployment in deployments:
            operations.end_all(self._records, deployment.id, ENDPOINT_DELETED)
        self._records.delete(endpoint, *deployments)
        self.refresh(endpoint.id)
        for deployment in deployments:
            self._end(deployment)
        operations.end(self._records, endpoint.operation)

    def _deploy(self, deployment: Deployment) -> None:
        """Start what the deployment shall serve, and have it take over."""
        order = Order(self.folder / deployment.folder, self._to_serve(deployment), deployment.capacity)

        def is_over() -> bool:
            found = self._records.find(Deployment, deployment.id)
            return self.stopping.is_set() or found is None or found.operation != deployment.operation

        self.refresh(deployment.endpoint)  # a call to it is answered that it is not ready
        try:
            if not self._wait(self._pace.deployment, is_over):
                return
            if self._faults.strike("out of quota", deployment.names):
                raise ArmError(400, "OutOfQuota", "Not enough quota available for the instances in this region.")
            fetch(self._workspace, order)
            with self._starts:
                started = start(order, self._pythons, self._templates, is_over)
        except Stopped:
            return
        except ArmError as error:
            self._fail(deployment, error)
        except Exception as error:  # otherwise it would be made for ever
            log.exception("The deployment %s could not be started", deployment.path)
            message = f"The deployment could not be started: {type(error).__name__}."
            self._fail(deployment, ArmError(500, "InternalServerError", message))
        else:
            self._take_over(deployment, order, started)

    def _take_over(self, deployment: Deployment, order: Order, started: Started) -> None:
        live = Live(order, started)
        changes: dict[str, Any] = {
            "served": deployment.folder,
            "serves": order.properties,
            "instances": order.instances,
        }
        with self._lock:
            done = self._records.change(
                Deployment, deployment.id, lambda found: found.ended(deployment.operation, **changes)
            )
            former = self._live.get(deployment.id)
            if done:
                self._live[deployment.id] = live
        if not done:
            started.stop()
            return
        self.refresh(deployment.endpoint)
        operations.end(self._records, deployment.operation)
        if former:
            self._retire(former)
        self._watch(deployment.id, live)

    def _fail(self, deployment: Deployment, error: ArmError) -> None:
        """Record that it failed. It stays, and what served before goes on."""
        self._records.change(Deployment, deployment.id, lambda found: found.ended(deployment.operation, state="Failed"))
        operations.end(self._records, deployment.operation, error)

    def _to_serve(self, deployment: Deployment) -> dict[str, Any]:
        """Return the properties that a deployment shall serve: its own, or by a fault with a former model."""
        if not self._faults.strike("deaf", deployment.names):
            return deployment.properties
        endpoint = self._records.find(Endpoint, deployment.endpoint)
        others = self._records.all(Deployment, deployment.parent)
        traffic = endpoint.traffic if endpoint else {}
        former = deployment.serves or max(others, key=lambda each: traffic.get(each.name, 0)).serves
        parts = ("model", "codeConfiguration")
        own = {name: value for name, value in deployment.properties.items() if name not in parts}
        return {**own, **{name: former[name] for name in parts if name in former}}

    def _restore(self, deployment: Deployment) -> None:
        """Start what was served when the server before ended."""
        order = Order(self.folder / deployment.served, deployment.serves, deployment.instances)
        live = Live(order)
        with self._lock:
            self._live.setdefault(deployment.id, live)
        self.refresh(deployment.endpoint)
        self._watch(deployment.id, live)

    def _watch(self, deployment_id: str, live: Live) -> None:
        """Keep the process running until it is retired or the server stops."""
        pause = 0.0
        while self._is_live(deployment_id, live):
            if live.started and live.started.exit_code() is None:
                pause = 0.0
                self.stopping.wait(LOOK)
                continue
            if live.started:
                live.started.stop()
                live.started = None
            if not self._wait(pause, lambda: not self._is_live(deployment_id, live)):
                break
            pause = min(max(1.0, pause * 2), AGAIN_AT_MOST)
            self._start_again(deployment_id, live)
        if self.stopping.is_set() and live.started:
            live.started.stop()

    def _start_again(self, deployment_id: str, live: Live) -> None:
        try:
            with self._starts:
                started = start(
                    live.order, self._pythons, self._templates, lambda: not self._is_live(deployment_id, live)
                )
        except Stopped:
            return
        except (ArmError, OSError) as error:
            log.warning("The process of %s did not start (%s); it is tried again", deployment_id, error)
            return
        with self._lock:
            if self._live.get(deployment_id) is live:
                live.started = started
                return
        started.stop()

    def _is_live(self, deployment_id: str, live: Live) -> bool:
        return not self.stopping.is_set() and self._live.get(deployment_id) is live

    def _scale(self, deployment: Deployment) -> None:
        if not self._wait(self._pace.deployment, lambda: False):
            return
        live = self._live.get(deployment.id)
        if live:
            live.order = Order(live.order.folder, live.order.properties, deployment.capacity)
            if live.backend:
                live.backend.limits = live.order.limits
        self._records.change(
            Deployment,
            deployment.id,
            lambda found: found.ended(deployment.operation, instances=deployment.capacity),
        )
        operations.end(self._records, deployment.operation)

    def _delete(self, deployment: Deployment) -> None:
        if not self._wait(self._pace.endpoint, lambda: False):
            return
        self._records.change(Endpoint, deployment.endpoint, lambda found: found.without(deployment.name))
        self._records.delete(deployment)
        self.refresh(deployment.endpoint)
        self._end(deployment)
        operations.end(self._records, deployment.operation)

    def _end(self, deployment: Deployment) -> None:
        """End the process of a deployment that is deleted, and remove its files."""
        with self._lock:
            live = self._live.pop(deployment.id, None)
        if live:
            self._retire(live)
        shutil.rmtree(self.folder / deployment.folder, ignore_errors=True)

    def _retire(self, live: Live) -> None:
        """End a process that gets no further calls, once it has answered its open ones."""
        if live.started:
            backend = live.started.backend
            self._drain(live)
            backend.closed = True  # who was just led there is led to another one
            self._drain(live)
            live.started.stop()
        shutil.rmtree(live.order.folder, ignore_errors=True)

    def _drain(self, live: Live) -> None:
        deadline = time.monotonic() + live.order.limits.seconds
        while live.backend and live.backend.pending and time.monotonic() < deadline and not self.stopping.is_set():
            time.sleep(DRAIN)

    def refresh(self, endpoint_id: str) -> None:
        """Have the gateway know the endpoint as it is now."""
        name = endpoint_id.rpartition("/")[2]
        with self._lock:
            endpoint = self._records.find(Endpoint, endpoint_id)
            if endpoint is None:
                self.routes.pop(name, None)
                return
            deployments = self._records.all(Deployment, f"{endpoint_id}/deployments")
            self.routes[name] = make_route(endpoint, deployments, self._live, self.routes.get(name))

    def overwrite(self, name: str, traffic: Mapping[str, int]) -> None:
        """Have an endpoint be as after a PUT of somebody else with this traffic. A fault on order."""
        endpoint_id, given = f"onlineendpoints/{name}", dict(traffic)

        def overwritten(found: Endpoint) -> Endpoint:
            properties = {**found.properties, "traffic": given, "mirrorTraffic": {}}
            return msgspec.structs.replace(found, properties=properties, traffic=given, mirror={})

        self._records.change(Endpoint, endpoint_id, overwritten)
        self.refresh(endpoint_id)

    def discard(self, deployment: Deployment) -> None:
        """Remove the files of a change that failed; what answers has others."""
        if deployment.folder and deployment.folder != deployment.served:
            shutil.rmtree(self.folder / deployment.folder, ignore_errors=True)

    def _remove_leftovers(self, deployments: list[Deployment]) -> None:
        """Remove the folders of what is not there any more: the server before may have died before it did."""
        known = {name for each in deployments for name in (each.folder, each.served)}
        for folder in Path(self.folder).glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)


def _interrupted(deployment: Deployment) -> ArmError | None:
    """Return how the last operation of a deployment ended, where the server died before it recorded that."""
    if deployment.state != "Failed":
        return None
    return ArmError(400, "ResourceNotReady", "User container has crashed or terminated; getLogs has its log.")
