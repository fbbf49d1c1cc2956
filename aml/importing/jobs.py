"""Command jobs, pipeline jobs and command components as their files have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aml.importing.assets import ANONYMOUS, Assets, common, environment, texts
from aml.importing.document import Document, read_document
from aml.importing.kinds import COMPONENT, NODE, kind_of

_MODES = {
    "ro_mount": "ReadOnlyMount",
    "rw_mount": "ReadWriteMount",
    "mount": "ReadWriteMount",
    "download": "Download",
    "upload": "Upload",
    "direct": "Direct",
    "eval_mount": "EvalMount",
    "eval_download": "EvalDownload",
}
_TIERS = {name: name.capitalize() for name in ("null", "spot", "basic", "standard", "premium")}
_PRIORITIES = {"low": "1", "medium": "2", "high": "3"}
_DISTRIBUTIONS = {"mpi": "Mpi", "pytorch": "PyTorch", "tensorflow": "TensorFlow", "ray": "Ray"}
_IDENTITIES = {
    "managed": "Managed",
    "managed_identity": "Managed",
    "user_identity": "UserIdentity",
    "aml_token": "AMLToken",
}
_MODELS = ("custom_model", "mlflow_model", "triton_model")
_LITERALS: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number"}
_FROM_PIPELINE = re.compile(r"\$\{\{\s*parent\.inputs\.(\w+)\s*\}\}")
_COMPONENT = re.compile(r"[a-z][a-z0-9_]*")  #: names that the service's own client takes


def command_job(assets: Assets, document: Document) -> dict[str, Any]:
    body: dict[str, Any] = {
        **_job(assets, document),
        "jobType": "Command",
        "command": document.text("command"),
        "environmentId": environment(assets, document),
        "environmentVariables": texts(document.below("environment_variables")),
    }
    if "code" in document.content:
        body["codeId"] = assets.code(document, "code")
    if "limits" in document.content:
        body["limits"] = {"jobLimitsType": "Command", **_timeout(document.below("limits"))}
    return body | _running(document)


def pipeline_job(assets: Assets, document: Document) -> dict[str, Any]:
    body = {**_job(assets, document), "jobType": "Pipeline"}
    settings = dict(document.below("settings").content)
    if "default_compute" in settings:
        settings["default_compute"] = assets.id_of(document.below("settings"), "default_compute", "computes")
    if document.content.get("compute") and "default_compute" not in settings:
        settings["default_compute"] = body["computeId"]
    body["settings"] = settings
    return {**body, "jobs": _nodes(assets, document)}


def component_body(assets: Assets, document: Document) -> dict[str, Any]:
    """Return the properties of a command component: its file as JSON, with the ids of what it names."""
    specification = _specification(document)
    specification |= {"type": "command", "command": document.text("command")}
    specification["environment"] = _reference(environment(assets, document))
    if "code" in document.content:
        specification["code"] = _reference(assets.code(document, "code"))
    if "environment_variables" in document.content:
        specification["environment_variables"] = texts(document.below("environment_variables"))
    return {**common(document), "componentSpec": specification}


def pipeline_component_body(assets: Assets, document: Document) -> dict[str, Any]:
    specification = {**_specification(document), "type": "pipeline", "jobs": _nodes(assets, document)}
    return {**common(document), "componentSpec": specification}


def _specification(document: Document) -> dict[str, Any]:
    """Return what components of both kinds say of themselves, with what the service's own client adds."""
    kept = ("$schema", "name", "display_name", "is_deterministic", "inputs", "outputs", "distribution", "resources")
    found: dict[str, Any] = {"is_deterministic": True, "_source": "YAML.COMPONENT"}
    found |= {name: document.content[name] for name in kept if name in document.content}
    for name, port in document.below("inputs").maps():
        if "default" in port.content:
            declared = {**found["inputs"][name], "default": str(port.content["default"])}
            found["inputs"] = {**found["inputs"], name: declared}
    if "version" in document.content:
        found["version"] = document.text("version")
    if "name" in document.content and not _COMPONENT.fullmatch(name := document.text("name")):
        right = "a component's name has lower-case letters, digits and '_', a letter first"
        raise document.error(f"'name' is {name[:80]!r}; {right}", "name")
    return found


