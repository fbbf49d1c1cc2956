"""The call of a batch endpoint, read into the inputs and outputs of a pipeline job. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aml.errors import bad_request
from aml.jobs.task import FILES, LITERAL, Port, declared_in, inputs_of, members_of
from aml.members import text_of

#: `UriFile` is how the call of an endpoint names what a job calls `uri_file`
_KINDS = {kind.replace("_", ""): kind for kind in (*FILES, LITERAL)}


def read_invocation(
    given: Mapping[str, Any], component: Mapping[str, Any]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return the inputs and outputs of the job. Raises for what the component does not have, or needs."""
    ports = {name: _read(given, "inputData", "jobInputType", name) for name in members_of(given, "inputData")}
    _check_known(ports, component, "inputs", "inputData")
    inputs = inputs_of(component, ports, "call", "properties.inputData")
    outputs = {
        name: Port(str(declared.get("type", "uri_folder")).lower())
        for name, declared in declared_in(component, "outputs").items()
    }
    named = {name: _read(given, "outputData", "jobOutputType", name) for name in members_of(given, "outputData")}
    _check_known(named, component, "outputs", "outputData")
    return (
        {name: port.shown("jobInputType") for name, port in inputs.items()},
        {name: port.shown("jobOutputType") for name, port in {**outputs, **named}.items()},
    )


def _check_known(ports: Mapping[str, Port], component: Mapping[str, Any], member: str, target: str) -> None:
    known = members_of(component, member)
    for name in ports:
        if name not in known:
            message = f"The component has no {member[:-1]} {name[:80]!r}; it has: {', '.join(known) or 'none'}."
            raise bad_request(message, f"properties.{target}.{name}")


def _read(given: Mapping[str, Any], member: str, kind_member: str, name: str) -> Port:
    target = f"properties.{member}.{name}"
    port = members_of(given[member], name)
    kind = _KINDS.get(text_of(port, kind_member, target).replace("_", "").lower())
    if kind is None or (kind == LITERAL and member == "outputData"):
        possible = ", ".join(each for each in (*FILES, LITERAL) if each != LITERAL or member == "inputData")
        raise bad_request(f"{kind_member!r} of {name[:80]!r} can be: {possible}.", f"{target}.{kind_member}")
    if kind == LITERAL:
        value = port.get("value")
        if not isinstance(value, str | int | float):
            raise bad_request(f"The member '{target}.value' must be a text or a number.", f"{target}.value")
        return Port(LITERAL, str(value))
    uri = text_of(port, "uri", target, required=member == "inputData")
    return Port(kind, uri, text_of(port, "mode", target, required=False))
