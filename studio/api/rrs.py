"""The request-response service: POST {base}/execute scores rows at once; {base}/swagger.json describes it.

POST {base}/score and /scoremultirow are the version before it: one row of `FeatureVector`, answered as a list of texts,
or as a list of such lists.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api.casing import cased
from studio.api.context import Call, Context
from studio.api.ports import by_name, global_parameters, invalid_inputs
from studio.api.swagger import document
from studio.errors import StudioError, bad_argument
from studio.learning.scoring import APPEND, Table, score
from studio.state.records import Endpoint

if TYPE_CHECKING:  # a server starts without the libraries of learning
    from studio.learning.ilearner import TrainedModel


class _Request(msgspec.Struct, rename="pascal"):
    """The body of an execution, whose members may be named in any case. Port and column names may not."""

    inputs: dict[str, Any] | None = None
    global_parameters: Any = None


class _Columns(msgspec.Struct, rename="pascal"):
    """A table as the request gives it."""

    column_names: list[str]
    values: list[list[Any]]


class _Instance(msgspec.Struct, rename="pascal"):
    feature_vector: dict[str, Any] | None = None
    global_parameters: Any = None


class _Score(msgspec.Struct, rename="pascal"):
    """The body of the version before."""

    instance: _Instance | None = None


class _Given(msgspec.Struct, frozen=True):
    """The rows of one input port."""

    columns: list[str]
    values: list[list[Any]]


def execute(context: Context, call: Call) -> Response:
    call.check_version("2.0")
    endpoint = _endpoint(context, call)
    body = call.members(_Request)
    append = _appends(endpoint, body)
    swagger, details = call.choice("format", "swagger") == "swagger", call.choice("details", "true", "false") == "true"
    tables = _score(context, endpoint, _inputs(endpoint, body, swagger), append)
    results = {
        name: _rows(table) if swagger else {"type": "table", "value": _value(table, details)}
        for name, table in tables.items()
    }
    return _answer({"Results": results})


def score_row(context: Context, call: Call) -> Response:
    return _answer(_scored_row(context, call))


def score_row_as_table(context: Context, call: Call) -> Response:
    return _answer([_scored_row(context, call)])


def describe(context: Context, call: Call) -> Response:
    """Answer the swagger document, without a check of the key."""
    endpoint = context.open_endpoint(call)
    return JSONResponse(document(context.studio, endpoint, call.base))


ADDRESSES = [
    ("rrs.execute", "POST", "/execute", execute),
    ("rrs.execute", "POST", "/score", score_row),
    ("rrs.execute", "POST", "/scoremultirow", score_row_as_table),
    ("rrs.swagger", "GET", "/swagger.json", describe),
]


def _endpoint(context: Context, call: Call) -> Endpoint:
    """Return the endpoint, if it scores and has a place for this call."""
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
    return endpoint


def _appends(endpoint: Endpoint, given: dict[str, Any]) -> bool:
    """Return whether the row's own columns are answered too."""
    return global_parameters(endpoint, given.get("GlobalParameters")).get(APPEND, "True").lower() != "false"


def _scored_row(context: Context, call: Call) -> list[str]:
    """Return the one row that the version before takes, with its scores, as texts."""
    if "api-version" in call.query:
        call.check_version("1.0")
    endpoint = _endpoint(context, call)
    if len(endpoint.inputs) > 1 or len(endpoint.scorers) > 1:
        message = "The web service has several inputs or outputs; call /execute?api-version=2.0."
        raise StudioError("InvalidOperation", "MultipleInputsNotAllowed", message)
    given = call.members(_Score).get("Instance")
    instance = given if isinstance(given, dict) else {}
    row = by_name(instance.get("FeatureVector"), "FeatureVector", "MissingRequestInput")
    if not row:
        raise bad_argument("MissingRequestInput", "The request has no Instance with a FeatureVector.")
    append = _appends(endpoint, instance)
    given_rows = _Given(list(row), [list(row.values())])
    [table] = _score(context, endpoint, {endpoint.inputs[0]: given_rows}, append).values()
    return table.values[0]


def _score(context: Context, endpoint: Endpoint, given: dict[str, _Given], append: bool) -> dict[str, Table]:
    """Return what each output port gives."""
    now, tables = time.time(), {}
    for scorer in endpoint.scorers:
        model = context.studio.models.load(scorer.resource.serving(now))
        tables[scorer.output] = _scored(model, given[scorer.input], append)
    return tables


def _scored(model: TrainedModel, rows: _Given, append: bool) -> Table:
    if not rows.values and not rows.columns:  # a list of no rows names no columns
        return Table([], [], [])
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
        message = "The request has no Inputs: an object with a table for each of the service's inputs."
        raise bad_argument("MissingRequestInput", f"{message} They are: {', '.join(endpoint.inputs)}.")
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
    try:
        read = _read_rows(inputs[name]) if swagger else _read_table(inputs[name])
    except msgspec.ValidationError as error:
        form = "a list of rows" if swagger else "a table with ColumnNames and Values"
        message = f"The input {name!r} is not {form} ({error})."
        if not swagger and isinstance(inputs[name], list):
            message += " Rows as objects are read with format=swagger in the address."
        raise StudioError("BadUserArgument", "InputParseError", message, name) from None
    if len(set(read.columns)) != len(read.columns):
        twice = next(column for column in read.columns if read.columns.count(column) > 1)
        raise StudioError("BadUserArgument", "InputMismatchError", f"The column {twice!r} is there twice.", name)
    return read


def _read_table(given: Any) -> _Given:
    table = msgspec.convert(cased(given, _Columns), _Columns)
    return _Given(table.column_names, table.values)


def _read_rows(given: Any) -> _Given:
    """Return the rows of a list of objects, or of one object."""
    if isinstance(given, dict):
        table = cased(given, _Columns)
        if table.keys() == {"ColumnNames", "Values"} and all(isinstance(each, list) for each in table.values()):
            raise msgspec.ValidationError("it is a table, which is read without format=swagger in the address")
        given = [given]
    rows = msgspec.convert(given, list[dict[str, Any]])
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return _Given(columns, [[row.get(column) for column in columns] for row in rows])
