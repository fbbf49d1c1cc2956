"""The Batch Execution Service, `api-version=2.0`: {base}/jobs creates, /jobs/{id}/start starts, GET reads, DELETE ends.

A job names blobs for its inputs and, if it likes, for its outputs. The order of `Results` is not that of the ports.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context
from studio.api.rrs import invalid_inputs
from studio.errors import StudioError, bad_argument, not_found
from studio.experiments import load_experiment
from studio.jobs import FINAL, output_location
from studio.keys import new_id
from studio.models import SUFFIX
from studio.records import Endpoint, Job, Reference

_TABLES = (".csv", ".tsv", ".arff")
_READABLE = (".csv",)  #: input forms that this Studio's reader knows


def create(context: Context, call: Call) -> Response:
    """Check the job and keep it; nothing runs before it is started. The answer is the id, a JSON string."""
    call.check_version("2.0")
    endpoint = context.endpoint(call)
    body = call.json()
    ports = _ports(endpoint)
    inputs = _inputs(body)
    if unknown := sorted(set(inputs) - {ports.input}):
        raise invalid_inputs(unknown)
    if ports.input not in inputs:
        raise bad_argument("BatchJobInputsNotSpecified", f"The job needs the input {ports.input!r}.", ports.input)
    _check_extension(inputs[ports.input], _READABLE, ports.input, "input")
    context.studio.blobs.check(inputs[ports.input], ports.input)
    job = Job(
        id=new_id(),
        parent=endpoint.id,
        inputs=inputs,
        outputs=_outputs(context, ports, _references(body.get("Outputs"))),
        parameters=_parameters(body.get("GlobalParameters"), ports.parameters),
    )
    context.studio.records.put(job)
    return JSONResponse(job.id)


def start(context: Context, call: Call) -> Response:
    job = _job(context, call)

    def queued(job: Job) -> Job:
        if job.state != "NotStarted" or job.queued:
            state = "Queued" if job.state == "NotStarted" else job.state
            raise StudioError(
                "InvalidOperation", "CannotStartJob", f"The job cannot be started because it is in {state} state."
            )
        return msgspec.structs.replace(job, queued=True)

    context.studio.records.change(Job, job.id, queued)
    context.jobs.enqueue(job.id)
    return Response(status_code=204)


def read(context: Context, call: Call) -> Response:
    """Answer the state, with results whose SAS is minted now."""
    job = _job(context, call)
    results = None
    if job.state == "Finished":
        results = {
            name: msgspec.to_builtins(context.studio.blobs.result(reference))
            for name, reference in sorted(job.results.items(), reverse=True)
        }
    return JSONResponse({"StatusCode": job.state, "Results": results, "Details": job.details})


def cancel(context: Context, call: Call) -> Response:
    job = _job(context, call)

    def cancelled(job: Job) -> Job | None:
        return None if job.state in FINAL else msgspec.structs.replace(job, state="Cancelled")

    context.studio.records.change(Job, job.id, cancelled)
    return Response(status_code=204)


class _Ports(msgspec.Struct, frozen=True):
    """An endpoint's ports: outputs with their extension, and its global parameters."""

    input: str
    outputs: dict[str, str]
    parameters: frozenset[str]


def _ports(endpoint: Endpoint) -> _Ports:
    if endpoint.experiment is None:
        return _Ports("input1", {"output1": ".csv"}, frozenset())
    experiment = load_experiment(endpoint.experiment)
    outputs = {experiment.model: SUFFIX, experiment.evaluation: ".csv"}
    return _Ports(experiment.input, outputs, frozenset(experiment.parameters))


def _job(context: Context, call: Call) -> Job:
    call.check_version("2.0")
    endpoint = context.endpoint(call)
    job = context.studio.records.find(Job, call.names["job"])
    if job is None or job.parent != endpoint.id:
        raise not_found("JobNotFound", f"No job has the id {call.names['job']}.")
    return job


def _inputs(body: dict[str, Any]) -> dict[str, Reference]:
    """Return the inputs of either request style: `Inputs` by port, or the one `Input` of 2015."""
    single, several = body.get("Input"), body.get("Inputs")
    if single and several:
        raise bad_argument("DuplicateInputInBatchCall", "The request has both Input and Inputs; give one of them.")
    return _references({"input1": single} if single else several)


def _references(given: Any) -> dict[str, Reference]:
    try:
        return msgspec.convert(given or {}, dict[str, Reference])
    except msgspec.ValidationError:
        raise bad_argument("MissingInputBlobInformation", "A blob reference is malformed.") from None


def _outputs(context: Context, ports: _Ports, overrides: dict[str, Reference]) -> dict[str, Reference]:
    if unknown := sorted(set(overrides) - set(ports.outputs)):
        raise bad_argument(
            "InvalidOutputOverrideName",
            f"Invalid service output name(s) specified in the request: {', '.join(unknown)}. "
            f"The service's outputs are: {', '.join(ports.outputs)}.",
            unknown[0],
        )
    for name, reference in overrides.items():
        suffixes = (SUFFIX,) if ports.outputs[name] == SUFFIX else _TABLES[:1]
        _check_extension(reference, suffixes, name, "output")
        if not reference.connection_string:
            raise bad_argument(
                "MissingOutputOverrideSpecification", f"The output {name!r} has no ConnectionString.", name
            )
    return {
        name: overrides.get(name) or output_location(context.studio.blobs, extension)
        for name, extension in ports.outputs.items()
    }


def _check_extension(reference: Reference, known: tuple[str, ...], target: str, direction: str) -> None:
    location = reference.relative_location or ""
    if not location.lower().endswith(known):
        raise bad_argument(
            "InvalidBlobExtension",
            f"The blob reference: {location} has an invalid or missing file extension. "
            f'Supported file extensions for this {direction} type are: "{", ".join(known)}".',
            target,
        )


def _parameters(given: Any, known: frozenset[str]) -> dict[str, str]:
    if not isinstance(given or {}, dict):
        raise bad_argument("UserParameterInvalid", "GlobalParameters is no object of names and values.")
    parameters = {str(name): str(value) for name, value in (given or {}).items()}
    if unknown := sorted(set(parameters) - known):
        raise bad_argument(
            "UnexpectedParameter",
            f"Unexpected parameter {unknown[0]!r}; the service's parameters are: {', '.join(sorted(known)) or 'none'}.",
            unknown[0],
        )
    return parameters