def _job(assets: Assets, document: Document) -> dict[str, Any]:
    names = (("display_name", "displayName"), ("experiment_name", "experimentName"))
    body: dict[str, Any] = {member: document.text(name) for name, member in names if name in document.content}
    inputs, outputs = document.below("inputs"), document.below("outputs")
    body["inputs"] = {name: _input(assets, inputs, name) for name in inputs.content}
    body["outputs"] = {name: _output(outputs, name) for name in outputs.content}
    if "compute" in document.content:
        body["computeId"] = assets.id_of(document, "compute", "computes")
    if "identity" in document.content:
        kind = document.below("identity").text("type")
        body["identity"] = {"identityType": _one_of(document.below("identity"), "type", kind, _IDENTITIES)}
    return {**common(document), **body}


def _input(assets: Assets, inputs: Document, name: str) -> dict[str, Any]:
    value = inputs.content[name]
    if isinstance(value, list) or value is None:
        raise inputs.error(f"the input {name!r} must be a value, or a map with a type and a path", name)
    if not isinstance(value, dict):
        return {"jobInputType": "literal", "value": str(value)}
    given = inputs.below(name)
    if "value" in value:
        return {"jobInputType": "literal", "value": str(value["value"])}
    kind = given.text("type", "uri_folder")
    collection = "models" if kind in _MODELS else "data"
    found = {"jobInputType": kind, "uri": assets.address(given, "path", collection)}
    return found | _mode(given)


def _output(outputs: Document, name: str) -> dict[str, Any]:
    given = outputs.below(name)
    found = {"jobOutputType": given.text("type", "uri_folder"), **_mode(given)}
    for key, member in (("path", "uri"), ("name", "assetName"), ("version", "assetVersion")):
        if key in given.content:
            found[member] = given.text(key)
    return found


def _mode(given: Document) -> dict[str, str]:
    if "mode" not in given.content:
        return {}
    return {"mode": _one_of(given, "mode", given.text("mode"), _MODES)}


def _nodes(assets: Assets, document: Document) -> dict[str, Any]:
    """Return the steps of a pipeline."""
    nodes, found = document.below("jobs"), dict[str, Any]()
    for name in nodes.content:
        node = nodes.below(name)
        node.check_keys(NODE, f"the step {name!r}")
        found[name] = {"name": name, **_node(assets, node, document)}
    return found


def _node(assets: Assets, node: Document, pipeline: Document) -> dict[str, Any]:
    if (kind := node.text("type", "command")) != "command":
        raise node.error(f"the type {kind!r} does not run here; a step is a command or a command component", "type")
    body: dict[str, Any] = {"type": "command", "componentId": _component(assets, node, pipeline)}
    inputs, outputs = node.below("inputs"), node.below("outputs")
    body["inputs"] = {name: _node_input(assets, inputs, name) for name in inputs.content}
    body["outputs"] = {name: _node_output(outputs, name) for name in outputs.content}
    if "compute" in node.content:
        body["computeId"] = assets.id_of(node, "compute", "computes")
    if "component" in node.content and "environment_variables" in node.content:
        body["environment_variables"] = texts(node.below("environment_variables"))
    if "limits" in node.content:
        body["limits"] = {"job_limits_type": "Command", **_timeout(node.below("limits"))}
    return body


def _node_input(assets: Assets, inputs: Document, name: str) -> dict[str, Any]:
    given = _input(assets, inputs, name)
    if "uri" in given and not given["uri"].startswith("${{"):
        return {"job_input_type": given["jobInputType"], "uri": given["uri"]}
    return {"job_input_type": "literal", "value": given.get("value", given.get("uri"))}


def _node_output(outputs: Document, name: str) -> dict[str, Any]:
    if isinstance(outputs.content[name], str):
        return {"type": "literal", "value": outputs.text(name)}
    given = _output(outputs, name)
    return {"type": given["jobOutputType"], **({"value": given["uri"]} if "uri" in given else {})}


