"""The Batch Execution Service: {base}/jobs creates a job, /jobs/{id}/start starts it, GET reads, DELETE ends it.

`api-version=2.0`; the version before it has no api-version, one input, and starts a job as it is created. A job names
blobs for its inputs and, if it likes, for its outputs. `Results` may have another order than the ports.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from service.keys import new_id
from studio.api import ports
from studio.api.context import Call, Context
from studio.errors import StudioError, bad_argument, not_found
from studio.experiments.types import INPUT
from studio.jobs.runner import output_location
from studio.learning.manifest import SUFFIX
from studio.learning.tables import READABLE, WRITABLE
from studio.state.records import Endpoint, Job, Reference

_VERSION = "2.0"
_BEFORE = None  #: the api-version of the version before


class _Submission(msgspec.Struct, rename="pascal"):
    """The body of a job, whose members may be named in any case."""

    input: Reference | None = None
    inputs: dict[str, Reference] | None = None
    outputs: dict[str, Reference] | None = None
    global_parameters: Any = None


def create(context: Context, call: Call) -> Response:
    """Check the job and keep it; nothing runs before it is started. The answer is the id, a JSON string."""
    endpoint, version = _endpoint(context, call)
    body = call.members(_Submission)
    inputs = _inputs(endpoint, body, version)
    for name, reference in inputs.items():
        ports.check_extension(reference, READABLE, name, "input")
        context.studio.blobs.check(reference, name)
        inputs[name] = context.studio.blobs.resolved(reference, name)
    if version is _BEFORE and body.get("Outputs"):
        raise bad_argument("BadVersionCall", "Outputs can be given with api-version=2.0 only.", "Outputs")
    job = Job(
        id=new_id(),
        parent=endpoint.id,
        inputs=inputs,
        outputs=_outputs(context, endpoint, body.get("Outputs")),
        parameters=ports.global_parameters(endpoint, body.get("GlobalParameters")),
        queued=time.time() if version is _BEFORE else None,
    )
    context.studio.records.put(job)
    if job.queued:
        context.jobs.enqueue(job)
    return JSONResponse(job.id)


def start(context: Context, call: Call) -> Response:
    _, job = _job(context, call)

    if context.studio.records.change(Job, job.id, Job.started) is None:
        job = context.studio.records.get(Job, job.id)
        state = "Queued" if job.state == "NotStarted" else job.state
        raise StudioError(
            "InvalidOperation", "CannotStartJob", f"The job cannot be started because it is in {state} state."
        )
    context.jobs.enqueue(job)
    return Response(status_code=204)


def read(context: Context, call: Call) -> Response:
    """Answer the state, with results whose SAS is minted now."""
    endpoint, job = _job(context, call)
    results = None
    if job.state == "Finished":
        expired = context.strike("expired result", endpoint) is not None
        results = {
            name: msgspec.to_builtins(context.studio.blobs.result(reference, expired))
            for name, reference in sorted(job.results.items(), reverse=True)
        }
    state = "Paused" if context.strike("unknown status", endpoint) else job.state
    if "api-version" not in call.query:
        first = (results or {}).get(next(iter(ports.outputs(endpoint))))
        return JSONResponse({"StatusCode": state, "Result": first, "Details": job.details})
    return JSONResponse({"StatusCode": state, "Results": results, "Details": job.details})


def cancel(context: Context, call: Call) -> Response:
    _, job = _job(context, call)

    if context.studio.records.change(Job, job.id, Job.cancelled):
        context.jobs.forget(job)
    return Response(status_code=204)


def without_id(context: Context, call: Call) -> Response:
    """Refuse a call without a job's id, and say that the id is missing."""
    _endpoint(context, call)
    raise bad_argument("MissingJobId", "No job Id provided. A job Id is returned when a job is submitted.")


