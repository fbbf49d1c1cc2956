"""Jobs of the workspace: made, followed, cancelled and deleted."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import operations as following
from aml.api import scope
from aml.api.listing import listed, marks_of_tags
from aml.api.workspaces import tracking_uri
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request, conflict
from aml.jobs.runner import component_of
from aml.jobs.task import read_command, read_nodes, read_ports
from aml.members import text_of
from aml.state import operations
from aml.state.records import FINAL, SERVERLESS, Compute, Job, Version, make, now, type_mark
from aml.state.runs import run_of_job

#: members of a job that may change; the others are what it is
CHANGEABLE = ("displayName", "description", "tags", "properties", "isArchived")
#: members that the service gives, and that a client sends back
OWN = ("status", "services", "parameters")
_TYPES = ("Command", "Pipeline")


def put_job(context: Context, call: Call) -> Response:
    """Make the job, which then runs, or change what may be changed of it: a lost answer's call may come again."""
    name = call.names["name"]
    scope.check_name(name, "name")
    given = {key: value for key, value in scope.properties_of(call.json()).items() if key not in OWN}
    job, new = submit(context, name, given)
    if not new:
        job = _changed(context, job, given, _properties(name, given))
    return scope.answer(_shown(context, call, job), 201 if new else 200)


def submit(context: Context, name: str, given: dict[str, Any], invoked: str = "") -> tuple[Job, bool]:
    """Make the job, unless one of that name is there; return the one that is there, and whether it is new."""
    properties = _properties(name, given)
    made = make(Job, f"jobs/{name}", properties, invoked=invoked)
    if not (kept := context.workspace.records.find(Job, made.id)):
        made = msgspec.structs.replace(made, queue=_check(context, made.properties))
        kept = context.workspace.records.find_or_make(Job, made.id, lambda: made)
    if kept is made:
        run_of_job(context.workspace.records, made)  # a search finds a job's run before the job begins
        context.jobs.enqueue(made)
    return kept, kept is made


def get_job(context: Context, call: Call) -> Response:
    return scope.answer(_shown(context, call, job_of(context, call)))


def list_jobs(context: Context, call: Call) -> Response:
    kind = (call.query.get("jobType") or "").lower()
    marks = [*marks_of_tags(call.query.get("tag") or ""), *([type_mark(kind)] if kind else [])]
    return listed(context, call, Job, "jobs", lambda each: _shown(context, call, each), marks=marks)


def cancel_job(context: Context, call: Call) -> Response:
    job = job_of(context, call)
    if job.status in FINAL:
        return scope.answer(None)
    operation = operations.begin(context.workspace.records, "jobs", job.id)
    context.jobs.cancel(job)
    if job_of(context, call).status in FINAL:
        operations.end_all(context.workspace.records, job.id)  # it ended before the operation was recorded
    return scope.answer(None, 202, following.headers(context, call, operation, located=True))


def delete_job(context: Context, call: Call) -> Response:
    job = context.workspace.records.find(Job, _path(call).lower())
    if job is None:
        return scope.answer(None, 204)
    if job.status not in FINAL:
        raise conflict(f"The job {job.name} is {job.status} and cannot be deleted. Cancel it first.")
    context.workspace.records.delete(job, *context.workspace.records.all(Job, f"{job.id}/nodes"))
    return scope.answer(None)


def job_of(context: Context, call: Call) -> Job:
    """Return the job that the call names."""
    return scope.find(context, Job, _path(call))


def _path(call: Call) -> str:
    return f"jobs/{call.names['name']}"


