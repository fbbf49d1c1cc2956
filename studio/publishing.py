"""Publishes experiments as web services: what a person did on Studio's canvas before anything could be retrained."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.blobs import Blobs
from studio.experiments import Experiment, load_experiment
from studio.jobs import output_location
from studio.keys import new_id, new_key
from studio.models import SUFFIX, Manifest, Models, pack
from studio.records import Endpoint, Identity, Records, Reference, Resource, Service, WebService, now
from studio.scoring import input_types, scored_columns
from studio.training import train

LOCATION = "South Central US"
GROUP = "relearn"
IDENTITY = "studio"


@dataclass(frozen=True)
class Training:
    """A published training web service: `path` hangs under the Studio's address."""

    path: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Predictive:
    """A published predictive endpoint, Classic or New. `management` is its PATCH address, or its ARM id."""

    name: str
    path: str
    management: str
    model: str  #: the resource's or asset's exact name
    evaluation: dict[str, float]
    key: str = field(repr=False)


class Studio:
    """One workspace in a folder: its records, its model files, its storage."""

    def __init__(self, folder: Path, storage: str) -> None:
        self.folder, self.storage = folder, storage
        self.records, self.models, self.blobs = Records(folder), Models(folder), Blobs(storage)

    @property
    def identity(self) -> Identity:
        """Who this Studio is; made up once."""
        return self.records.find(Identity, IDENTITY) or self.records.find_or_make(Identity, IDENTITY, _new_identity)

    def publish_training(self, experiment_id: str) -> Training:
        """Publish the experiment with its input and outputs as a training web service."""
        experiment = load_experiment(experiment_id)
        service = self._service(experiment.name, experiment_id)
        endpoint = self._endpoint(service.id, "default", experiment=experiment_id)
        return Training(self._classic_path(endpoint), endpoint.primary_key)

    def publish_classic(
        self, experiment_id: str, data: bytes, endpoints: Sequence[str] = ("retrained",)
    ) -> list[Predictive]:
        """Train the first model on the CSV and publish it; return the added endpoints, which can be updated."""
        experiment = load_experiment(experiment_id)
        resource, evaluation = self._first_model(experiment, data)
        service = self._service(f"{experiment.name} [Predictive Exp.]", None)
        self._endpoint(service.id, "default", resource=resource)
        added = [self._endpoint(service.id, name, resource=resource) for name in endpoints]
        base = f"/workspaces/{self.identity.workspace}/webservices/{service.id}/endpoints"
        return [
            Predictive(
                name=each.name,
                path=self._classic_path(each),
                management=f"{base}/{each.name}",
                model=resource.name,
                evaluation=evaluation,
                key=each.primary_key,
            )
            for each in added
        ]

    def publish_new(self, experiment_id: str, data: bytes, name: str) -> Predictive:
        """Train the first model on the CSV and publish it as a New web service of that name."""
        experiment = load_experiment(experiment_id)
        resource, evaluation = self._first_model(experiment, data)
        subscription = self.identity.subscription
        group = f"/subscriptions/{subscription}/resourceGroups/{GROUP}"
        arm_id = f"{group}/providers/Microsoft.MachineLearning/webServices/{name}"
        endpoint = self._endpoint(arm_id.lower(), name, resource=resource)
        manifest = self.models.load(resource.sha256).manifest
        definition = _definition(arm_id, name, experiment, manifest, self.blobs, resource)
        self.records.put(
            WebService(id=arm_id.lower(), parent=subscription, endpoint=endpoint.id, definition=definition)
        )
        return Predictive(
            name=name,
            path=f"/subscriptions/{subscription.replace('-', '')}/services/{endpoint.id}",
            management=arm_id,
            model=resource.name,
            evaluation=evaluation,
            key=endpoint.primary_key,
        )

    def _first_model(self, experiment: Experiment, data: bytes) -> tuple[Resource, dict[str, float]]:
        trained = train(experiment, data, {})
        content = pack(trained.model)
        location: Reference = output_location(self.blobs, SUFFIX)
        self.blobs.write(location, content)
        resource = Resource(name=experiment.resource, location=location, sha256=self.models.keep(content))
        return resource, trained.evaluation

    def _service(self, name: str, experiment: str | None) -> Service:
        service = Service(id=new_id(), parent=self.identity.workspace, name=name, created=now(), experiment=experiment)
        self.records.put(service)
        return service

    def _endpoint(
        self, parent: str, name: str, experiment: str | None = None, resource: Resource | None = None
    ) -> Endpoint:
        endpoint = new_endpoint(parent, name)
        endpoint.experiment, endpoint.resource = experiment, resource
        self.records.put(endpoint)
        return endpoint

    def _classic_path(self, endpoint: Endpoint) -> str:
        return f"/workspaces/{self.identity.workspace}/services/{endpoint.id}"


