"""MLflow's tracking by REST, as far as its client uses it: experiments, runs, metrics, params and tags."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.jobs.log import prefix_of
from aml.runs.filters import read_filter, read_order
from aml.state.records import Job
from aml.state.runs import (
    STATUS,
    Experiment,
    Logged,
    Point,
    Run,
    experiment_of,
    log,
    milliseconds,
    run_of_job,
    value_of,
)
from service.keys import new_id

BASE = f"/mlflow/{{release}}{scope.WORKSPACE}/api/2.0"
PAGE = 1000  #: runs of an answer, at most
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    413: "REQUEST_LIMIT_EXCEEDED",
}


def refused(error: ArmError) -> Response:
    """Return an error in MLflow's form."""
    code = error.code if error.code.isupper() else _CODES.get(error.status, "INTERNAL_ERROR")
    return scope.answer({"error_code": code, "message": error.message}, error.status, error.headers)


def create_experiment(context: Context, call: Call) -> Response:
    name = _text(call.json(), "name")
    if _find_experiment(context, name):
        raise ArmError(400, "RESOURCE_ALREADY_EXISTS", f"Experiment {name!r} already exists.")
    return scope.answer({"experiment_id": _id(experiment_of(context.workspace.records, name))})


def get_experiment(context: Context, call: Call) -> Response:
    return scope.answer({"experiment": _shown_experiment(_experiment(context, call.query.get("experiment_id", "")))})


def get_experiment_by_name(context: Context, call: Call) -> Response:
    name = call.query.get("experiment_name", "")
    found = _find_experiment(context, name)
    if found is None:
        raise _missing(f"Could not find experiment with name {name[:255]!r}.")
    return scope.answer({"experiment": _shown_experiment(found)})


def search_experiments(context: Context, _: Call) -> Response:
    found = context.workspace.records.all(Experiment, Experiment.PARENT)
    return scope.answer({"experiments": [_shown_experiment(each) for each in reversed(found)]})


def create_run(context: Context, call: Call) -> Response:
    body = call.json()
    experiment = _experiment(context, _text(body, "experiment_id"))
    name = new_id()
    tags = _pairs(body, "tags")
    title = str(body.get("run_name") or tags.get("mlflow.runName") or name[:8])
    started = body.get("start_time")
    run = Run(
        id=name,
        parent=experiment.id,
        name=name,
        title=title,
        started=started if isinstance(started, int) else milliseconds(),
        user=str(body.get("user_id") or ""),
        tags={"mlflow.runName": title, **tags},
    )
    context.workspace.records.put(run)
    return scope.answer({"run": _shown(context, call, run)})


def get_run(context: Context, call: Call) -> Response:
    name = call.query.get("run_id") or call.query.get("run_uuid") or ""
    return scope.answer({"run": _shown(context, call, run_of(context, name))})


def update_run(context: Context, call: Call) -> Response:
    """Change the run. How a job went says the job alone."""
    body = call.json()
    found = run_of(context, _run_id(body))
    changes: dict[str, Any] = {}
    if title := body.get("run_name"):
        changes |= {"title": str(title), "tags": {**found.tags, "mlflow.runName": str(title)}}
    if status := body.get("status"):
        changes["status"] = str(status)
    if isinstance(body.get("end_time"), int):
        changes["ended"] = body["end_time"]
    changed = context.workspace.records.change(Run, found.id, lambda run: msgspec.structs.replace(run, **changes))
    return scope.answer({"run_info": _shown(context, call, changed or found)["info"]})


def delete_run(context: Context, call: Call) -> Response:
    found = run_of(context, _run_id(call.json()))
    context.workspace.records.change(Run, found.id, lambda run: msgspec.structs.replace(run, deleted=True))
    return scope.answer({})


def search_runs(context: Context, call: Call) -> Response:
    body = call.json()
    ids = body.get("experiment_ids") or [_id(each) for each in _experiments(context)]
    wanted, ordered = (
        read_filter(str(body.get("filter") or "")),
        read_order([str(each) for each in _list(body, "order_by")]),
    )
    records = context.workspace.records
    found = []
    for each in ids if isinstance(ids, list) else []:
        experiment = _experiment(context, str(each))
        found += [_shown(context, call, run) for run in reversed(records.all(Run, experiment.id)) if not run.deleted]
    runs = ordered([run for run in found if wanted(run)])
    start, size = _page(body)
    answer: dict[str, Any] = {"runs": runs[start : start + size]}
    if len(runs) > start + size:
        answer["next_page_token"] = str(start + size)
    return scope.answer(answer)


def log_metric(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, _run_id(body))
    log(context.workspace.records, run.id, [_point(body)])
    return scope.answer({})


