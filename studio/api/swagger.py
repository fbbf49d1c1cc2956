"""The swagger document of an endpoint: what code generators and the R client read.

The R client takes the second path as the one to execute, and needs the example, `input1Item` and `output1Item`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from studio.api import ports
from studio.experiments.types import Experiment
from studio.learning.scoring import column_types, scored_columns
from studio.publishing import Studio
from studio.state.records import Endpoint, Service, WebService

_SCHEMA: dict[str, dict[str, str]] = {
    "Double": {"type": "number", "format": "double"},
    "Int32": {"type": "integer", "format": "int32"},
    "String": {"type": "string"},
}
_EXAMPLE: dict[str, Any] = {"Double": 1.0, "Int32": 1, "String": ""}


def document(studio: Studio, endpoint: Endpoint, base: str) -> dict[str, Any]:
    """Return the document; `base` is the address by which the caller reached this Studio."""
    scheme, _, host = base.partition("://")
    inputs, outputs = _columns(studio, endpoint)
    return {
        "swagger": "2.0",
        "info": {
            "version": "2.0",
            "title": _title(studio, endpoint),
            "description": "No description provided for this Web service.",
            "x-endpoint-name": endpoint.name,
        },
        "host": host,
        "basePath": studio.published(endpoint).path,
        "schemes": [scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "Bearer": {"type": "apiKey", "name": "Authorization", "in": "header", "description": "Bearer {api key}"}
        },
        "security": [{"Bearer": []}],
        "paths": _paths(bool(endpoint.training)),
        "definitions": _definitions(endpoint, inputs, outputs),
    }


def _title(studio: Studio, endpoint: Endpoint) -> str:
    if endpoint.parent.startswith("/"):
        return str(
            studio.records.get(WebService, endpoint.parent).definition["properties"].get("title") or endpoint.name
        )
    return studio.records.get(Service, endpoint.parent).name


Columns = dict[str, dict[str, str]]


def _columns(studio: Studio, endpoint: Endpoint) -> tuple[Columns, Columns]:
    """Return the columns of each input and output port with their types."""
    inputs: Columns = {}
    outputs: Columns = {}
    for scorer in endpoint.scorers:
        manifest = studio.models.load(scorer.resource.sha256).manifest
        columns = column_types(manifest, [column.name for column in manifest.columns])
        inputs[scorer.input] = {**inputs.get(scorer.input, {}), **columns}
        outputs[scorer.output] = {**columns, **scored_columns(manifest)}
    return inputs, outputs


def _paths(trains: bool) -> dict[str, Any]:
    get = {
        "/swagger.json": {
            "get": {
                "summary": "Get swagger API document for the Web service",
                "operationId": "getSwaggerDocument",
                "security": [],
                "responses": {"200": {"description": "Success", "schema": {"type": "object"}}},
            }
        }
    }
    execute = {
        "/execute?api-version=2.0&format=swagger": _post(
            "execute", "Score rows at once", "ExecutionRequest", {"$ref": "#/definitions/ExecutionResponse"}
        )
    }
    return {**get, **({} if trains else execute), **_job_paths()}


def _job_paths() -> dict[str, Any]:
    job = {"name": "job", "in": "path", "required": True, "type": "string"}

    def of_job(operation: str, summary: str, answers: dict[str, Any]) -> dict[str, Any]:
        responses = {**answers, "default": _ERROR}
        return {"summary": summary, "operationId": operation, "parameters": [job], "responses": responses}

    done = {"204": {"description": "Success"}}
    status = {"200": {"description": "Success", "schema": {"$ref": "#/definitions/JobStatus"}}}
    return {
        "/jobs?api-version=2.0": _post("createJob", "Create a batch job", "JobRequest", {"type": "string"}),
        "/jobs/{job}/start?api-version=2.0": {"post": of_job("startJob", "Start a batch job", done)},
        "/jobs/{job}?api-version=2.0": {
            "get": of_job("getJob", "Get the status or the results of a batch job", status),
            "delete": of_job("deleteJob", "Cancel a batch job", done),
        },
    }


_ERROR = {"description": "Error", "schema": {"$ref": "#/definitions/ErrorResponse"}}


def _post(operation: str, summary: str, request: str, response: dict[str, Any]) -> dict[str, Any]:
    body = {"name": "request", "in": "body", "required": True, "schema": {"$ref": f"#/definitions/{request}"}}
    answers = {"200": {"description": "Success", "schema": response}, "default": _ERROR}
    return {"post": {"summary": summary, "operationId": operation, "parameters": [body], "responses": answers}}


def _definitions(endpoint: Endpoint, inputs: Columns, outputs: Columns) -> dict[str, Any]:
    parameters = {name: {"type": "string", "default": value} for name, value in ports.parameters(endpoint).items()}
    globals_ = {"type": "object", "properties": parameters}
    references = {"type": "object", "additionalProperties": {"$ref": "#/definitions/BlobReference"}}
    members = ("ConnectionString", "RelativeLocation", "BaseLocation", "SasBlobToken")
    text = {"type": "string"}
    detail = {"type": "object", "properties": {"code": text, "target": text, "message": text}}
    error = {
        "type": "object",
        "properties": {"code": text, "message": text, "details": {"type": "array", "items": detail}},
    }
    accepted = {"Inputs": references} if endpoint.inputs else {}
    shared = {
        "JobRequest": {
            "type": "object",
            "properties": {**accepted, "Outputs": references, "GlobalParameters": globals_},
            "example": _job_example(endpoint, members),
        },
        "JobStatus": {"type": "object", "properties": {"StatusCode": text, "Results": references, "Details": text}},
        "BlobReference": {"type": "object", "properties": dict.fromkeys(members, text)},
        "ErrorResponse": {"type": "object", "properties": {"error": error}},
    }
    if endpoint.training:
        return {**shared, **_training_items(endpoint.training)}
    rows = {name: [{column: _EXAMPLE[kind] for column, kind in columns.items()}] for name, columns in inputs.items()}
    return {
        "ExecutionRequest": {
            "type": "object",
            "required": ["Inputs"],
            "properties": {"Inputs": _tables(inputs), "GlobalParameters": globals_},
            "example": {"Inputs": rows, "GlobalParameters": ports.parameters(endpoint)},
        },
        "ExecutionResponse": {"type": "object", "properties": {"Results": _tables(outputs)}},
        **{f"{name}Item": _item(columns) for name, columns in {**inputs, **outputs}.items()},
        **shared,
    }


def _training_items(experiment: Experiment) -> dict[str, Any]:
    """Return what a row of each input has: the labels. An experiment learns from whatever other columns there are."""
    labels = experiment.labels
    item = {"type": "object", "required": labels, "properties": {label: {} for label in labels}}
    return {f"{name}Item": item for name in experiment.inputs}


def _job_example(endpoint: Endpoint, members: Iterable[str]) -> dict[str, Any]:
    """Return a job with every port by its name: the schema only says that there are some."""
    reference = dict.fromkeys(members, "")
    return {
        **({"Inputs": dict.fromkeys(endpoint.inputs, reference)} if endpoint.inputs else {}),
        "Outputs": dict.fromkeys(ports.outputs(endpoint), reference),
        "GlobalParameters": ports.parameters(endpoint),
    }


def _tables(names: Columns) -> dict[str, Any]:
    tables = {name: {"type": "array", "items": {"$ref": f"#/definitions/{name}Item"}} for name in names}
    return {"type": "object", "properties": tables}


def _item(columns: dict[str, str]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _SCHEMA[kind] for name, kind in columns.items()}}