def _new_identity() -> Identity:
    return Identity(
        id=IDENTITY,
        workspace=new_id(),
        workspace_token=new_key(),
        subscription=str(uuid.uuid4()),
        arm_token=new_key(),
    )


def new_endpoint(parent: str, name: str) -> Endpoint:
    """Return an endpoint with keys of its own, not yet recorded."""
    return Endpoint(
        id=new_id(), parent=parent, name=name, created=now(), primary_key=new_key(), secondary_key=new_key()
    )


def serving(resource: Resource) -> str:
    """Return the hash of the model that answers now."""
    return resource.serving(time.time())


def _definition(
    arm_id: str, name: str, experiment: Experiment, manifest: Manifest, blobs: Blobs, resource: Resource
) -> dict[str, Any]:
    """Return the ARM definition of the scoring graph: input -> Score Model <- trained model, -> output."""
    columns = [*(feature.name for feature in manifest.features), manifest.label]
    scored = scored_columns(manifest)
    types = dict(zip(columns, input_types(manifest, columns), strict=True))
    stamp = now().isoformat()
    return {
        "id": arm_id,
        "name": name,
        "type": "Microsoft.MachineLearning/webServices",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "title": f"{experiment.name} [Predictive Exp.]",
            "description": "",
            "createdOn": stamp,
            "modifiedOn": stamp,
            "provisioningState": "Succeeded",
            "readOnly": False,
            "exposeSampleData": True,
            "realtimeConfiguration": {"maxConcurrentCalls": 4},
            "diagnostics": {"level": "None"},
            "storageAccount": {"name": blobs.account},
            "packageType": "Graph",
            "payloadsInBlobStorage": False,
            "input": _ports("input1", types),
            "output": _ports("output1", {**types, **scored}),
            "parameters": {},
            "assets": {
                "asset1": {
                    "name": "Score Model",
                    "type": "Module",
                    "locationInfo": {"uri": "aml://module/score-model", "credentials": ""},
                },
                "asset2": {
                    "name": resource.name,
                    "type": "Resource",
                    "locationInfo": {
                        "uri": f"{resource.location.base_location}{resource.location.relative_location}",
                        "credentials": "",
                    },
                    "outputPorts": {"Results dataset": {"type": "Dataset"}},
                },
            },
            "package": {
                "nodes": {
                    "node1": {"assetId": "asset1", "parameters": {}},
                    "node2": {"assetId": "asset2"},
                    "node3": {"inputId": "input1"},
                    "node4": {"outputId": "output1"},
                },
                "edges": [
                    _edge("node2", "Results dataset", "node1", "Learner"),
                    {"sourceNodeId": "node3", "targetNodeId": "node1", "targetPortId": "Dataset"},
                    {"sourceNodeId": "node1", "sourcePortId": "Scored dataset", "targetNodeId": "node4"},
                ],
                "graphParameters": {},
            },
        },
    }


def _ports(name: str, types: dict[str, str]) -> dict[str, Any]:
    swagger = {"Double": {"type": "Number", "format": "Double"}, "String": {"type": "String"}}
    properties = {column: swagger[kind] for column, kind in types.items()}
    return {"title": "", "type": "object", "properties": {name: {"type": "object", "properties": properties}}}


def _edge(source: str, source_port: str, target: str, target_port: str) -> dict[str, str]:
    return {
        "sourceNodeId": source,
        "sourcePortId": source_port,
        "targetNodeId": target,
        "targetPortId": target_port,
    }
