"""What a command job does, read from its properties: a command with its inputs and outputs. No I/O.

A pipeline job is read into the tasks of its nodes, each made of a component.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aml.errors import bad_request
from aml.members import text_of
from service.durations import seconds_of

MODELS = ("custom_model", "mlflow_model", "triton_model")
FILES = ("uri_file", "uri_folder", "mltable", *MODELS)
LITERAL = "literal"
DIRECT = "direct"  #: the mode in which the command gets the address, not a path
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
ASSET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")  #: a name of an asset, or of a version
_REFERENCE = re.compile(r"\$\{\{\s*([\w.\-]+)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
NUMBERS: Mapping[str, Callable[[str], object]] = {"integer": int, "number": float}


@dataclass(frozen=True)
class Port:
    """An input or output: `value` is a literal's text, or an address; an output without one gets its own place."""

    kind: str
    value: str = ""
    mode: str = ""
    asset: str = ""  #: the name under which an output is registered
    version: str = ""

    @property
    def is_direct(self) -> bool:
        return self.mode.lower() == DIRECT

    def shown(self, kind_member: str) -> dict[str, str]:
        """Return the port as a job's properties have it."""
        literal = self.kind == LITERAL
        value = {"value" if literal else "uri": self.value} if self.value or literal else {}
        return {kind_member: self.kind, **value, **({"mode": self.mode} if self.mode else {})}


@dataclass(frozen=True)
class Task:
    command: str
    environment: str
    inputs: Mapping[str, Port] = field(default_factory=dict)
    outputs: Mapping[str, Port] = field(default_factory=dict)
    code: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None  #: how long it may run


def read_command(properties: Mapping[str, Any]) -> Task:
    """Return the task of a command job. Raises for what is wrong in its properties."""
    task = Task(
        command=text_of(properties, "command"),
        environment=text_of(properties, "environmentId"),
        inputs=_ports(properties, "inputs", "jobInputType"),
        outputs=_ports(properties, "outputs", "jobOutputType"),
        code=text_of(properties, "codeId", required=False),
        variables=variables_of(properties, "environmentVariables"),
        seconds=_seconds(members_of(properties, "limits").get("timeout")),
    )
    check_references(task)
    return task


def check_references(task: Task) -> None:
    """Raise for a name in the command that is not an input or output."""
    for reference in _REFERENCE.findall(task.command):
        kind, _, name = reference.partition(".")
        known = {"inputs": task.inputs, "outputs": task.outputs}.get(kind)
        if known is None or (name not in known and f"[[{reference}" not in _optional(task.command)):
            message = f"The command names '{reference}', which is not an input or output of the job."
            raise bad_request(message, "properties.command")