def _properties(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the job as it is kept, or raise for what can be seen to be wrong in it alone."""
    kind = given.get("jobType")
    if kind not in _TYPES:
        message = f"The job type {str(kind)[:40]!r} does not run here; it can be: {', '.join(_TYPES)}."
        raise bad_request(message, "properties.jobType")
    for member in ("displayName", "experimentName", "computeId", "description"):
        text_of(given, member, required=False)
    properties = {
        **given,
        "displayName": given.get("displayName") or name,
        "experimentName": given.get("experimentName") or "Default",
        "isArchived": bool(given.get("isArchived")),
        "tags": scope.texts_of(given, "tags"),
        "properties": scope.texts_of(given, "properties"),
        "inputs": given.get("inputs") or {},
        "outputs": given.get("outputs") or {},
    }
    if kind == "Command":
        read_command(properties)
    else:
        read_ports(properties)
        read_nodes(properties)
    return properties


def _check(context: Context, properties: dict[str, Any]) -> str:
    """Return the queue of a new job. Raises for an environment, component or compute that is not there."""
    workspace = context.workspace
    if properties["jobType"] == "Command":
        check_environment(context, read_command(properties).environment)
    else:
        check_nodes(context, properties)
    settings = properties.get("settings")
    default = settings.get("default_compute") if isinstance(settings, dict) else None
    compute = properties.get("computeId") or default
    if not compute or str(compute).lower().rpartition("/")[2] == SERVERLESS:
        return SERVERLESS
    name = str(compute).rpartition("/")[2].lower()
    if workspace.records.find(Compute, f"computes/{name}") is None:
        raise bad_request(f"The compute {name[:80]!r} is not there.", "properties.computeId", "ComputeNotFound")
    return name


def check_nodes(context: Context, properties: dict[str, Any]) -> None:
    """Raise unless the components of a pipeline's nodes are there, and their environments."""
    for node in read_nodes(properties).values():
        component = component_of(context.workspace, node["componentId"])
        environment = component.get("environment")
        if isinstance(environment, str):
            check_environment(context, environment.removeprefix("azureml:"))


def check_environment(context: Context, environment: str) -> None:
    """Raise unless the environment, given by its id, is there."""
    path = environment.partition("/workspaces/")[2].partition("/")[2].rstrip("/").lower()
    if environment.lower().startswith("azureml://registries/"):
        return  # one of the service's own: its name says which Python runs it
    if not path.startswith("environments/") or context.workspace.records.find(Version, path) is None:
        raise bad_request(f"The environment {environment[:300]!r} is not there.", "properties.environmentId")


def _changed(context: Context, kept: Job, given: dict[str, Any], properties: dict[str, Any]) -> Job:
    for member in given.keys() - set(CHANGEABLE):
        if kept.properties.get(member) != properties[member]:
            message = f"The job {kept.name} is there already, with another '{member}', which cannot be changed."
            raise ArmError(400, "UserError", message, f"properties.{member}")
    changed = {member: properties[member] for member in CHANGEABLE if member in given}
    changed["properties"] = {**kept.properties["properties"], **properties["properties"]}

    def change(job: Job) -> Job:
        return msgspec.structs.replace(job, properties={**job.properties, **changed}, modified=now())

    return context.workspace.records.change(Job, kept.id, change) or kept


def _shown(context: Context, call: Call, job: Job) -> dict[str, Any]:
    place = f"{call.base}/jobs/{job.name}?wsid={context.workspace.id}"  # a client adds "&tid=" and the tenant
    services = {
        "Tracking": {"jobServiceType": "Tracking", "endpoint": tracking_uri(context, call)},
        "Studio": {"jobServiceType": "Studio", "endpoint": place},
    }
    answer = scope.shown(context, job)
    answer["properties"] = {**job.properties, "status": _status(context, job), "services": services}
    return answer


def _status(context: Context, job: Job) -> str:
    """Return the state as it is shown, which may be another on order."""
    faults, names = context.faults, (job.name, job.id.rpartition("/")[2])
    if job.status == "Running" and faults.strike("not responding", names):
        return "NotResponding"
    if job.status not in FINAL and faults.strike("unknown status", names):
        return "Unknown"
    return job.status


_JOBS = f"{scope.WORKSPACE}/jobs"
ADDRESSES = [
    *of_resources("arm.jobs", f"{_JOBS}/{{name}}", list_jobs, get_job, put_job, delete_job),
    ("arm.jobs.cancel", "POST", f"{_JOBS}/{{name}}/cancel", cancel_job),
]
