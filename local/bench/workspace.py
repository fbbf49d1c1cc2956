"""A workspace that serves a model at the endpoint `bench`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import skops.io
from azure.storage.blob import BlobServiceClient

from aml.identity import tokens
from aml.state.records import IDENTITY, Identity, Records
from local.azurite import azurite
from local.bench.load import Target
from local.children import python_child

CLIENTS = 16  #: that score at once, at most


@dataclass(frozen=True)
class Bench:
    """A workspace with the endpoint `bench`, whose deployments `blue` and `green` serve the same model."""

    address: str
    workspace: str
    token: str
    authority: str
    started: float  #: seconds that the server took to start

    @property
    def deployment(self) -> dict[str, Any]:
        """The properties of a deployment of the model."""
        return {
            "endpointComputeType": "Managed",
            "model": f"{self.workspace}/models/bench/versions/1",
            "requestSettings": {"maxConcurrentRequestsPerInstance": CLIENTS, "requestTimeout": "PT60S"},
        }

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        address = f"{self.address}{self.workspace}/{path}?api-version=2025-12-01"
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(method, address, json=body, headers=headers, verify=self.authority, timeout=300)
        answer.raise_for_status()
        return answer

    def put(self, path: str, **properties: Any) -> None:
        """Make a resource, and wait until its operation has ended."""
        body = {"properties": properties, "identity": {"type": "SystemAssigned"}}
        operation = self.call("PUT", path, body).headers.get("azure-asyncoperation")
        while operation and (status := self.status(operation)) != "Succeeded":
            assert status == "InProgress", status
            time.sleep(0.1)

    def status(self, operation: str) -> str:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.get(operation, headers=headers, verify=self.authority, timeout=300)
        answer.raise_for_status()
        return str(answer.json()["status"])

    def traffic(self, **percents: int) -> None:
        self.put("onlineEndpoints/bench", authMode="Key", traffic=percents)

    def target(self, body: bytes) -> Target:
        key = self.call("POST", "onlineEndpoints/bench/listKeys").json()["primaryKey"]
        headers = {"Authorization": f"Bearer {key}"}
        return Target(f"{self.address}/score/bench", body, _labels, headers, self.authority)


def _labels(answer: Any) -> list[str]:
    return [str(label) for label in answer]


@contextmanager
def workspace(folder: Path, model: Any) -> Iterator[Bench]:
    """Run a workspace that serves the model."""
    folder.mkdir(parents=True)
    file, data = folder / "model.skops", folder / "aml"
    skops.io.dump(model, file)
    with azurite(folder / "azurite") as storage:
        begun = time.perf_counter()
        serve = ["aml", "serve", "--data", str(data), "--deploying", "0"]
        with python_child(serve, {"AML_STORAGE": storage.connection_string}) as child:
            bench = _bench(dict(child.said), data, time.perf_counter() - begun)
            container = bench.call("GET", "datastores/workspaceblobstore").json()["properties"]["containerName"]
            with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
                blobs.create_container(container).upload_blob("models/model.skops", file.read_bytes())
            bench.put("models/bench/versions/1", modelUri="azureml://datastores/workspaceblobstore/paths/models/")
            bench.traffic()
            for name in ("blue", "green"):
                bench.put(f"onlineEndpoints/bench/deployments/{name}", **bench.deployment)
            bench.traffic(blue=100)
            yield bench


def _bench(said: dict[str, Any], data: Path, started: float) -> Bench:
    identity = Records(data).find(Identity, IDENTITY)
    assert identity is not None, "the server has made it"
    token = tokens.issue(identity, "https://management.azure.com")[0]
    return Bench(said["address"], said["workspace"], token, said["authority"], started)