def log_parameter(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, _run_id(body))
    _log_params(context, run, {_text(body, "key"): str(body.get("value", ""))})
    return scope.answer({})


def set_tag(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, _run_id(body))
    log(context.workspace.records, run.id, [], tags={_text(body, "key"): str(body.get("value", ""))})
    return scope.answer({})


def delete_tag(context: Context, call: Call) -> Response:
    body = call.json()
    run, key = run_of(context, _run_id(body)), _text(body, "key")

    def change(found: Run) -> Run:
        return msgspec.structs.replace(found, tags={name: each for name, each in found.tags.items() if name != key})

    context.workspace.records.change(Run, run.id, change)
    return scope.answer({})


def log_batch(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, _run_id(body))
    params = _pairs(body, "params")
    _check_params(run, params)
    points = [_point(each) for each in _list(body, "metrics")]
    log(context.workspace.records, run.id, points, tags=_pairs(body, "tags"), params=params)
    return scope.answer({})


def log_inputs(context: Context, call: Call) -> Response:
    """Take the data sets of a run. They are not kept."""
    run_of(context, _run_id(call.json()))
    return scope.answer({})


def get_history(context: Context, call: Call) -> Response:
    run = run_of(context, call.query.get("run_id") or call.query.get("run_uuid") or "")
    key = call.query.get("metric_key", "")
    points = context.workspace.records.all(Logged, f"{run.id}/{key}")
    return scope.answer({"metrics": [{"key": key, **msgspec.to_builtins(each.point)} for each in points]})


def run_of(context: Context, name: str) -> Run:
    """Return the run of that id; a job has one from its beginning."""
    records = context.workspace.records
    found = records.find(Run, name.lower())
    if found is None and (job := job_of_run(context, name)):
        found = run_of_job(records, job)
    if found is None:
        raise _missing(f"Run {name[:255]!r} not found.")
    return found


def job_of_run(context: Context, name: str) -> Job | None:
    """Return the job of a run: one of the workspace, or a node of a pipeline job."""
    records = context.workspace.records
    if job := records.find(Job, f"jobs/{name}".lower()):
        return job
    run = records.find(Run, name.lower())
    parent = run.tags.get("mlflow.parentRunId") if run else None
    return records.find(Job, f"jobs/{parent}/nodes/{name}".lower()) if parent else None


def _shown(context: Context, call: Call, run: Run) -> dict[str, Any]:
    job = job_of_run(context, run.name)
    status, ended = run.status, run.ended
    if job:
        status = STATUS.get(job.status, "RUNNING" if job.begun else "SCHEDULED")
        ended = int(job.ended.timestamp() * 1000) if job.ended else None
    info: dict[str, Any] = {
        "run_id": run.name,
        "run_uuid": run.name,
        "run_name": run.title,
        "experiment_id": _id(_experiment_record(context, run.parent)),
        "user_id": run.user,
        "status": status,
        "start_time": run.started,
        "artifact_uri": _artifact_uri(context, call, run),
        "lifecycle_stage": "deleted" if run.deleted else "active",
    }
    if ended is not None:
        info["end_time"] = ended
    metrics = _metrics(context, run, job)
    data = {
        "metrics": [{"key": key, **msgspec.to_builtins(point)} for key, point in metrics.items()],
        "params": [{"key": key, "value": value} for key, value in run.params.items()],
        "tags": [{"key": key, "value": value} for key, value in run.tags.items()],
    }
    return {"info": info, "data": data}


def _metrics(context: Context, run: Run, job: Job | None) -> dict[str, Point]:
    """Return the latest values, which may be NaN on order, or late."""
    names, faults = (run.name, run.id), context.faults
    if not faults.any:
        return run.metrics
    if job and (late := faults.strike("late metrics", names)):
        shown_from = job.ended.timestamp() + late.delay if job.ended else None
        if shown_from is None or time.time() < shown_from:
            return {}
    if faults.strike("nan metrics", names):
        return {name: msgspec.structs.replace(point, value="NaN") for name, point in run.metrics.items()}
    return run.metrics


def _artifact_uri(context: Context, call: Call, run: Run) -> str:
    """Return where artifacts go: MLflow's plug-in has a repository of its own, and asks by the second release."""
    if call.names["release"] == "v1.0":
        return f"mlflow-artifacts:/{prefix_of(run.name)}"
    host = call.base.partition("://")[2]
    experiment = _id(_experiment_record(context, run.parent))
    return f"azureml://{host}/mlflow/v2.0{context.workspace.id}/experiments/{experiment}/runs/{run.name}/artifacts"


def _log_params(context: Context, run: Run, params: dict[str, str]) -> None:
    _check_params(run, params)
    log(context.workspace.records, run.id, [], params=params)


