"""The request-response service: POST {base}/execute scores rows at once; {base}/swagger.json describes it."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context
from studio.errors import StudioError, bad_argument, not_found
from studio.models import TrainedModel
from studio.publishing import serving
from studio.records import Endpoint
from studio.scoring import Table, input_types, score, scored_columns

INPUT, OUTPUT = "input1", "output1"


def execute(context: Context, call: Call) -> Response:
    call.check_version("2.0")
    endpoint = context.endpoint(call)
    body = call.json()
    swagger = call.query.get("format") == "swagger"
    model = _model(context, endpoint)
    columns, values = _rows(body, swagger)
    table = score(model, columns, values)
    if swagger:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.values]
        return JSONResponse({"Results": {OUTPUT: rows}})
    details = call.query.get("details") == "true"
    return JSONResponse({"Results": {OUTPUT: {"type": "table", "value": _value(table, details)}}})


def _value(table: Table, details: bool) -> dict[str, Any]:
    names = {"ColumnNames": table.columns, "ColumnTypes": table.types} if details else {}
    return {**names, "Values": table.values}


def _model(context: Context, endpoint: Endpoint) -> TrainedModel:
    if endpoint.resource is None:
        raise bad_argument(
            "WebServiceTypeInvalid",
            "This is a training web service: its models are made by batch jobs, not by requests.",
        )
    return context.studio.models.load(serving(endpoint.resource))


def _rows(body: dict[str, Any], swagger: bool) -> tuple[list[str], list[list[Any]]]:
    inputs = body.get("Inputs")
    if not isinstance(inputs, dict) or INPUT not in inputs:
        raise bad_argument("MissingRequestInput", f"The request has no input {INPUT!r}.", INPUT)
    if unknown := sorted(set(inputs) - {INPUT}):
        raise invalid_inputs(unknown)
    given = inputs[INPUT]
    try:
        if swagger:
            rows = [given] if isinstance(given, dict) else list(given)
            columns = list(rows[0]) if rows else []
            return columns, [[row.get(name) for name in columns] for row in rows]
        return [str(name) for name in given["ColumnNames"]], [list(row) for row in given["Values"]]
    except (KeyError, TypeError, AttributeError):
        raise StudioError(
            "BadUserArgument", "InputParseError", f"The input {INPUT!r} is no table with ColumnNames and Values.", INPUT
        ) from None


def invalid_inputs(names: list[str]) -> StudioError:
    return bad_argument(
        "InvalidInputNames",
        f"Invalid service input name(s) specified in the request: {', '.join(names)}. "
        "Please map the input data to the correct service inputs and try again.",
        names[0],
    )


def swagger(context: Context, call: Call) -> Response:
    endpoint = context.studio.records.get(Endpoint, call.names["endpoint"])
    if endpoint.resource is None:
        raise not_found("WebServiceNotFound", "A training web service has no request-response API to describe.")
    manifest = context.studio.models.load(serving(endpoint.resource)).manifest
    columns = [*(feature.name for feature in manifest.features), manifest.label]
    types = dict(zip(columns, input_types(manifest, columns), strict=True))
    base = call.base
    scheme, _, host = base.partition("://")
    return JSONResponse(
        {
            "swagger": "2.0",
            "info": {
                "version": "2.0",
                "title": f"{manifest.experiment} [Predictive Exp.]",
                "description": "No description provided for this Web service.",
                "x-endpoint-name": endpoint.name,
            },
            "host": host,
            "basePath": call.path.removesuffix("/swagger.json"),
            "schemes": [scheme],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "paths": _paths(),
            "definitions": _definitions(types, {**types, **scored_columns(manifest)}),
        }
    )


def _paths() -> dict[str, Any]:
    def post(operation: str, summary: str, request: str, response: dict[str, Any]) -> dict[str, Any]:
        body = {"name": "request", "in": "body", "required": True, "schema": {"$ref": f"#/definitions/{request}"}}
        answers = {"200": {"description": "Success", "schema": response}}
        return {"post": {"summary": summary, "operationId": operation, "parameters": [body], "responses": answers}}

    document = {"200": {"description": "Success", "schema": {"type": "object"}}}
    return {
        "/swagger.json": {
            "get": {
                "summary": "Get swagger API document for the Web service",
                "operationId": "getSwaggerDocument",
                "responses": document,
            }
        },
        "/execute?api-version=2.0&format=swagger": post(
            "execute", "Score rows at once", "ExecutionRequest", {"$ref": "#/definitions/ExecutionResponse"}
        ),
        "/jobs?api-version=2.0": post("createJob", "Create a batch job", "JobRequest", {"type": "string"}),
    }


def _definitions(inputs: dict[str, str], outputs: dict[str, str]) -> dict[str, Any]:
    kinds = {"Double": {"type": "number", "format": "double"}, "String": {"type": "string"}}

    def item(types: dict[str, str]) -> dict[str, Any]:
        return {"type": "object", "properties": {name: kinds[kind] for name, kind in types.items()}}

    def ports(name: str, item_name: str) -> dict[str, Any]:
        rows = {"type": "array", "items": {"$ref": f"#/definitions/{item_name}"}}
        return {"type": "object", "properties": {name: rows}}

    example = {name: 0 if kind == "Double" else "value" for name, kind in inputs.items()}
    return {
        "ExecutionRequest": {
            "type": "object",
            "properties": {"Inputs": ports(INPUT, "input1Item"), "GlobalParameters": {"type": "object"}},
            "example": {"Inputs": {INPUT: [example]}, "GlobalParameters": {}},
        },
        "ExecutionResponse": {"type": "object", "properties": {"Results": ports(OUTPUT, "output1Item")}},
        "JobRequest": {
            "type": "object",
            "properties": {name: {"type": "object"} for name in ("Inputs", "Outputs", "GlobalParameters")},
        },
        "input1Item": item(inputs),
        "output1Item": item(outputs),
    }