ADDRESSES = [
    ("bes.create", "POST", "/jobs", create),
    ("bes.start", "POST", "/jobs/{job}/start", start),
    ("bes.read", "GET", "/jobs/{job}", read),
    ("bes.cancel", "DELETE", "/jobs/{job}", cancel),
    ("bes.start", "POST", "/jobs//start", without_id),
    ("bes.read", "GET", "/jobs/", without_id),
    ("bes.cancel", "DELETE", "/jobs/", without_id),
]


def _endpoint(context: Context, call: Call) -> tuple[Endpoint, str | None]:
    version = call.check_version(_VERSION) if "api-version" in call.query else _BEFORE
    return context.endpoint(call), version


def _job(context: Context, call: Call) -> tuple[Endpoint, Job]:
    endpoint, _ = _endpoint(context, call)
    job = context.studio.records.find(Job, call.names["job"])
    if job is None or job.parent != endpoint.id:
        raise not_found("JobNotFound", f"No job of this endpoint has the id {call.names['job']}.")
    return endpoint, job


def _inputs(endpoint: Endpoint, body: dict[str, Any], version: str | None) -> dict[str, Reference]:
    """Return the inputs of either request style: `Inputs` by port, or the one `Input` of 2015."""
    single, several = body.get("Input"), body.get("Inputs")
    if single and several:
        raise bad_argument("DuplicateInputInBatchCall", "The request has both Input and Inputs; give one of them.")
    if (single or version is _BEFORE) and len(endpoint.inputs) > 1:
        raise StudioError(
            "InvalidOperation",
            "MultipleInputsNotAllowed",
            f"The web service has several inputs ({', '.join(endpoint.inputs)}); give Inputs, by their names.",
        )
    # A service without an input refuses the one Input as one of an unknown port.
    port = next(iter(endpoint.inputs), INPUT)
    inputs = {
        name: _reference(given, name, "MissingInputBlobInformation", "Missing Azure storage blob information")
        for name, given in ports.by_name({port: single} if single else several, "Inputs").items()
    }
    ports.check_inputs(inputs, endpoint.inputs)
    if missing := [name for name in endpoint.inputs if name not in inputs]:
        raise bad_argument(
            "BatchJobInputsNotSpecified",
            f"The following required input(s) were not specified with the request: {', '.join(missing)}. "
            "Please ensure all input data is specified and try again.",
            missing[0],
        )
    return inputs


def _reference(given: Any, target: str, detail: str, message: str) -> Reference:
    """Return the blob reference, or raise the detail when nothing or something else is given."""
    try:
        reference = msgspec.convert(given, Reference)
    except msgspec.ValidationError as error:
        raise bad_argument(detail, f"{message}: {target} is not a blob reference ({error}).", target) from None
    if not reference.relative_location:
        raise bad_argument(detail, f"{message}: {target} has no RelativeLocation.", target)
    return reference


def _outputs(context: Context, endpoint: Endpoint, given: Any) -> dict[str, Reference]:
    extensions, named = ports.outputs(endpoint), ports.by_name(given, "Outputs")
    if unknown := sorted(set(named) - set(extensions)):
        raise bad_argument(
            "InvalidOutputOverrideName",
            f"Invalid output override name: {', '.join(unknown)}. The service's outputs are: {', '.join(extensions)} "
            "(case sensitivity applies).",
            unknown[0],
        )
    missing = "The request is missing the blob specification for an output override"
    overrides = {
        name: _reference(each, name, "MissingOutputOverrideSpecification", missing) for name, each in named.items()
    }
    for name, reference in overrides.items():
        ports.check_extension(reference, (SUFFIX,) if extensions[name] == SUFFIX else WRITABLE, name, "output")
        if not reference.connection_string:
            raise bad_argument(
                "MissingOutputOverrideSpecification", f"{missing}: {name} has no ConnectionString.", name
            )
        context.studio.blobs.check_place(reference, name)
        overrides[name] = context.studio.blobs.resolved(reference, name)
    return {
        name: overrides.get(name) or output_location(context.studio.blobs, extension)
        for name, extension in extensions.items()
    }
