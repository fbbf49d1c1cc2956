"""The body of a training's job: a pipeline of one node with a published component, or the command job of a file.

It says what the service's own client sends for the same. No I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.base.errors import BadConfiguration
from shared.base.suggestion import case_hint
from shared.domain.azureml import CHAMPION_TYPES, AzureMLTraining

NODE = "train"  #: name of the one step
#: the tag by which one search finds all jobs of the app; the others say which job this is
ALL = "relearn"
JOB, PIPELINE, DATA = "relearn.job", "relearn.pipeline", "relearn.data"
SERVERLESS = "serverless"
SLACK = 600.0  #: seconds by which the service lets a job run longer than the app, which ends it first
FILE = "uri_file"
LITERALS = frozenset({"string", "number", "integer", "boolean"})


@dataclass(frozen=True)
class Order:
    """One job: its name, whose it is, its data in the datastore, the address of the champion, its parameters."""

    training: AzureMLTraining
    workspace: str  #: resource id
    pipeline: str
    experiment: str
    name: str
    data: str | None
    parameters: Mapping[str, str]
    champion: str | None = None

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs that the job is given."""
        given = [self.training.data] if self.data is not None else []
        return [*given, *([self.champion_input] if self.champion_input else []), *sorted(self.parameters)]

    @property
    def champion_input(self) -> str | None:
        champion = self.training.champion
        return champion.input if champion and self.champion is not None else None

    def place(self, output: str) -> str:
        """Return the folder of an output in the datastore."""
        return f"{self.pipeline}/{self.name}/{output}/"

    @property
    def outputs(self) -> dict[str, str]:
        """The files of the outputs that the app reads, by output: where the service wants a file, it gets this one."""
        return {self.training.model.output: "model", **self.training.scored_files}


