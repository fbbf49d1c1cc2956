"""A workspace in this process that is called over a real port, with models in a real storage."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import skops.io
import uvicorn
from sklearn.linear_model import LogisticRegression

from aml.storage.blobs import container_of
from service.listening import address_of, listen
from tests.support.aml import Here
from tests.support.waiting import PATIENCE, until

#: answers with what it is given, its environment, and errors by order
SCRIPT = """
import json, os, subprocess, time

def init():
    if os.environ.get("STARTS"):
        subprocess.Popen(os.environ["STARTS"].split(), start_new_session=True)
    print("init of", os.environ.get("NAME"))
    if os.environ.get("FAILS"):
        raise ValueError("no such model")

def run(raw):
    given = json.loads(raw)
    if given.get("raise"):
        raise ValueError("on purpose")
    if given.get("exit"):
        os._exit(3)
    waited = time.monotonic() + given.get("seconds", 0)
    while time.monotonic() < waited and not os.path.exists(given.get("until", "")):
        time.sleep(0.01)
    print("scored", flush=True)
    return {"name": os.environ.get("NAME"), "got": given, "model": os.environ.get("AZUREML_MODEL_DIR")}
"""


@dataclass
class ServingHere:
    """The workspace, its address, and a session that keeps its connections."""

    here: Here
    address: str
    session: requests.Session

    def made(self, method: str, path: str, body: Any = None, *, state: str = "Succeeded") -> dict[str, Any]:
        """Make a long-running call, and return the operation once it has ended so."""
        answer = self.here.call(method, path, body)
        assert answer.status in (200, 201, 202), answer.body
        return self.ended(answer.headers["azure-asyncoperation"], state)

    def ended(self, operation: str, state: str = "Succeeded") -> dict[str, Any]:
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(self.here.call("GET", operation).json)
            return bool(found["status"] != "InProgress")

        until(over, lambda: found)
        assert found["status"] == state, found
        return found

    def idle(self) -> bool:
        """Return whether no endpoint is being changed."""
        return not any(thread.name == "aml-serving: Endpoint" for thread in threading.enumerate())

    def endpoint(self, name: str, traffic: Mapping[str, int] | None = None, **properties: Any) -> None:
        self.made("PUT", f"onlineEndpoints/{name}", endpoint_body(traffic, **properties))

    def deploy(self, endpoint: str, name: str, state: str = "Succeeded", **properties: Any) -> dict[str, Any]:
        return self.ended(self.order(endpoint, name, **properties), state)

    def order(self, endpoint: str, name: str, **properties: Any) -> str:
        """Begin to make a deployment; return its operation."""
        given = deployment(self.here.workspace.id, **properties)
        answer = self.here.call("PUT", f"onlineEndpoints/{endpoint}/deployments/{name}", {"properties": given})
        assert answer.status in (200, 201), answer.body
        return str(answer.headers["azure-asyncoperation"])

    def key(self, endpoint: str) -> str:
        return str(self.here.call("POST", f"onlineEndpoints/{endpoint}/listKeys").json["primaryKey"])

    def score(self, endpoint: str, body: Any, deployment: str = "", key: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key(endpoint) if key is None else key}"}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        return self.session.post(f"{self.address}/score/{endpoint}", json=body, headers=headers, timeout=PATIENCE)

    def logs(self, endpoint: str, deployment: str, **body: Any) -> str:
        path = f"onlineEndpoints/{endpoint}/deployments/{deployment}/getLogs"
        return str(self.here.call("POST", path, body).json["content"])


def endpoint_body(traffic: Mapping[str, int] | None = None, **properties: Any) -> dict[str, Any]:
    given = {"authMode": "Key", "traffic": dict(traffic or {}), **properties}
    return {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": given}


def deployment(workspace: str, model: str = "", **properties: Any) -> dict[str, Any]:
    """Return the properties of a deployment that serves a model of the workspace, or SCRIPT."""
    code = {"codeId": f"{workspace}/codes/echo/versions/1", "scoringScript": "score.py"}
    served = {"model": f"{workspace}/{model}"} if model else {"codeConfiguration": code}
    return {"endpointComputeType": "Managed", **served, **properties}


@contextmanager
def serving(folder: Path, storage: str) -> Iterator[ServingHere]:
    """Run the workspace over a folder until the context ends, with SCRIPT as code and two models."""
    here = Here(folder, storage)
    with listen(0) as listening:
        server = uvicorn.Server(uvicorn.Config(here.app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            until(lambda: server.started, "the server starts")
            with requests.Session() as session:
                session.trust_env = False
                yield ServingHere(here, address_of(listening, "http"), session)
        finally:
            server.should_exit = True
            thread.join()


def publish(here: Here, folder: Path) -> None:
    """Upload SCRIPT and the models, and register them: `codes/echo`, `models/aye` and `models/nay`."""
    files = {"code/score.py": SCRIPT.encode()}
    for name in ("aye", "nay"):
        file = folder / f"{name}.skops"
        skops.io.dump(constant_model(name), file)
        files[f"models/{name}/model.skops"] = file.read_bytes()
    container = container_of(here.workspace.account, "served")
    for path, content in files.items():
        container.upload_blob(path, content, overwrite=True)
    own = {"datastoreType": "AzureBlob", "accountName": here.workspace.account.name, "containerName": "served"}
    here.put("datastores/served", **own)
    here.put("codes/echo/versions/1", codeUri="azureml://datastores/served/paths/code/")
    for name in ("aye", "nay"):
        here.put(f"models/{name}/versions/1", modelUri=f"azureml://datastores/served/paths/models/{name}/")


def constant_model(label: str) -> LogisticRegression:
    """Return a model that gives every row the label."""
    rows = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    model = LogisticRegression().fit(rows, [label, label, "never"])
    model.coef_, model.intercept_ = np.zeros_like(model.coef_), np.array([5.0 if model.classes_[1] == label else -5.0])
    return model
