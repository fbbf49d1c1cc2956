"""The models that MLflow 3 logs: each is a resource of an experiment, with its files beside those of its run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.runs.experiments import numbered, several
from aml.runs.filters import Facts, read_filter, read_order
from aml.runs.protocol import BASE, items, listed, missing, page, pairs, position, text
from aml.runs.views import artifact_uri, points, run_of
from aml.state.runs import Experiment, LoggedModel, ModelFolder, Point, Run, artifacts_of, latest, milliseconds
from aml.state.workspace import LOGS
from service.keys import new_id

Handler = Callable[[Context, Call], Response]

_NAME = re.compile(r"[^/:.%\"'\x00-\x1f]{1,255}")
_FINAL = ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")


def of(context: Context, model: str) -> LoggedModel:
    found = context.workspace.records.find(LoggedModel, model)
    if found is None:
        raise missing(f"Logged model with ID {model[:80]!r} not found.")
    return found


def log_metrics(context: Context, model: str, logged: list[tuple[str, Point]]) -> None:
    _change(context, model, lambda found: {"metrics": latest(found.metrics, logged)})


def _unless_ordered(handler: Handler) -> Handler:
    """Have the calls answered as the service does today, if that is ordered: it knows no logged models."""

    def answer(context: Context, call: Call) -> Response:
        run = call.json().get("source_run_id") if context.faults.any and call.body else None
        if context.faults.strike("no logged models", [*call.names.values(), str(run)]):
            return Response(b"", 404)
        return handler(context, call)

    return answer


def create(context: Context, call: Call) -> Response:
    """Make a model. The first of its name that a run logs is in the run's folder of that name, as in MLflow 2."""
    body = call.json()
    experiment = numbered(context, text(body, "experiment_id"))
    model = f"m-{new_id()}"
    name = str(body.get("name") or model)
    if not _NAME.fullmatch(name) or name in LOGS:
        raise bad_request(f"The model's name {name[:80]!r} is invalid. It has none of / : . % \" '.", "name")
    run = run_of(context, str(body["source_run_id"])) if body.get("source_run_id") else None
    moment = milliseconds()
    made = LoggedModel(
        id=model,
        parent=experiment.id,
        name=name,
        artifacts=_folder(context, run, name, model) if run else f"LocalUpload/{model}",
        created=moment,
        modified=moment,
        run=run.name if run else "",
        kind=str(body.get("model_type") or ""),
        tags=pairs(body, "tags"),
        params=pairs(body, "params"),
    )
    context.workspace.records.put(made)
    return _answered(context, call, made)


def _folder(context: Context, run: Run, name: str, model: str) -> str:
    """Return where the files of a run's model are: a folder is the first one's that comes."""
    folder = f"{artifacts_of(run.name)}{name}"
    mine = ModelFolder(id=folder, parent=model)
    first = context.workspace.records.find_or_make(ModelFolder, folder, lambda: mine)
    return folder if first is mine else f"{folder}-{model}"


def get(context: Context, call: Call) -> Response:
    return _answered(context, call, of(context, call.names["model"]))


def finalize(context: Context, call: Call) -> Response:
    status = text(call.json(), "status")
    if status not in _FINAL:
        raise bad_request(f"The status is {status[:80]!r}; it can be {' or '.join(_FINAL)}.", "status")
    return _answered(context, call, _change(context, call.names["model"], lambda _: {"status": status}))


def delete(context: Context, call: Call) -> Response:
    context.workspace.records.delete(of(context, call.names["model"]))
    return scope.answer({})


def log_params(context: Context, call: Call) -> Response:
    params = pairs(call.json(), "params")
    _change(context, call.names["model"], lambda found: {"params": {**found.params, **params}})
    return scope.answer({})


def set_tags(context: Context, call: Call) -> Response:
    tags = pairs(call.json(), "tags")
    changed = _change(context, call.names["model"], lambda found: {"tags": {**found.tags, **tags}})
    return _answered(context, call, changed)


def delete_tag(context: Context, call: Call) -> Response:
    key, model = call.names["key"], of(context, call.names["model"])
    if key not in model.tags:
        raise missing(f"No tag with key {key[:80]!r} found for model with ID {model.id!r}.")
    _change(context, model.id, lambda found: {"tags": {name: each for name, each in found.tags.items() if name != key}})
    return scope.answer({})