def _check_params(run: Run, params: dict[str, str]) -> None:
    for name, value in params.items():
        if run.params.get(name, value) != value:
            message = f"The param {name[:80]!r} of run {run.name} has the value {run.params[name][:80]!r} already."
            raise bad_request(message, name)


def _point(given: Any) -> tuple[str, Point]:
    if not isinstance(given, dict):
        raise bad_request("A metric must be an object.", "metrics")
    try:
        value = value_of(given.get("value"))
        stamp, step = int(given.get("timestamp") or milliseconds()), int(given.get("step") or 0)
    except (TypeError, ValueError, OverflowError):
        raise bad_request(
            f"The metric {str(given.get('key'))[:80]!r} has a value that is not a number.", "value"
        ) from None
    return _text(given, "key"), Point(value=value, timestamp=stamp, step=step)


def _pairs(body: dict[str, Any], name: str) -> dict[str, str]:
    found = {}
    for each in _list(body, name):
        if not isinstance(each, dict):
            raise bad_request(f"Each of {name!r} must be an object with a key.", name)
        found[_text(each, "key")] = str(each.get("value", ""))
    return found


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise bad_request(f"{name!r} must be a list.", name)
    return value


def _page(body: dict[str, Any]) -> tuple[int, int]:
    token, size = str(body.get("page_token") or "0"), body.get("max_results") or PAGE
    if not (token.isascii() and token.isdigit() and len(token) < 12 and isinstance(size, int) and size > 0):
        raise bad_request("'page_token' or 'max_results' is not one that this server gave or takes.", "page_token")
    return int(token), min(size, PAGE)


def _run_id(body: dict[str, Any]) -> str:
    return _text(body, "run_id" if body.get("run_id") else "run_uuid")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"Missing value for required parameter '{name}'.", name)
    return value


def _experiments(context: Context) -> list[Experiment]:
    return context.workspace.records.all(Experiment, Experiment.PARENT)


def _find_experiment(context: Context, name: str) -> Experiment | None:
    return context.workspace.records.named(Experiment, Experiment.PARENT, name)


def _experiment(context: Context, number: str) -> Experiment:
    if number == "0":
        return experiment_of(context.workspace.records, "Default")
    for each in _experiments(context):
        if _id(each) == number:
            return each
    raise _missing(f"Could not find experiment with ID {number[:80]!r}.")


def _experiment_record(context: Context, record_id: str) -> Experiment:
    found = context.workspace.records.find(Experiment, record_id)
    assert found is not None, "experiments are not deleted"
    return found


def _id(experiment: Experiment) -> str:
    return experiment.number


def _shown_experiment(experiment: Experiment) -> dict[str, Any]:
    times = {"creation_time": experiment.created, "last_update_time": experiment.created}
    place = {"artifact_location": "mlflow-artifacts:/", "lifecycle_stage": "active"}
    return {"experiment_id": _id(experiment), "name": experiment.name, "tags": [], **place, **times}


def _missing(message: str) -> ArmError:
    return ArmError(404, "RESOURCE_DOES_NOT_EXIST", message)


_MLFLOW = f"{BASE}/mlflow"
ADDRESSES = [
    ("mlflow.experiments", "POST", f"{_MLFLOW}/experiments/create", create_experiment),
    ("mlflow.experiments", "GET", f"{_MLFLOW}/experiments/get", get_experiment),
    ("mlflow.experiments", "GET", f"{_MLFLOW}/experiments/get-by-name", get_experiment_by_name),
    ("mlflow.experiments", "POST", f"{_MLFLOW}/experiments/search", search_experiments),
    ("mlflow.experiments", "GET", f"{_MLFLOW}/experiments/search", search_experiments),
    ("mlflow.runs", "POST", f"{_MLFLOW}/runs/create", create_run),
    ("mlflow.runs", "GET", f"{_MLFLOW}/runs/get", get_run),
    ("mlflow.runs", "POST", f"{_MLFLOW}/runs/update", update_run),
    ("mlflow.runs", "POST", f"{_MLFLOW}/runs/delete", delete_run),
    ("mlflow.runs", "POST", f"{_MLFLOW}/runs/search", search_runs),
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/log-metric", log_metric),
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/log-parameter", log_parameter),
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/log-batch", log_batch),
    ("mlflow.log", "POST", f"{BASE}/preview/mlflow/runs/log-batch-async", log_batch),  # of the plug-in
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/log-inputs", log_inputs),
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/set-tag", set_tag),
    ("mlflow.log", "POST", f"{_MLFLOW}/runs/delete-tag", delete_tag),
    ("mlflow.metrics", "GET", f"{_MLFLOW}/metrics/get-history", get_history),
]
