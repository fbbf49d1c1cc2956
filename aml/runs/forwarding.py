"""MLflow's calls in front of a real MLflow server: they are passed on, and jobs have runs there.

MLflow gives a run its own id. A job's run has the tag `azureml.job`, and is found by the job's name too. What it
logs is kept by the workspace as well, which shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from aml.addresses import Address
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError
from aml.runs import tracking
from aml.runs.protocol import ANY, METHODS
from aml.runs.real import RealMlflow
from aml.runs.views import job_of_run
from aml.state.records import FINAL, Job, Records
from aml.state.runs import STATUS, run_of_job
from service.database import Record
from service.json_body import NotJson, read_json

TAG = "azureml.job"
_IDS = ("run_id", "run_uuid", "source_run_id")
#: headers of a call and of an answer that are passed on
_HEADERS = ("content-type", "accept", "content-disposition", "x-content-type-options")
_KEPT: Mapping[str, Callable[[Context, Call], Response]] = {
    "runs/log-metric": tracking.log_metric,
    "runs/log-parameter": tracking.log_parameter,
    "runs/log-batch": tracking.log_batch,
    "runs/set-tag": tracking.set_tag,
}


class JobRun(Record, frozen=True):
    """A job's run in MLflow: `id` is the job's name, `name` MLflow's id, `parent` OPEN until it has ended there."""

    OPEN: ClassVar = "open"
    SETTLED: ClassVar = "settled"

    name: str
    job: str


def forward(method: str, context: Context, call: Call) -> Response:
    assert context.mlflow is not None
    rest, query = call.names["rest"], list(call.query.multi_items())
    query = [(name, _known(context, value) if name in _IDS else value) for name, value in query]
    body = _members(call) if method != "GET" and rest.startswith("api/") else None
    if body is not None:
        body |= {name: _known(context, value) for name, value in body.items() if name in _IDS}
    headers = {name: call.headers[name] for name in _HEADERS if name in call.headers}
    content = call.body if body is None else json.dumps(body).encode()
    if rest.startswith("api/2.0/preview/mlflow/runs/log-batch-async"):  # a call of the plug-in that MLflow lacks
        rest = "api/2.0/mlflow/runs/log-batch"
    answer = context.mlflow.ask(method, quote(rest), params=query, data=content, headers=headers)
    if answer.status_code == 200 and body is not None:
        _keep(context, call, rest.partition("/mlflow/")[2], body)
    given = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
    return Response(answer.content, answer.status_code, given)


def run_in_mlflow(records: Records, mlflow: RealMlflow, job: Job) -> str:
    """Return MLflow's id of the run of a job. It is made once: a lost answer's run is found by its tag."""
    if known := records.find(JobRun, job.name.lower()):
        return known.name
    mlflow.wait()
    experiment = _experiment(mlflow, job.properties["experimentName"])
    wanted = {"experiment_ids": [experiment], "filter": f"tags.`{TAG}` = '{job.name}'", "max_results": 1}
    found = mlflow.asked("POST", "runs/search", wanted).get("runs")
    run = found[0] if found else mlflow.asked("POST", "runs/create", _new(records, mlflow, job, experiment))["run"]
    made = JobRun(id=job.name.lower(), parent=JobRun.OPEN, name=run["info"]["run_id"], job=job.id)
    return records.find_or_make(JobRun, made.id, lambda: made).name


def settle(records: Records, mlflow: RealMlflow) -> None:
    """Have the runs of jobs that have ended end in MLflow as the jobs did."""
    for each in records.all(JobRun, JobRun.OPEN):
        job = records.find(Job, each.job)
        if job and job.status not in FINAL:
            continue
        if job and job.ended:
            ended = {"status": STATUS[job.status], "end_time": int(job.ended.timestamp() * 1000)}
            mlflow.asked("POST", "runs/update", {"run_id": each.name, **ended})
        records.change(JobRun, each.id, lambda found: msgspec.structs.replace(found, parent=JobRun.SETTLED))


def _new(records: Records, mlflow: RealMlflow, job: Job, experiment: str) -> dict[str, Any]:
    run = run_of_job(records, job)
    tags = {**run.tags, TAG: job.name}
    parent = job.properties["properties"].get("azureml.parentRunId")
    if parent and (pipeline := records.find(Job, f"jobs/{parent}".lower())):
        tags["mlflow.parentRunId"] = run_in_mlflow(records, mlflow, pipeline)
    return {
        "experiment_id": experiment,
        "run_name": run.title,
        "start_time": run.started,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


def _experiment(mlflow: RealMlflow, name: str) -> str:
    """Return the number of the experiment, made if it is not there."""
    for _ in range(2):  # another program may make it meanwhile
        with suppress(ArmError):
            found = mlflow.asked("GET", "experiments/get-by-name", {"experiment_name": name})
            return str(found["experiment"]["experiment_id"])
        with suppress(ArmError):
            return str(mlflow.asked("POST", "experiments/create", {"name": name})["experiment_id"])
    raise ArmError(503, "TEMPORARILY_UNAVAILABLE", f"MLflow's server has no experiment {name[:255]!r} and makes none.")


def _known(context: Context, run: Any) -> Any:
    """Return MLflow's id of a job's run, and what is not a job's as it is."""
    if not isinstance(run, str) or context.mlflow is None:
        return run
    job = job_of_run(context, run)
    return run_in_mlflow(context.workspace.records, context.mlflow, job) if job else run


def _members(call: Call) -> dict[str, Any] | None:
    try:
        body = read_json(call.body)
    except NotJson:
        return None
    return body if isinstance(body, dict) else None


def _keep(context: Context, call: Call, path: str, body: dict[str, Any]) -> None:
    """Keep what a job's run logs in the workspace's own record of it."""
    records = context.workspace.records
    if path not in _KEPT or not isinstance(run := body.get("run_id") or body.get("run_uuid"), str):
        return
    found = records.named(JobRun, JobRun.OPEN, run) or records.named(JobRun, JobRun.SETTLED, run)
    job = records.find(Job, found.job) if found else None
    if job is None:
        return
    metrics = [{**each, "model_id": None} for each in body.get("metrics") or []]
    ours = {**body, "metrics": metrics, "model_id": None, "run_id": job.name, "run_uuid": job.name}
    with suppress(ArmError):  # MLflow has taken it, and that counts
        _KEPT[path](
            context, Call(call.base, call.path, call.names, call.query, call.headers, json.dumps(ours).encode())
        )


ADDRESSES: list[Address] = [("mlflow.forward", method, ANY, partial(forward, method)) for method in METHODS]