def of_component(order: Order, component: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a job that runs the component, as the service answered it."""
    training, name = order.training, f"The component {order.training.component}"
    specification = component["properties"]["componentSpec"]
    if str(specification.get("type", "command")).lower() not in ("command", "commandcomponent"):
        raise BadConfiguration(f"{name} is a {specification['type']} component; name a command component")
    inputs, outputs = specification.get("inputs") or {}, specification.get("outputs") or {}
    _check_inputs(order, name, inputs)
    given = _inputs(order, name, {port: _kind(each) for port, each in inputs.items()})
    kinds = {output: _kind(outputs[output]) for output in _known(name, "output", order.outputs, outputs)}
    node: dict[str, Any] = {
        "name": NODE,
        "type": "command",
        "componentId": component["id"],
        "inputs": {port: {"job_input_type": "literal", "value": f"${{{{parent.inputs.{port}}}}}"} for port in given},
        "outputs": {port: {"type": "literal", "value": f"${{{{parent.outputs.{port}}}}}"} for port in kinds},
        "limits": {"job_limits_type": "Command", "timeout": _timeout(training)},
    }
    if training.serverless:
        node["resources"] = {"instance_count": 1, "instance_type": training.serverless}
    settings = {
        "default_compute": f"{order.workspace}/computes/{training.compute or SERVERLESS}",
        # A step that the service takes from an earlier job writes nothing to where this job's outputs are read.
        "force_rerun": True,
    }
    own = {"jobType": "Pipeline", "inputs": given, "outputs": _outputs(order, kinds)}
    return {"properties": {**_common(order), **own, "settings": settings, "jobs": {NODE: node}}}


def of_file(order: Order, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a job with the properties that a file gives, which may have no data, outputs and compute."""
    training, name = order.training, f"The job {order.training.job}"
    inputs, outputs = properties.get("inputs") or {}, properties.get("outputs") or {}
    _known(name, "input", order.inputs, inputs)
    given = {**inputs, **_inputs(order, name, {port: str(each["jobInputType"]) for port, each in inputs.items()})}
    kinds = {output: str(outputs[output]["jobOutputType"]) for output in _known(name, "output", order.outputs, outputs)}
    body = {**properties, **_common(order), "jobType": "Command"}
    body |= {"inputs": given, "outputs": {**outputs, **_outputs(order, kinds)}}
    body["tags"] = {**(properties.get("tags") or {}), **body["tags"]}
    body["limits"] = {"jobLimitsType": "Command", "timeout": _timeout(training)}
    resources = dict(properties.get("resources") or {})
    if training.compute:
        body["computeId"] = f"{order.workspace}/computes/{training.compute}"
        resources.pop("instanceType", None)
    elif training.serverless:
        body.pop("computeId", None)
        resources["instanceType"] = training.serverless
    elif not (body.get("computeId") or resources.get("instanceType")):
        raise BadConfiguration(f"{name} does not name a compute; add compute or serverless to the training")
    return {"properties": {**body, **({"resources": resources} if resources else {})}}


def is_ours(job: Mapping[str, Any], name: str) -> bool:
    """Return whether this app made the job. Anybody may change its tags, but not remove its properties."""
    properties = job.get("properties") or {}
    return any((properties.get(member) or {}).get(JOB) == name for member in ("properties", "tags"))


def _common(order: Order) -> dict[str, Any]:
    marks = {JOB: order.name, PIPELINE: order.pipeline, **({DATA: order.data} if order.data else {})}
    return {
        "displayName": order.name,
        "description": f"Made by Relearn for its pipeline {order.pipeline}",
        "experimentName": order.experiment,
        "isArchived": False,
        "properties": marks,
        "tags": {ALL: "job", **marks},
    }


def _inputs(order: Order, name: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return what the job is given. `kinds` are those of all its inputs."""
    training, found = order.training, dict[str, Any]()
    if order.data is not None:
        found[training.data] = {"jobInputType": FILE, "uri": address_of(training.datastore, order.data)}
    if order.champion and (port := order.champion_input):
        if (kind := kinds[port]) not in CHAMPION_TYPES:
            raise BadConfiguration(
                f"{name} has the input {port!r} of type {kind}; for the champion it can be: {', '.join(CHAMPION_TYPES)}"
            )
        found[port] = {"jobInputType": kind, "uri": order.champion}
    return found | {
        name: {"jobInputType": "literal", "value": value} for name, value in sorted(order.parameters.items())
    }


def _outputs(order: Order, kinds: Mapping[str, str]) -> dict[str, Any]:
    def address(output: str, kind: str) -> str:
        return address_of(
            order.training.datastore, order.place(output) + (order.outputs[output] if kind == FILE else "")
        )

    return {output: {"jobOutputType": kind, "uri": address(output, kind)} for output, kind in kinds.items()}


def address_of(datastore: str, path: str) -> str:
    """Return the address of what is in a datastore."""
    return f"azureml://datastores/{datastore}/paths/{path}"


def _timeout(training: AzureMLTraining) -> str:
    return f"PT{training.running + SLACK:.0f}S"


def _check_inputs(order: Order, name: str, declared: Mapping[str, Any]) -> None:
    """Raise unless the component takes what it is given, and is given what it needs."""
    given = _known(name, "input", order.inputs, declared)
    kind = _kind(declared[order.training.data]) if order.data is not None else FILE
    if kind != FILE:
        raise BadConfiguration(f"{name} has the input {order.training.data!r} of type {kind}; it must be a {FILE}")
    for each in order.parameters:
        if (kind := _kind(declared[each])) not in LITERALS:
            raise BadConfiguration(f"{name} has the input {each!r} of type {kind}; a parameter is a text or number")
    optional = {port for port, each in declared.items() if str(each.get("optional", "")).lower() == "true"}
    needed = {port for port, each in declared.items() if each.get("default") is None} - optional
    if missing := sorted(needed - set(given)):
        raise BadConfiguration(f"{name} needs a value for: {', '.join(missing)}; add it to training.parameters")


def _known(name: str, what: str, wanted: Iterable[str], declared: Mapping[str, Any]) -> list[str]:
    """Return the names, all of which must be declared."""
    wanted = list(wanted)
    for each in wanted:
        if each not in declared:
            raise BadConfiguration(
                f"{name} has no {what} {each!r}; {case_hint(each, declared)}it has: {', '.join(declared) or 'none'}"
            )
    return wanted


def _kind(declared: Mapping[str, Any]) -> str:
    return str(declared.get("type", "")).lower()
