"""Run history, as far as the official client asks it: how a job went, its log, its children, its tags."""

from __future__ import annotations

from typing import Any

import msgspec
from azure.core.exceptions import AzureError
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.jobs.log import NAME, link_to, log_blob
from aml.members import text_of
from aml.runs.views import job_of_run, run_of
from aml.state.records import Job, now, stamp
from aml.state.runs import Run, log, run_of_job

#: how run history calls the kinds of models; it calls data as jobs do
_TYPES = {"custom_model": "CustomModel", "mlflow_model": "MLFlowModel", "triton_model": "TritonModel"}


def run_data(context: Context, call: Call) -> Response:
    name = call.json().get("runId")
    if not isinstance(name, str):
        raise bad_request("The member 'runId' must be a text.", "runId")
    job = _job(context, name)
    return scope.answer({"runMetadata": _shown(context, job), "runDefinition": None, "jobSpecification": None})


def details(context: Context, call: Call) -> Response:
    job = _job(context, call.names["run"])
    return scope.answer({**_shown(context, job), "logFiles": _log_files(context, job)})


def children(context: Context, call: Call) -> Response:
    job = _job(context, call.names["run"])
    nodes = context.workspace.records.all(Job, f"{job.id}/nodes")
    return scope.answer({"value": [_shown(context, each) for each in nodes]})


def change(context: Context, call: Call) -> Response:
    """Change the name, description, tags or properties of a job, or hide it."""
    job, body = _job(context, call.names["run"]), call.json()
    changes: dict[str, Any] = {}
    for member in ("displayName", "description"):
        if text := text_of(body, member, required=False):
            changes[member] = text
    for member in ("tags", "properties"):
        changes[member] = {**job.properties[member], **scope.texts_of(body, member)}
    if isinstance(body.get("hidden"), bool):
        changes["isArchived"] = body["hidden"]

    def changed(found: Job) -> Job:
        return msgspec.structs.replace(found, properties={**found.properties, **changes}, modified=now())

    job = context.workspace.records.change(Job, job.id, changed) or job
    log(context.workspace.records, run_of_job(context.workspace.records, job).id, [], tags=changes["tags"])
    return scope.answer(_shown(context, job))


def _job(context: Context, name: str) -> Job:
    run: Run = run_of(context, name)
    job = job_of_run(context, run.name)
    if job is None:
        raise ArmError(404, "UserError", f"Run {name[:255]!r} was not found.")
    return job


def _shown(context: Context, job: Job) -> dict[str, Any]:
    run = run_of_job(context.workspace.records, job)
    parent = job.properties["properties"].get("azureml.parentRunId")
    shown: dict[str, Any] = {
        "runId": job.name,
        "runUuid": job.name,
        "parentRunId": parent,
        "rootRunId": parent or job.name,
        "experimentId": run.parent,
        "displayName": job.properties["displayName"],
        "status": job.status,
        "createdUtc": stamp(job.created),
        "runType": "azureml.PipelineRun" if job.properties["jobType"] == "Pipeline" else "azureml.scriptrun",
        "hidden": bool(job.properties.get("isArchived")),
        "tags": job.properties["tags"],
        "properties": job.properties["properties"],
        "warnings": [],
        "outputs": {name: _asset(context, job, name, port) for name, port in job.properties["outputs"].items()},
    }
    times = {"startTimeUtc": job.begun, "endTimeUtc": job.ended}
    shown |= {name: stamp(moment) for name, moment in times.items() if moment}
    if job.error:
        shown["error"] = {"error": job.error}
    return shown


def _asset(context: Context, job: Job, name: str, port: dict[str, Any]) -> dict[str, str]:
    """Return the asset that an output is: its data is found by this id."""
    known = context.workspace.identity
    kind = port["jobOutputType"]
    collection = "models" if kind in _TYPES else "data"
    asset = f"{collection}/azureml_{job.name}_output_{name}/versions/1"
    return {
        "assetId": f"azureml://locations/{known.location}/workspaces/{known.guid}/{asset}",
        "type": _TYPES.get(kind, kind),
    }


def _log_files(context: Context, job: Job) -> dict[str, str]:
    blob = log_blob(context.workspace.account, job.name)
    try:
        return {NAME: link_to(blob)} if blob.exists() else {}
    except AzureError:
        return {}


_HISTORY = f"/history/v1.0{scope.WORKSPACE}"
ADDRESSES = [
    ("history.data", "POST", f"{_HISTORY}/rundata", run_data),
    ("history.details", "GET", f"{_HISTORY}/runs/{{run}}/details", details),
    ("history.details", "GET", f"{_HISTORY}/experiments/{{experiment}}/runs/{{run}}/details", details),
    ("history.children", "GET", f"{_HISTORY}/runs/{{run}}/children", children),
    ("history.change", "PATCH", f"{_HISTORY}/experiments/{{experiment}}/runs/{{run}}", change),
]