def search(context: Context, call: Call) -> Response:
    body = call.json()
    experiments = several(context, items(body, "experiment_ids"))
    holds, order = read_filter(str(body.get("filter") or "")), _order(body)
    after, size = position(body)
    page_of = context.workspace.records.page

    def wanted(model: LoggedModel) -> bool:
        return holds(_facts(model))

    if not order:
        found, following = page_of(LoggedModel, experiments, wanted, after, size, newest_first=True)
    else:
        known, _ = page_of(LoggedModel, experiments, wanted, 0, None, newest_first=True)
        ordered = read_order(order, _facts)(known)
        found, following = ordered[after : after + size], after + size if len(ordered) > after + size else None
    return page("models", [_shown(context, call, each) for each in found], following)


def _order(body: dict[str, Any]) -> list[str]:
    """Return the orders, each of which is an object here, as texts."""
    given = items(body, "order_by")
    if not all(isinstance(each, dict) for each in given):
        raise bad_request("Each of 'order_by' must be an object with a field_name.", "order_by")
    return [f"{text(each, 'field_name')}{' DESC' if each.get('ascending') is False else ''}" for each in given]


def _change(context: Context, model: str, changes: Any) -> LoggedModel:
    def change(found: LoggedModel) -> LoggedModel:
        return msgspec.structs.replace(found, modified=milliseconds(), **changes(found))

    changed = context.workspace.records.change(LoggedModel, model, change)
    return changed or of(context, model)


def _facts(model: LoggedModel) -> Facts:
    def fact(group: str, name: str) -> Any:
        if group == "metrics":
            point = model.metrics.get(name)
            return None if point is None else point.number
        if group != "attributes":
            return (model.params if group == "params" else model.tags).get(name)
        times = {"creation_timestamp": model.created, "creation_time": model.created}
        times |= {"last_updated_timestamp": model.modified, "last_updated_timestamp_ms": model.modified}
        known = {"name": model.name, "model_id": model.id, "source_run_id": model.run, "status": model.status}
        return {**known, **times, "model_type": model.kind}.get(name)

    return fact


def _shown(context: Context, call: Call, model: LoggedModel) -> dict[str, Any]:
    experiment = context.workspace.records.find(Experiment, model.parent)
    assert experiment is not None, "experiments are not deleted"
    if model.run:
        inner = model.artifacts.removeprefix(artifacts_of(model.run))
        place = f"{artifact_uri(context, call, experiment.number, model.run).rstrip('/')}/{inner}"
    else:
        place = f"mlflow-artifacts:/{model.artifacts}"
    info = {
        "model_id": model.id,
        "experiment_id": experiment.number,
        "name": model.name,
        "creation_timestamp_ms": model.created,
        "last_updated_timestamp_ms": model.modified,
        "artifact_uri": place,
        "status": model.status,
        "model_type": model.kind,
        "source_run_id": model.run,
        "tags": listed(model.tags),
    }
    of_model = {"model_id": model.id, "run_id": model.run}
    metrics = [{**each, **of_model} for each in points(model.metrics)]
    return {"info": info, "data": {"params": listed(model.params), "metrics": metrics}}


def _answered(context: Context, call: Call, model: LoggedModel) -> Response:
    return scope.answer({"model": _shown(context, call, model)})


_MODELS = f"{BASE}/mlflow/logged-models"
_MODEL = f"{_MODELS}/{{model}}"
_CALLS = [
    ("mlflow.models", "POST", _MODELS, create),
    ("mlflow.models", "POST", f"{_MODELS}/search", search),
    ("mlflow.models", "GET", _MODEL, get),
    ("mlflow.models", "PATCH", _MODEL, finalize),
    ("mlflow.models", "DELETE", _MODEL, delete),
    ("mlflow.models", "POST", f"{_MODEL}/params", log_params),
    ("mlflow.models", "PATCH", f"{_MODEL}/tags", set_tags),
    ("mlflow.models", "DELETE", f"{_MODEL}/tags/{{key}}", delete_tag),
]
ADDRESSES = [(operation, method, path, _unless_ordered(handler)) for operation, method, path, handler in _CALLS]
