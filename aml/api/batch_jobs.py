"""Calls of a batch endpoint: each starts a job of the endpoint's component, which is followed as any other job."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.api.batch_deployments import component_id, deployment_of
from aml.api.batch_endpoints import endpoint_of
from aml.api.jobs import submit
from aml.api.listing import listed
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.identity import tokens
from aml.jobs.invocation import read_invocation
from aml.jobs.runner import component_of
from aml.jobs.task import members_of
from aml.members import text_of
from aml.state.records import FINAL, Job, invoked_mark
from aml.state.serving import BatchDeployment
from service.keys import new_id

DEPLOYMENT = "azureml-model-deployment"
REPEATED = ("repeatability_request-id", "repeatability-request-id")  #: the official client sends the first


def enter(context: Context, call: Call) -> None:
    """Raise unless the caller has a token for machine learning."""
    tokens.check(context.workspace.identity, call.token, tokens.MACHINE_LEARNING)


def invoke(context: Context, call: Call) -> Response:
    """Start a job. A call that comes again with the same repeatability id is answered with the job of the first."""
    given = members_of(call.json(), "properties")
    deployment = _chosen(context, call)
    configuration = deployment.properties["deploymentConfiguration"]
    component = component_of(context.workspace, component_id(deployment.properties))
    inputs, outputs = read_invocation(given, component)
    properties = scope.texts_of(given, "properties")
    experiment = properties.pop("experimentName", "") or deployment.endpoint.rpartition("/")[2]
    name = text_of(given, "name", required=False) or _name(context, call, deployment)
    scope.check_name(name, "name")
    job = {
        "jobType": "Pipeline",
        "displayName": name,
        "experimentName": experiment,
        "jobs": component["jobs"],
        "inputs": inputs,
        "outputs": outputs,
        "settings": configuration["settings"],
        "tags": {**configuration["tags"], **scope.texts_of(given, "tags")},
        "properties": properties,
    }
    made, new = submit(context, name, job, invoked=deployment.id)
    if not new and (made.invoked != deployment.id or made.properties["inputs"] != inputs):
        raise ArmError(409, "Conflict", f"The job {name} is there already, and another call started it.", "name")
    return scope.answer(_shown(context, made), 201 if new else 200)


def list_of_endpoint(context: Context, call: Call) -> Response:
    return _listed(context, call, endpoint_of(context, call).id)


def list_of_deployment(context: Context, call: Call) -> Response:
    return _listed(context, call, deployment_of(context, call).id)


def _listed(context: Context, call: Call, place: str) -> Response:
    return listed(context, call, Job, "jobs", lambda each: _shown(context, each), marks=[invoked_mark(place)])


def _chosen(context: Context, call: Call) -> BatchDeployment:
    """Return the deployment that the call names, else the endpoint's default."""
    endpoint = endpoint_of(context, call)
    name = call.headers.get(DEPLOYMENT) or endpoint.default
    if not name:
        message = f"The endpoint {endpoint.name} has no default deployment, and the call names none in {DEPLOYMENT}."
        raise bad_request(message, DEPLOYMENT)
    found = context.workspace.records.find(BatchDeployment, f"{endpoint.id}/deployments/{name}".lower())
    if found is None:
        raise ArmError(404, "NotFound", f"The endpoint {endpoint.name} has no deployment {name[:80]!r}.", DEPLOYMENT)
    if found.state not in ("Succeeded", "Updating"):
        message = f"The deployment {found.name} is {found.state}; it starts no jobs."
        raise ArmError(400, "BadRequest", message, DEPLOYMENT)
    return found


def _name(context: Context, call: Call, deployment: BatchDeployment) -> str:
    repeated = next((call.headers[each] for each in REPEATED if call.headers.get(each)), None) or new_id()
    return f"batchjob-{uuid.uuid5(uuid.UUID(context.workspace.identity.guid), f'{deployment.endpoint}/{repeated}')}"


def _shown(context: Context, job: Job) -> dict[str, Any]:
    ended = {"Completed": "Succeeded", "Failed": "Failed", "Canceled": "Canceled"}
    return {
        **scope.shown(context, job),
        "properties": {
            "name": job.name,
            "status": job.status,
            "provisioningState": ended[job.status] if job.status in FINAL else "InProgress",
            "inputData": job.properties["inputs"],
            "outputData": job.properties["outputs"],
            "properties": job.properties["properties"],
            "tags": job.properties["tags"],
        },
    }


#: the official client lists jobs by the address that discovery names, not by the resource manager
_ENDPOINT = f"/mferp/managementfrontend{scope.WORKSPACE}/batchEndpoints/{{endpoint}}"
ADDRESSES = [
    ("batch.invoke", "POST", "/batch/{endpoint}/jobs", invoke),
    ("arm.batchJobs.list", "GET", f"{_ENDPOINT}/jobs", list_of_endpoint),
    ("arm.batchJobs.list", "GET", f"{_ENDPOINT}/deployments/{{deployment}}/jobs", list_of_deployment),
]
