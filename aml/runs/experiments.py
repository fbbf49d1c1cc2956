"""MLflow's experiments: their names, numbers and tags."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from aml.addresses import below
from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.runs.filters import Facts, read_filter, read_order
from aml.runs.protocol import BASE, asked, listed, missing, page, pairs, position, taken, text, texts
from aml.state.runs import Experiment, experiment_of


def create(context: Context, call: Call) -> Response:
    body = call.json()
    name, tags = text(body, "name"), pairs(body, "tags")
    if _named(context, name):
        raise taken(f"Experiment {name[:255]!r} already exists.")
    made = experiment_of(context.workspace.records, name)
    if tags:
        _tag(context, made, tags)
    return scope.answer({"experiment_id": made.number})


def get(context: Context, call: Call) -> Response:
    return scope.answer({"experiment": _shown(numbered(context, call.query.get("experiment_id", "")))})


def get_by_name(context: Context, call: Call) -> Response:
    name = call.query.get("experiment_name", "")
    found = _named(context, name)
    if found is None:
        raise missing(f"Could not find experiment with name {name[:255]!r}.")
    return scope.answer({"experiment": _shown(found)})


def search(context: Context, call: Call) -> Response:
    body = asked(call)
    holds = read_filter(str(body.get("filter") or ""))
    ordered = read_order(texts(body, "order_by"), _facts)
    start, size = position(body)
    found = ordered([each for each in reversed(_all(context)) if holds(_facts(each))])
    shown = [_shown(each) for each in found[start : start + size]]
    return page("experiments", shown, start + size if len(found) > start + size else None)


def set_tag(context: Context, call: Call) -> Response:
    body = call.json()
    _tag(context, numbered(context, text(body, "experiment_id")), {text(body, "key"): str(body.get("value", ""))})
    return scope.answer({})


def numbered(context: Context, number: str) -> Experiment:
    """Return the experiment of that number. 0 is the one of programs that name none."""
    if number == "0":
        return experiment_of(context.workspace.records, "Default")
    for each in _all(context):
        if each.number == number:
            return each
    raise missing(f"Could not find experiment with ID {number[:80]!r}.")


def several(context: Context, numbers: list[Any]) -> list[str]:
    """Return the ids of the records of these experiments, of all where none is named."""
    known = {each.number: each.id for each in _all(context)}
    wanted = dict.fromkeys(map(str, numbers)) or known
    return [known.get(number) or numbered(context, number).id for number in wanted]


def _tag(context: Context, experiment: Experiment, tags: dict[str, str]) -> None:
    def change(found: Experiment) -> Experiment:
        return msgspec.structs.replace(found, tags={**found.tags, **tags})

    context.workspace.records.change(Experiment, experiment.id, change)


def _all(context: Context) -> list[Experiment]:
    return context.workspace.records.all(Experiment, Experiment.PARENT)


def _named(context: Context, name: str) -> Experiment | None:
    return context.workspace.records.named(Experiment, Experiment.PARENT, name)


def _facts(experiment: Experiment) -> Facts:
    times = {"creation_time": experiment.created, "last_update_time": experiment.created}
    known: dict[str, Any] = {"name": experiment.name, "experiment_id": experiment.number, **times}
    return lambda group, name: {"attributes": known, "tags": experiment.tags}.get(group, {}).get(name)


def _shown(experiment: Experiment) -> dict[str, Any]:
    times = {"creation_time": experiment.created, "last_update_time": experiment.created}
    place = {"artifact_location": "mlflow-artifacts:/", "lifecycle_stage": "active"}
    return {
        "experiment_id": experiment.number,
        "name": experiment.name,
        "tags": listed(experiment.tags),
        **place,
        **times,
    }


ADDRESSES = below(
    f"{BASE}/mlflow/experiments",
    "mlflow.experiments",
    ("POST", "create", create),
    ("GET", "get", get),
    ("GET", "get-by-name", get_by_name),
    ("POST", "search", search),
    ("GET", "search", search),
    ("POST", "set-experiment-tag", set_tag),
)
