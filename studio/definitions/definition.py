"""The definition of a New web service: its members as the specification of 2017-01-01 has them, and how one is written.

Each trained model is an asset of type `Resource`, joined to a Score Model between an input and an output port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from studio.learning.manifest import Manifest
from studio.learning.scoring import APPEND, column_types, scored_columns
from studio.state.records import Scorer, now

SCORE_MODEL = "Score Model"
TYPE = "Microsoft.MachineLearning/webServices"
_SCHEMA = {
    "Double": {"type": "Number", "format": "Double"},
    "Int32": {"type": "Integer", "format": "Int32"},
    "String": {"type": "String"},
}
_MODULE = "asset1"


class Member(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a body. What is null or unknown is as if it were not there."""


class BlobLocation(Member):
    uri: str
    credentials: str | None = msgspec.field(default=None)


class Port(Member):
    type: str | None = None


class Asset(Member):
    name: str
    type: str
    location_info: BlobLocation
    id: str | None = None
    input_ports: dict[str, Port] | None = None
    output_ports: dict[str, Port] | None = None
    metadata: dict[str, str] | None = None
    parameters: list[dict[str, Any]] | None = None


class Parameter(Member):
    """A value; with the thumbprint it is encrypted."""

    value: Any = None
    certificate_thumbprint: str | None = None

    def __post_init__(self) -> None:
        # Clients made from the specification, which calls the value an object, take text apart: {"0": "T", "1": "r"}.
        if isinstance(self.value, dict) and list(self.value) == [str(index) for index in range(len(self.value))]:
            self.value = "".join(map(str, self.value.values()))


class Node(Member):
    asset_id: str | None = None
    input_id: str | None = None
    output_id: str | None = None
    parameters: dict[str, Parameter] | None = None


class Edge(Member):
    source_node_id: str | None = None
    source_port_id: str | None = None
    target_node_id: str | None = None
    target_port_id: str | None = None


class Link(Member):
    node_id: str
    parameter_key: str


class GraphParameter(Member):
    type: str
    links: list[Link]
    description: str | None = None


class Package(Member):
    nodes: dict[str, Node] | None = None
    edges: list[Edge] | None = None
    graph_parameters: dict[str, GraphParameter] | None = None


class Column(Member):
    type: str
    format: str | None = None
    enum: list[Any] | None = None
    is_nullable: bool | None = msgspec.field(default=None, name="x-ms-isnullable")
    is_ordered: bool | None = msgspec.field(default=None, name="x-ms-isordered")


class Table(Member):
    type: str
    title: str | None = None
    description: str | None = None
    format: str | None = None
    properties: dict[str, Column] | None = None


class Ports(Member):
    type: str
    properties: dict[str, Table]
    title: str | None = None
    description: str | None = None


class ExampleRequest(Member):
    inputs: dict[str, list[list[Any]]] | None = None
    global_parameters: dict[str, Any] | None = None


class Keys(Member):
    primary: str | None = None
    secondary: str | None = None


class StorageAccount(Member):
    name: str | None = None
    key: str | None = None


class Named(Member):
    """Another resource, by its ARM id."""

    id: str


class RealtimeConfiguration(Member):
    max_concurrent_calls: int | None = None


class Diagnostics(Member):
    level: str
    expiry: datetime | None = None


class Properties(Member):
    """What a PUT or PATCH may say; the members that the service fills itself are not read."""

    package_type: str
    title: str | None = None
    description: str | None = None
    keys: Keys | None = None
    read_only: bool | None = None
    expose_sample_data: bool | None = None
    realtime_configuration: RealtimeConfiguration | None = None
    diagnostics: Diagnostics | None = None
    storage_account: StorageAccount | None = None
    machine_learning_workspace: Named | None = None
    commitment_plan: Named | None = None
    input: Ports | None = None
    output: Ports | None = None
    example_request: ExampleRequest | None = None
    assets: dict[str, Asset] | None = None
    parameters: dict[str, Parameter] | None = None
    package: Package | None = None
    payloads_in_blob_storage: bool | None = None
    payloads_location: BlobLocation | None = None


