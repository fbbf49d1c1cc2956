"""The definition of a New web service: the graph of a predictive experiment as the resource manager keeps it.

Each trained model is an asset of type `Resource`, joined to a Score Model between an input and an output port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from studio.ilearner import Manifest
from studio.records import Scorer, now
from studio.scoring import APPEND, column_types, scored_columns

_SCHEMA = {
    "Double": {"type": "Number", "format": "Double"},
    "Int32": {"type": "Integer", "format": "Int32"},
    "String": {"type": "String"},
}
_MODULE = "asset1"


def write(
    arm_id: str, title: str, location: str, account: str, scorers: Sequence[tuple[Scorer, Manifest]]
) -> dict[str, Any]:
    """Return the definition of a service that scores with these models; `account` names its storage."""
    stamp = now().isoformat()
    inputs: dict[str, dict[str, str]] = {}
    outputs: dict[str, dict[str, str]] = {}
    for scorer, manifest in scorers:
        columns = column_types(manifest, [column.name for column in manifest.columns])
        inputs[scorer.input] = {**inputs.get(scorer.input, {}), **columns}
        outputs[scorer.output] = {**columns, **scored_columns(manifest)}
    return {
        "id": arm_id,
        "name": arm_id.rsplit("/", 1)[1],
        "type": "Microsoft.MachineLearning/webServices",
        "location": location,
        "tags": {},
        "properties": {
            "title": title,
            "description": "",
            "createdOn": stamp,
            "modifiedOn": stamp,
            "provisioningState": "Succeeded",
            "readOnly": False,
            "exposeSampleData": True,
            "realtimeConfiguration": {"maxConcurrentCalls": 4},
            "diagnostics": {"level": "None"},
            "storageAccount": {"name": account},
            "packageType": "Graph",
            "payloadsInBlobStorage": False,
            "input": _ports(inputs),
            "output": _ports(outputs),
            "parameters": {},
            **_graph([scorer for scorer, _ in scorers]),
        },
    }


def _ports(ports: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    tables = {
        name: {"type": "object", "properties": {column: _SCHEMA[kind] for column, kind in columns.items()}}
        for name, columns in ports.items()
    }
    return {"title": "", "type": "object", "properties": tables}


def _graph(scorers: Sequence[Scorer]) -> dict[str, Any]:
    module = {"name": "Score Model", "type": "Module", "locationInfo": {"uri": "aml://module/score-model"}}
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
