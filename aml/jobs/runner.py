"""Whose turn it is, and what becomes of a job: each compute has a queue, and each job that runs a thread."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from aml.errors import ArmError
from aml.faults import Faults
from aml.jobs.pythons import Pythons
from aml.jobs.task import Port, Task, read_command, read_node, read_nodes, read_ports
from aml.jobs.work import Ended, Watch, carry_out
from aml.state import operations
from aml.state.records import Compute, Job, Version, make
from aml.state.workspace import Workspace
from aml.storage.addresses import default_output
from service.queue import Queues, Work

log = logging.getLogger("aml.jobs")

AT_ONCE = 2  #: jobs of it that run at once
THREADS = 32  #: jobs that run at once, of all computes
_STOPPED = ArmError(503, "ServerStopped", "The server stopped while the job ran.")

Variables = Callable[[Job], dict[str, str]]


class JobRunner:
    """`variables` returns what the service sets in the environment of a job's command."""

    def __init__(self, workspace: Workspace, pythons: Pythons, variables: Variables, faults: Faults) -> None:
        self._workspace, self._records = workspace, workspace.records
        self._pythons, self._variables, self._faults = pythons, variables, faults
        self._queues = Queues("aml-job", Work(self._begin, self._run, self._at_once, THREADS), log)

    def start(self) -> None:
        """Resume the queues that the server before left. What ran when it died is failed, and its error says so."""
        jobs = self._records.all(Job)
        for job in jobs:
            if job.status in ("Running", "Finalizing"):
                self._end(job.id, _STOPPED)
            elif job.status == "CancelRequested":
                self._cancel(job.id)
        for job in jobs:
            if job.status in ("NotStarted", "Starting", "Preparing", "Queued") and "/nodes/" not in job.id:
                self.enqueue(job)
        self._queues.start()

    def enqueue(self, job: Job) -> None:
        """Have the job run when its turn comes."""
        for status in ("Starting", "Preparing", "Queued"):
            self._pass(job.id, status)
        self._queues.add(job.queue, job.id)

    def cancel(self, job: Job) -> None:
        """Have the job end. One that runs is ended soon, one that waits at once."""
        self._records.change(Job, job.id, Job.asked_to_cancel)
        if not self._queues.remove(job.queue, job.id):
            self._cancel(job.id)

    def stop(self) -> None:
        self._queues.stop()

    def _at_once(self, queue: str) -> int:
        compute = self._records.find(Compute, f"computes/{queue}")
        return int(compute.properties["properties"]["scaleSettings"]["maxNodeCount"]) if compute else AT_ONCE

    def _begin(self, _: str, job_id: str) -> bool:
        """Return whether the job is to be worked on: not if it was cancelled, or a fault has it stuck."""
        stuck = self._faults.strike("stuck", _names(job_id))
        if stuck and stuck.state == "Queued":
            return False
        return self._pass(job_id, "Running") is not None and not stuck

    def _pass(self, job_id: str, status: str) -> Job | None:
        return self._records.change(Job, job_id, lambda job: job.passed_to(status))

    def _run(self, job_id: str) -> None:
        """Carry out the job to its end, whatever happens to its process."""
        job = self._records.find(Job, job_id)
        if job is None:
            return
        try:
            if job.properties["jobType"] == "Pipeline":
                self._run_pipeline(job)
            else:
                self._carry_out(job, read_command(job.properties))
        except Ended:
            self._cancel(job_id)  # or the server stops: the next one finds it running
        except ArmError as error:
            self._end(job_id, error)
        except Exception as error:  # otherwise the job would run for ever
            log.exception("The job %s could not be run", job.name)
            self._end(job_id, ArmError(500, "SystemError", f"The job could not be run: {type(error).__name__}."))
        else:
            self._pass(job_id, "Completed")
            self._cancel(job_id)  # it was asked to end when it had just ended
        if self._queues.stopping.is_set():
            self._end(job_id, _STOPPED)

    def _carry_out(self, job: Job, task: Task) -> None:
        watch = Watch(
            is_over=lambda: self._is_over(job.id),
            finalizing=lambda: self._finalize(job.id),
            keeps=lambda: not self._faults.strike("missing output", _names(job.id)),
            empties=lambda: self._faults.strike("empty output", _names(job.id)) is not None,
        )
        python = self._pythons.of(task.environment)
        carry_out(self._workspace, job.name, task, python, self._variables(job), watch)

    def _finalize(self, job_id: str) -> None:
        """Pass to the state in which outputs are kept; raise where the job shall end another way."""
        if self._faults.strike("failed job", _names(job_id)):
            raise ArmError(400, "UserError", "The job failed on order.")
        if self._faults.strike("canceled job", _names(job_id)):
            self._records.change(Job, job_id.partition("/nodes/")[0], Job.asked_to_cancel)
            raise Ended
        if self._pass(job_id, "Finalizing") is None:
            raise Ended

    def _run_pipeline(self, pipeline: Job) -> None:
        """Run the nodes one after the other, each as its own job below the pipeline."""
        ports, made = read_ports(pipeline.properties), dict[str, dict[str, Port]]()
        # A node writes an output of the pipeline to where the pipeline's output is looked for.
        outputs = {
            port: replace(each, value=each.value or default_output(pipeline.name, port, each.kind))
            for port, each in ports.outputs.items()
        }
        ports = replace(ports, outputs=outputs)
        for name, node in read_nodes(pipeline.properties).items():
            component = component_of(self._workspace, node["componentId"])
            task = read_node(name, node, component, ports, made)
            child = self._node(pipeline, name, node, task)
            try:
                self._carry_out(child, task)
            except Ended:
                self._records.change(Job, child.id, Job.asked_to_cancel)
                self._cancel(child.id)
                raise
            except ArmError as error:
                self._end(child.id, error)
                message = f"The node {name!r} (run {child.name}) failed: {error.message}"
                raise ArmError(error.status, error.code, message) from None
            self._pass(child.id, "Completed")
            made[name] = {
                port: Port(each.kind, each.value or default_output(child.name, port, each.kind))
                for port, each in task.outputs.items()
            }
        self._finalize(pipeline.id)

    def _node(self, pipeline: Job, name: str, node: dict[str, Any], task: Task) -> Job:
        """Return the record of a node that runs. Its run has its own id, the same after a restart."""
        run = str(uuid.uuid5(uuid.UUID(self._workspace.identity.guid), f"{pipeline.id}/{name}"))
        properties = {
            "jobType": "Command",
            "displayName": name,
            "experimentName": pipeline.properties["experimentName"],
            "componentId": node["componentId"],
            "command": task.command,
            "environmentId": task.environment,
            "inputs": {port: each.shown("jobInputType") for port, each in task.inputs.items()},
            "outputs": {port: each.shown("jobOutputType") for port, each in task.outputs.items()},
            "tags": {},
            "properties": {"azureml.parentRunId": pipeline.name, "azureml.moduleName": name},
        }
        made = make(Job, f"{pipeline.path}/nodes/{run}", properties, queue=pipeline.queue, status="Queued")
        child = self._records.find_or_make(Job, made.id, lambda: made)
        self._pass(child.id, "Running")
        return child

    def _is_over(self, job_id: str) -> bool:
        """Return whether the job, or the pipeline whose node it is, shall end."""
        job = self._records.find(Job, job_id.partition("/nodes/")[0])
        return self._queues.stopping.is_set() or job is None or job.status != "Running"

    def _cancel(self, job_id: str) -> None:
        if self._records.change(Job, job_id, Job.canceled):
            operations.end_all(self._records, job_id)

    def _end(self, job_id: str, error: ArmError) -> None:
        """Record that the job failed; one that was asked to end is canceled."""
        self._cancel(job_id)
        self._records.change(Job, job_id, lambda job: job.failed(error.detail))
        operations.end_all(self._records, job_id)


def component_of(workspace: Workspace, component: str) -> dict[str, Any]:
    """Return what a component, given by its id, says. Raises where it is not there."""
    path = component.partition("/workspaces/")[2].partition("/")[2].rstrip("/")
    version = workspace.records.find(Version, path.lower())
    if version is None or version.collection != "components":
        message = f"The component {component[:300]!r} is not there."
        raise ArmError(400, "UserError", message, "componentId")
    return msgspec.json.decode(msgspec.json.encode(version.properties["componentSpec"]), type=dict[str, Any])


def _names(job_id: str) -> list[str]:
    """Return what an order may call the job: its own name, and its pipeline's name."""
    return job_id.split("/")[1::2]
