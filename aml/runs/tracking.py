"""MLflow's tracking by REST, as far as its client uses it: runs, metrics, params and tags."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.responses import Response

from aml.addresses import below
from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.runs import logged_models
from aml.runs.experiments import numbered, several
from aml.runs.filters import Facts, read_filter, read_order
from aml.runs.protocol import BASE, items, listed, page, pairs, position, run_id, text, texts
from aml.runs.views import RunView, run_of
from aml.state.runs import Logged, OtherParam, Point, Run, RunInputs, log, milliseconds, value_of
from service.keys import new_id

_MODELS = "mlflow.log-model.history"  #: the tag in which MLflow 2 describes the models of a run
_VIEWS = {"ACTIVE_ONLY": (False,), "DELETED_ONLY": (True,), "ALL": (False, True)}


def create_run(context: Context, call: Call) -> Response:
    body = call.json()
    experiment = numbered(context, text(body, "experiment_id"))
    name = new_id()
    tags = pairs(body, "tags")
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
    return scope.answer({"run": RunView(context, call, run).shown()})


def get_run(context: Context, call: Call) -> Response:
    run = run_of(context, call.query.get("run_id") or call.query.get("run_uuid") or "")
    return scope.answer({"run": RunView(context, call, run).shown()})


def update_run(context: Context, call: Call) -> Response:
    """Change the run. How a job went says the job alone."""
    body = call.json()
    found = run_of(context, run_id(body))
    title = str(body.get("run_name") or "")
    changes: dict[str, Any] = {"title": title} if title else {}
    tags = {"mlflow.runName": title} if title else {}
    if status := body.get("status"):
        changes["status"] = str(status)
    if isinstance(body.get("end_time"), int):
        changes["ended"] = body["end_time"]

    def change(run: Run) -> Run:
        return msgspec.structs.replace(run, tags={**run.tags, **tags}, **changes)

    changed = context.workspace.records.change(Run, found.id, change)
    return scope.answer({"run_info": RunView(context, call, changed or found).shown()["info"]})


def delete_run(context: Context, call: Call) -> Response:
    return _deleted(context, call, True)


def restore_run(context: Context, call: Call) -> Response:
    return _deleted(context, call, False)


def _deleted(context: Context, call: Call, deleted: bool) -> Response:
    found = run_of(context, run_id(call.json()))
    context.workspace.records.change(Run, found.id, lambda run: msgspec.structs.replace(run, deleted=deleted))
    return scope.answer({})


def search_runs(context: Context, call: Call) -> Response:
    """Answer a page of the runs that the filter wants, the newest first. Another order needs them all."""
    body = call.json()
    experiments = several(context, items(body, "experiment_ids"))
    holds, order = read_filter(str(body.get("filter") or "")), texts(body, "order_by")
    ordered = read_order(order, _facts)
    shown = _VIEWS.get(str(body.get("run_view_type") or "ACTIVE_ONLY"), (False,))
    after, size = position(body)
    views: dict[str, RunView] = {}  # what a filter has read of a run is not read again

    def wanted(run: Run) -> bool:
        view = views[run.id] = RunView(context, call, run)
        if run.deleted in shown and holds(view.fact):
            return True
        del views[run.id]
        return False

    page_of = context.workspace.records.page
    if not order:
        found, following = page_of(Run, experiments, wanted, after, size, newest_first=True)
        return page("runs", [views[run.id].shown() for run in found], following)
    found, _ = page_of(Run, experiments, wanted, 0, None, newest_first=True)
    runs = ordered([views[run.id] for run in found])
    following = after + size if len(runs) > after + size else None
    return page("runs", [view.shown() for view in runs[after : after + size]], following)


def _facts(view: RunView) -> Facts:
    return view.fact


def log_metric(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, run_id(body))
    _log(context, run, [body], {}, {})
    return scope.answer({})


def log_parameter(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, run_id(body))
    _log(context, run, [], {text(body, "key"): str(body.get("value", ""))}, {})
    return scope.answer({})


def set_tag(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, run_id(body))
    _log(context, run, [], {}, {text(body, "key"): str(body.get("value", ""))})
    return scope.answer({})


def delete_tag(context: Context, call: Call) -> Response:
    body = call.json()
    run, key = run_of(context, run_id(body)), text(body, "key")

    def change(found: Run) -> Run:
        return msgspec.structs.replace(found, tags={name: each for name, each in found.tags.items() if name != key})

    context.workspace.records.change(Run, run.id, change)
    return scope.answer({})


def log_batch(context: Context, call: Call) -> Response:
    body = call.json()
    run = run_of(context, run_id(body))
    _log(context, run, items(body, "metrics"), pairs(body, "params"), pairs(body, "tags"))
    return scope.answer({})


def log_inputs(context: Context, call: Call) -> Response:
    """Add data sets and logged models to what the run has used. A call may come again."""
    body = call.json()
    run = run_of(context, run_id(body))
    datasets = [_dataset(each) for each in items(body, "datasets")]
    models = [logged_models.of(context, each).id for each in _model_ids(body)]
    records = context.workspace.records
    records.find_or_make(RunInputs, run.id, lambda: RunInputs(id=run.id, parent=run.parent))

    def change(found: RunInputs) -> RunInputs:
        fresh = [each for each in datasets if each not in found.datasets]
        return msgspec.structs.replace(
            found, datasets=[*found.datasets, *fresh], models=list(dict.fromkeys([*found.models, *models]))
        )

    records.change(RunInputs, run.id, change)
    return scope.answer({})


def _dataset(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(dataset := given.get("dataset"), dict):
        raise bad_request("A data set must be an object 'dataset', and tags.", "datasets")
    kept = {name: text(dataset, name) for name in ("name", "digest", "source_type", "source")}
    more = {name: text(dataset, name) for name in ("schema", "profile") if dataset.get(name)}
    return {"dataset": {**kept, **more}, "tags": listed(pairs(given, "tags"))}


def _model_ids(body: dict[str, Any]) -> list[str]:
    given = items(body, "models")
    if not all(isinstance(each, dict) for each in given):
        raise bad_request("A model must be an object with its id.", "models")
    return [text(each, "model_id") for each in given]


def log_outputs(context: Context, call: Call) -> Response:
    """Add models to what the run has logged."""
    body = call.json()
    run = run_of(context, run_id(body))
    steps = [_whole(each, "step", 0) for each in items(body, "models") if isinstance(each, dict)]
    models = dict(zip([logged_models.of(context, each).id for each in _model_ids(body)], steps, strict=True))
    context.workspace.records.change(
        Run, run.id, lambda found: msgspec.structs.replace(found, models={**found.models, **models})
    )
    return scope.answer({})


def log_model(context: Context, call: Call) -> Response:
    """Add MLflow 2's description of a model to those of the run."""
    body = call.json()
    run, described = run_of(context, run_id(body)), _parsed(text(body, "model_json"))
    if not isinstance(described, dict):
        raise bad_request("'model_json' must be the JSON of an object.", "model_json")

    def change(found: Run) -> Run:
        known = _described(found)
        models = known if described in known else [*known, described]
        return msgspec.structs.replace(found, tags={**found.tags, _MODELS: json.dumps(models)})

    context.workspace.records.change(Run, run.id, change)
    return scope.answer({})