def fill_in(command: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """Return the command with the texts of its inputs and outputs.

    `$[[...]]` is left out where an input in it was not given.
    """

    def optional(found: re.Match[str]) -> str:
        names = [each.partition(".")[2] for each in _REFERENCE.findall(found[1]) if each.startswith("inputs.")]
        return found[1] if all(name in inputs for name in names) else ""

    def text(found: re.Match[str]) -> str:
        kind, _, name = found[1].partition(".")
        return (inputs if kind == "inputs" else outputs)[name]

    return _REFERENCE.sub(text, _OPTIONAL.sub(optional, command))


def read_nodes(properties: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of a pipeline job by name, each after those whose outputs it takes."""
    given = members_of(properties, "jobs")
    if not given:
        raise bad_request("A pipeline job has at least one node.", "properties.jobs")
    for name, node in given.items():
        _check_name(name, "properties.jobs")
        if not isinstance(node, dict) or str(node.get("type", "command")).lower() != "command":
            message = f"The node {name!r} is not a command; only commands and command components run here."
            raise bad_request(message, f"properties.jobs.{name}")
        text_of(node, "componentId", f"properties.jobs.{name}")
    order: dict[str, dict[str, Any]] = {}
    left = dict(given)
    while left:
        ready = [name for name, node in left.items() if not (_needed(node, given) - set(order))]
        if not ready:
            raise bad_request(f"The nodes {', '.join(left)} wait for one another.", "properties.jobs")
        order |= {name: left.pop(name) for name in ready}
    return order


def read_node(
    name: str,
    node: Mapping[str, Any],
    component: Mapping[str, Any],
    pipeline: Task,
    made: Mapping[str, Mapping[str, Port]],
) -> Task:
    """Return the task of a node. `pipeline` has the job's inputs and outputs, `made` the outputs of nodes that ran."""
    given = _node_inputs(name, node, pipeline, made)
    inputs = inputs_of(component, given, f"node {name!r}", f"properties.jobs.{name}")
    outputs = {
        port: _output(str(declared.get("type", "uri_folder")).lower(), members_of(node, "outputs").get(port), pipeline)
        for port, declared in declared_in(component, "outputs").items()
    }
    task = Task(
        command=text_of(component, "command"),
        environment=_reference(text_of(component, "environment")),
        inputs=inputs,
        outputs=outputs,
        code=_reference(text_of(component, "code", required=False)),
        variables={**variables_of(component, "environment_variables"), **variables_of(node, "environment_variables")},
        seconds=_seconds(members_of(node, "limits").get("timeout")),
    )
    check_references(task)
    return task


def inputs_of(component: Mapping[str, Any], given: Mapping[str, Port], who: str, target: str) -> dict[str, Port]:
    """Return the inputs of a component: what `who` gives, else their defaults. Literals must have the right type."""
    inputs: dict[str, Port] = {}
    for name, declared in declared_in(component, "inputs").items():
        kind = str(declared.get("type", "")).lower()
        default = declared.get("default")
        found = given.get(name) or (Port(LITERAL, str(default)) if default is not None else None)
        if found is None and not declared.get("optional"):
            raise bad_request(f"The {who} has no value for its input {name!r}.", target)
        if found:
            inputs[name] = replace(found, value=_typed(name, kind, found.value)) if found.kind == LITERAL else found
    return inputs


def declared_in(component: Mapping[str, Any], member: str) -> dict[str, dict[str, Any]]:
    """Return the inputs or outputs that a component declares."""
    declared = members_of(component, member)
    for name, each in declared.items():
        if not isinstance(each, dict):
            raise bad_request(f"The member '{member}.{name}' of the component must be an object.", f"{member}.{name}")
    return declared


def _node_inputs(
    name: str, node: Mapping[str, Any], pipeline: Task, made: Mapping[str, Mapping[str, Port]]
) -> dict[str, Port]:
    found: dict[str, Port] = {}
    for port, given in members_of(node, "inputs").items():
        value = given.get("value", given.get("uri")) if isinstance(given, dict) else given
        reference = _REFERENCE.fullmatch(str(value).strip())
        if reference:
            parts = reference[1].split(".")
            match parts:
                case ["parent", "inputs", source]:
                    referred = pipeline.inputs.get(source)
                case ["parent", "jobs", other, "outputs", source]:
                    referred = made.get(other, {}).get(source)
                case _:
                    referred = None
            if referred:
                found[port] = referred
            elif parts[:2] != ["parent", "inputs"]:
                message = f"The input {port!r} of the node {name!r} names {reference[0]}, which is not there."
                raise bad_request(message, f"properties.jobs.{name}.inputs.{port}")
        else:
            kind = str(given.get("job_input_type", LITERAL)) if isinstance(given, dict) else LITERAL
            found[port] = Port(kind.lower(), str(value))
    return found


def _output(kind: str, given: Any, pipeline: Task) -> Port:
    """Return an output of a node: the pipeline's own where it names one."""
    if isinstance(given, dict):
        value = str(given.get("value", given.get("uri")) or "")
        reference = _REFERENCE.fullmatch(value.strip())
        if reference and reference[1].startswith("parent.outputs."):
            return pipeline.outputs.get(reference[1].rpartition(".")[2], Port(kind))
        # The client has `name` for what a job calls `assetName`.
        asset, version = (str(given.get(f"asset_{part}") or given.get(part) or "") for part in ("name", "version"))
        return Port(kind, value, asset=_checked_asset(asset, version), version=version)
    return Port(kind)


def read_ports(properties: Mapping[str, Any]) -> Task:
    """Return the inputs and outputs of a pipeline job, as a task without a command."""
    inputs = _ports(properties, "inputs", "jobInputType")
    return Task("", "", inputs=inputs, outputs=_ports(properties, "outputs", "jobOutputType"))


def _needed(node: Mapping[str, Any], nodes: Mapping[str, Any]) -> set[str]:
    """Return the nodes whose outputs the node takes."""
    values = [each.get("value") for each in members_of(node, "inputs").values() if isinstance(each, dict)]
    found = re.findall(r"parent\.jobs\.(\w+)\.outputs\.", " ".join(map(str, values)))
    return {name for name in found if name in nodes}


def _typed(name: str, kind: str, text: str) -> str:
    """Return a literal as the command gets it, or raise when it does not have the type of the component's input."""
    try:
        if kind in NUMBERS:
            NUMBERS[kind](text)
        elif kind == "boolean":
            return {"true": "True", "false": "False"}[text.lower()]
    except (ValueError, KeyError):
        raise bad_request(f"The input {name!r} is {text[:80]!r}, which is not of the type {kind}.", name) from None
    return text


def _ports(properties: Mapping[str, Any], member: str, kind_member: str) -> dict[str, Port]:
    ports = {}
    for name, given in members_of(properties, member).items():
        target = f"properties.{member}.{name}"
        _check_name(name, target)
        if not isinstance(given, dict):
            raise bad_request(f"The member '{target}' must be an object.", target)
        kind = str(given.get(kind_member, "")).lower()
        if kind not in (*FILES, LITERAL):
            possible = ", ".join((*FILES, LITERAL))
            raise bad_request(f"'{kind_member}' of {name!r} is {kind[:40]!r}; it can be: {possible}.", target)
        what = "value" if kind == LITERAL else "uri"
        required = member == "inputs"
        value = given.get(what)
        if not isinstance(value, str) and (required or value is not None):
            raise bad_request(f"The member '{target}.{what}' must be a text.", target)
        texts = {key: str(given.get(key) or "") for key in ("mode", "assetName", "assetVersion")}
        asset = _checked_asset(texts["assetName"], texts["assetVersion"])
        ports[name] = Port(kind, value or "", texts["mode"], asset, texts["assetVersion"])
    return ports


def _reference(text: str) -> str:
    """Return the id of an asset that a component names: `azureml:/subscriptions/...`."""
    return text.removeprefix("azureml:") if text.startswith("azureml:/subscriptions") else text


def _check_name(name: str, target: str) -> None:
    if not _NAME.fullmatch(name):
        message = f"The name {name[:80]!r} is invalid: it has letters, digits and '_', and begins with no digit."
        raise bad_request(message, target)


def _checked_asset(name: str, version: str) -> str:
    """Return the name under which an output is registered, which may be missing."""
    for text, what in ((name, "assetName"), (version, "assetVersion")):
        if text and not ASSET.fullmatch(text):
            message = f"The {what} {text[:80]!r} is invalid. It has 1 to 255 letters, digits, '-', '_' and '.'."
            raise bad_request(message, what)
    return name


def _optional(command: str) -> str:
    return " ".join(f"[[{reference}" for part in _OPTIONAL.findall(command) for reference in _REFERENCE.findall(part))


def members_of(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one where it is missing."""
    value = members.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_request(f"The member '{name}' must be an object.", name)
    return value or {}


def variables_of(members: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a member that is an object of environment variables."""
    given = members_of(members, name)
    for key, value in given.items():
        if not isinstance(value, str) or "\x00" in value or "\x00" in key or "=" in key or not key:
            raise bad_request(f"The variable {key[:80]!r} of '{name}' cannot be set.", f"properties.{name}")
    return given


def _seconds(duration: Any) -> float | None:
    if duration is None:
        return None
    seconds = seconds_of(str(duration))
    if seconds is None:
        raise bad_request(
            f"The timeout {str(duration)[:40]!r} is not a duration, as PT4H.", "properties.limits.timeout"
        )
    return seconds
