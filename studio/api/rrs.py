"""The request-response service: POST {base}/execute scores rows at once; {base}/swagger.json describes it."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context
from studio.api.ports import global_parameters, invalid_inputs
from studio.api.swagger import document
from studio.errors import StudioError, bad_argument
from studio.learning.ilearner import TrainedModel
from studio.learning.scoring import APPEND, Table, score
from studio.state.records import Endpoint


class _Given(msgspec.Struct, frozen=True):
    """The rows of one input port."""

    columns: list[str]
    values: list[list[Any]]


def execute(context: Context, call: Call) -> Response:
    call.check_version("2.0")
    endpoint = context.endpoint(call)
    if endpoint.training:
        raise bad_argument(
            "WebServiceTypeInvalid",
            "This is a training web service: its models are made by batch jobs, not by requests.",
        )
    if call.at_once > endpoint.max_concurrent_calls:
        raise StudioError(
            "ServiceUnavailable",
            "RequestThrottled",
            f"Request was throttled for {endpoint.name} endpoint. "
            f"The maximum concurrency for the endpoint is {endpoint.max_concurrent_calls}.",
        )
    body = call.json()
    append = global_parameters(endpoint, body.get("GlobalParameters")).get(APPEND, "True").lower() != "false"
    swagger, details = call.choice("format", "swagger") == "swagger", call.choice("details", "true", "false") == "true"
    given, now, results = _inputs(endpoint, body, swagger), time.time(), {}
    for scorer in endpoint.scorers:
        model = context.studio.models.load(scorer.resource.serving(now))
        rows = given[scorer.input]
        table = _scored(model, rows, append)
        results[scorer.output] = _rows(table) if swagger else {"type": "table", "value": _value(table, details)}
    return _answer({"Results": results})


def describe(context: Context, call: Call) -> Response:
    """Answer the swagger document, to whoever asks."""
    endpoint = context.open_endpoint(call)
    return JSONResponse(document(context.studio, endpoint, call.base))


ADDRESSES = [
    ("rrs.execute", "POST", "/execute", execute),
    ("rrs.swagger", "GET", "/swagger.json", describe),
]


def _scored(model: TrainedModel, rows: _Given, append: bool) -> Table:
    try:
        return score(model, rows.columns, rows.values, append)
    except ValueError as error:
        # What the learner cannot take, as a number beyond its range, is known to the learner alone.
        message = f"Module execution encountered an internal library error: {str(error)[:200]}"
        raise StudioError("LibraryExecutionError", "LibraryExecutionError", message) from None


def _answer(body: Any) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _value(table: Table, details: bool) -> dict[str, Any]:
    names = {"ColumnNames": table.columns, "ColumnTypes": table.types} if details else {}
    return {**names, "Values": table.values}


def _rows(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.values]


def _inputs(endpoint: Endpoint, body: dict[str, Any], swagger: bool) -> dict[str, _Given]:
    inputs = body.get("Inputs")
    if not isinstance(inputs, dict):
        raise bad_argument("MissingRequestInput", "The request has no Inputs.")
    if unknown := sorted(set(inputs) - set(endpoint.inputs)):
        raise invalid_inputs(unknown)
    return {name: _read(name, inputs, swagger) for name in endpoint.inputs}


def _read(name: str, inputs: dict[str, Any], swagger: bool) -> _Given:
    if name not in inputs:
        raise bad_argument(
            "MissingRequestInput",
            f"The web service expects the input {name!r}, but no input of that name was provided; it has: "
            f"{', '.join(inputs) or 'none'}.",
            name,
        )
    given = inputs[name]
    if isinstance(given, dict) and swagger:
        given = [given]
    try:
        if swagger:
            rows = msgspec.convert(given, list[dict[str, Any]])
            columns = list(dict.fromkeys(column for row in rows for column in row))
            read = _Given(columns, [[row.get(column) for column in columns] for row in rows])
        else:
            read = _Given(
                msgspec.convert(given["ColumnNames"], list[str]), msgspec.convert(given["Values"], list[list[Any]])
            )
    except (msgspec.ValidationError, KeyError, TypeError):
        form = "a list of rows" if swagger else "a table with ColumnNames and Values"
        raise StudioError("BadUserArgument", "InputParseError", f"The input {name!r} is no {form}.", name) from None
    if len(set(read.columns)) != len(read.columns):
        twice = next(column for column in read.columns if read.columns.count(column) > 1)
        raise StudioError("BadUserArgument", "InputMismatchError", f"The column {twice!r} is there twice.", name)
    return read