def _described(run: Run) -> list[Any]:
    """Return what the tag has; anybody may have written it."""
    known = _parsed(run.tags.get(_MODELS, ""))
    return known if isinstance(known, list) else []


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def get_history(context: Context, call: Call) -> Response:
    run = run_of(context, call.query.get("run_id") or call.query.get("run_uuid") or "")
    key = call.query.get("metric_key", "")
    after, size = position(call.query)
    most = size if call.query.get("max_results") else None  # who names no number asks for no other page
    found, following = context.workspace.records.page(Logged, f"{run.id}/{key}", lambda _: True, after, most)
    return page("metrics", [{"key": key, **msgspec.to_builtins(each.point)} for each in found], following)


def _log(context: Context, run: Run, metrics: list[Any], params: dict[str, str], tags: dict[str, str]) -> None:
    """Add to what the run has logged, all or nothing of what is given; metrics also to the models that they are of."""
    logged = [_point(each) for each in metrics]
    models = {each["model_id"] for each in metrics if each.get("model_id")}
    of_models = {
        logged_models.of(context, str(model)).id: [
            point for each, point in zip(metrics, logged, strict=True) if each.get("model_id") == model
        ]
        for model in models
    }
    try:
        log(context.workspace.records, run.id, logged, params=params, tags=tags)
    except OtherParam as other:
        message = f"The param {other.name[:80]!r} of run {run.name} has the value {other.value[:80]!r} already."
        raise bad_request(message, other.name) from None
    for model, of_model in of_models.items():
        logged_models.log_metrics(context, model, of_model)


def _point(given: Any) -> tuple[str, Point]:
    if not isinstance(given, dict) or not isinstance(given.get("model_id") or "", str):
        raise bad_request("A metric must be an object, and its model_id a text.", "metrics")
    try:
        value = value_of(given.get("value"))
        stamp, step = _whole(given, "timestamp", milliseconds()), _whole(given, "step", 0)
    except (TypeError, ValueError, OverflowError):
        raise bad_request(
            f"The metric {str(given.get('key'))[:80]!r} has a value that is not a number.", "value"
        ) from None
    return text(given, "key"), Point(value=value, timestamp=stamp, step=step)


def _whole(given: dict[str, Any], name: str, otherwise: int) -> int:
    try:
        number = int(given.get(name) or otherwise)
    except (TypeError, ValueError, OverflowError):
        number = 1 << 64
    if abs(number) >> 63:
        raise bad_request(f"{name!r} must be a whole number of 64 bits.", name)
    return number


_RUNS = f"{BASE}/mlflow/runs"
ADDRESSES = [
    *below(
        _RUNS,
        "mlflow.runs",
        ("POST", "create", create_run),
        ("GET", "get", get_run),
        ("POST", "update", update_run),
        ("POST", "delete", delete_run),
        ("POST", "restore", restore_run),
        ("POST", "search", search_runs),
    ),
    *below(
        _RUNS,
        "mlflow.log",
        ("POST", "log-metric", log_metric),
        ("POST", "log-parameter", log_parameter),
        ("POST", "log-batch", log_batch),
        ("POST", "log-inputs", log_inputs),
        ("POST", "outputs", log_outputs),
        ("POST", "log-model", log_model),
        ("POST", "set-tag", set_tag),
        ("POST", "delete-tag", delete_tag),
    ),
    ("mlflow.log", "POST", f"{BASE}/preview/mlflow/runs/log-batch-async", log_batch),  # of the plug-in
    ("mlflow.metrics", "GET", f"{BASE}/mlflow/metrics/get-history", get_history),
]