def write(
    arm_id: str, title: str, location: str, account: str, scorers: Sequence[tuple[Scorer, Manifest]]
) -> dict[str, Any]:
    """Return the definition of a service that scores with these models; `account` names its storage."""
    inputs: dict[str, dict[str, str]] = {}
    outputs: dict[str, dict[str, str]] = {}
    for scorer, manifest in scorers:
        columns = column_types(manifest, [column.name for column in manifest.columns])
        inputs[scorer.input] = {**inputs.get(scorer.input, {}), **columns}
        outputs[scorer.output] = {**columns, **scored_columns(manifest)}
    properties = {
        "title": title,
        "description": "",
        "readOnly": False,
        "exposeSampleData": True,
        "realtimeConfiguration": {"maxConcurrentCalls": 4},
        "diagnostics": {"level": "None"},
        "storageAccount": {"name": account},
        "packageType": "Graph",
        "input": _ports(inputs),
        "output": _ports(outputs),
        "parameters": {},
        **_graph([scorer for scorer, _ in scorers]),
    }
    return frame(arm_id, location, {}, properties)


def frame(arm_id: str, location: str, tags: dict[str, str], properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties as a new resource of the resource manager."""
    made = stamp(now())
    filled = {
        "createdOn": made,
        "modifiedOn": made,
        "provisioningState": "Succeeded",
        "payloadsInBlobStorage": False,
    }
    return {
        "id": arm_id,
        "name": arm_id.rsplit("/", 1)[1],
        "type": TYPE,
        "location": location,
        "tags": tags,
        "properties": {**properties, **filled},
    }


def stamp(time: datetime) -> str:
    """Return the time as the resource manager writes it."""
    return time.isoformat().replace("+00:00", "Z")


def _ports(ports: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    tables = {
        name: {"type": "object", "properties": {column: _SCHEMA[kind] for column, kind in columns.items()}}
        for name, columns in ports.items()
    }
    return {"title": "", "type": "object", "properties": tables}


def _graph(scorers: Sequence[Scorer]) -> dict[str, Any]:
    module = {"name": SCORE_MODEL, "type": "Module", "locationInfo": {"uri": "aml://module/score-model"}}
    assets: dict[str, Any] = {_MODULE: module}
    nodes: dict[str, Any] = {}
    edges: list[dict[str, str]] = []
    for name in dict.fromkeys(scorer.input for scorer in scorers):
        nodes[f"node-{name}"] = {"inputId": name}
    for number, scorer in enumerate(scorers, 1):
        asset, score, model = f"asset{number + 1}", f"score{number}", f"model{number}"
        location = scorer.resource.location
        assets[asset] = {
            "name": scorer.resource.name,
            "type": "Resource",
            "locationInfo": {"uri": f"{location.base_location}{location.relative_location}", "credentials": ""},
            "outputPorts": {"Results dataset": {"type": "Dataset"}},
        }
        nodes[score] = {"assetId": _MODULE, "parameters": {APPEND: {"value": "True"}}}
        nodes[model] = {"assetId": asset}
        nodes[f"node-{scorer.output}"] = {"outputId": scorer.output}
        edges += [
            _edge(model, score, sourcePortId="Results dataset", targetPortId="Learner"),
            _edge(f"node-{scorer.input}", score, targetPortId="Dataset"),
            _edge(score, f"node-{scorer.output}", sourcePortId="Scored dataset"),
        ]
    return {"assets": assets, "package": {"nodes": nodes, "edges": edges, "graphParameters": {}}}


def _edge(source: str, target: str, **ports: str) -> dict[str, str]:
    return {"sourceNodeId": source, "targetNodeId": target, **ports}