def _component(assets: Assets, node: Document, pipeline: Document) -> str:
    """Return the id of a step's component: one that is named, one in a file, or one made of the step's command."""
    if "component" not in node.content:
        return assets.make("components", _own_component(assets, node, pipeline))
    if isinstance(node.content["component"], dict):
        return assets.make("components", component_body(assets, node.below("component")))
    if (file := node.local("component")) is None:
        return assets.id_of(node, "component", "components")
    inner = read_document(file)
    if kind_of(inner) is not COMPONENT:
        raise node.error(f"{file} is not a command component", "component")
    inner.check_keys(COMPONENT.keys, COMPONENT.what)
    return assets.make("components", component_body(assets, inner))


def _own_component(assets: Assets, node: Document, pipeline: Document) -> dict[str, Any]:
    """Return a component that declares what a command step is given."""
    inputs, outputs = node.below("inputs"), node.below("outputs")
    specification: dict[str, Any] = {
        "type": "command",
        "name": ANONYMOUS["components"],
        "command": node.text("command"),
        "environment": _reference(environment(assets, node)),
        "inputs": {name: {"type": _declared(inputs, name, pipeline)} for name in inputs.content},
        "outputs": {name: {"type": _declared_output(outputs, name, pipeline)} for name in outputs.content},
    }
    if "code" in node.content:
        specification["code"] = _reference(assets.code(node, "code"))
    if "environment_variables" in node.content:
        specification["environment_variables"] = texts(node.below("environment_variables"))
    return {"componentSpec": specification, "tags": {}, "properties": {}}


def _declared(inputs: Document, name: str, pipeline: Document) -> str:
    value = inputs.content[name]
    if isinstance(value, dict):
        return inputs.below(name).text("type", "uri_folder" if "path" in value else "string")
    if isinstance(value, str) and (found := _FROM_PIPELINE.fullmatch(value.strip())):
        source = pipeline.below("inputs")
        return _declared(source, found[1], pipeline) if found[1] in source.content else "string"
    if isinstance(value, str) and "parent.jobs." in value:
        return "uri_folder"
    return _LITERALS.get(type(value), "string")


def _declared_output(outputs: Document, name: str, pipeline: Document) -> str:
    value = outputs.content[name]
    if isinstance(value, dict):
        return outputs.below(name).text("type", "uri_folder")
    source = pipeline.below("outputs")
    port = str(value).rpartition(".")[2].rstrip("} ")
    inner = source.content.get(port)
    return str(inner.get("type", "uri_folder")) if isinstance(inner, dict) else "uri_folder"


def _running(document: Document) -> dict[str, Any]:
    """Return how a command runs, in the members of the service."""
    found: dict[str, Any] = {}
    if "resources" in document.content:
        found["resources"] = {_camel(key): value for key, value in document.below("resources").content.items()}
    if "queue_settings" in document.content:
        found["queueSettings"] = _queue(document.below("queue_settings"))
    if "distribution" in document.content:
        given = document.below("distribution")
        rest = {_camel(key): value for key, value in given.content.items() if key != "type"}
        kind = _one_of(given, "type", given.text("type").lower(), _DISTRIBUTIONS)
        found["distribution"] = {"distributionType": kind, **rest}
    return found


def _queue(given: Document) -> dict[str, Any]:
    """Return how the job queues: a file may write the words in any case, and the priority as a word."""
    found = {_camel(key): value for key, value in given.content.items()}
    if "job_tier" in given.content:
        found["jobTier"] = _one_of(given, "job_tier", given.text("job_tier").lower(), _TIERS)
    if "priority" in given.content:
        found["priority"] = int(_one_of(given, "priority", given.text("priority").lower(), _PRIORITIES))
    return found


def _timeout(limits: Document) -> dict[str, str]:
    return {"timeout": f"PT{limits.text('timeout')}S"} if "timeout" in limits.content else {}


def _one_of(document: Document, name: str, given: str, known: Mapping[str, str]) -> str:
    if given not in known:
        raise document.error(f"{name!r} is {given!r}; it can be: {', '.join(known)}", name)
    return known[given]


def _reference(asset: str) -> str:
    """Return an id as a component names it."""
    return asset if asset.startswith("azureml:") else f"azureml:{asset}"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
