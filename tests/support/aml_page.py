"""A workspace over TLS with something of everything that its page shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests
import skops.io
from azure.storage.blob import BlobServiceClient
from sklearn.linear_model import LogisticRegression

from local.azurite import ACCOUNT, Azurite
from tests.support.running_aml import RunningAml, running_aml
from tests.support.serving import endpoint_body
from tests.support.waiting import PATIENCE, until

#: endpoints by what their calls carry; `income` divides its calls
AUTHS = {"visits": "AADToken", "churn": "AMLToken", "income": "Key"}
TRAFFIC = {"visits": {"blue": 100}, "churn": {"blue": 100}, "income": {"blue": 90, "green": 10}}
BATCH = "nightly"
TRAINED, FAILED = "income-20261101", "income-20261102"
STEPS = 40
ANSWER = ["no"]  #: of every endpoint to every sample
_CONTAINER = "served-by-the-page"


@contextmanager
def published(azurite: Azurite, folder: Path) -> Iterator[RunningAml]:
    with running_aml(folder / "aml", azurite.connection_string, "--deploying", "0") as aml:
        _register(aml, azurite, folder)
        environment = f"{aml.workspace}/environments/sklearn/versions/1"
        given = {"jobType": "Command", "environmentId": environment, "experimentName": "income"}
        ended = "test -n ${{inputs.rate}} && echo auc of 0.912"
        rate = {"rate": {"jobInputType": "literal", "value": "0.1"}}
        for name, command in ((TRAINED, ended), (FAILED, "echo before ${{inputs.rate}}; exit 3")):
            _put(aml, f"jobs/{name}", **given, command=command, inputs=rate, displayName=f"income of {name[-8:]}")
        _deploy(aml)
        _batch(aml)
        _track(aml)
        for name, state in ((TRAINED, "Completed"), (FAILED, "Failed")):
            until(lambda name=name, state=state: _state(aml, f"jobs/{name}", "status") == state, name)
        yield aml


def _register(aml: RunningAml, azurite: Azurite, folder: Path) -> None:
    """Register a model, and a script that gives every call the same answer."""
    model = LogisticRegression().fit([[0.0, 0.0], [1.0, 0.0]], ["no", "yes"])
    model.feature_names_in_ = np.array(["age", "hours"], dtype=object)
    skops.io.dump(model, folder / "model.skops")
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        container = blobs.create_container(_CONTAINER)
        container.upload_blob("m/model.skops", (folder / "model.skops").read_bytes())
        container.upload_blob("code/score.py", f"def init(): pass\ndef run(raw): return {ANSWER}\n")
    _put(aml, "datastores/served", datastoreType="AzureBlob", accountName=ACCOUNT, containerName=_CONTAINER)
    _put(aml, "codes/echo/versions/1", codeUri="azureml://datastores/served/paths/code/")
    _put(aml, "environments/sklearn/versions/1", image="python:3.12")
    for version, auc in (("1", "0.897"), ("2", "0.912")):
        address = "azureml://datastores/served/paths/m/"
        _put(aml, f"models/income/versions/{version}", modelUri=address, tags={"auc": auc})


def _deploy(aml: RunningAml) -> None:
    script = {"codeId": f"{aml.workspace}/codes/echo/versions/1", "scoringScript": "score.py"}
    for name, auth in AUTHS.items():
        _done(aml, name, endpoint_body(authMode=auth))
        for deployment in TRAFFIC[name]:
            own = (name, deployment) == ("income", "blue")
            served = {"model": f"{aml.workspace}/models/income/versions/1"} if own else {"codeConfiguration": script}
            body = {"properties": {"endpointComputeType": "Managed", **served}}
            assert aml.call("PUT", f"onlineEndpoints/{name}/deployments/{deployment}", body).ok
    for name, auth in AUTHS.items():
        for deployment in TRAFFIC[name]:
            _settled(aml, f"{name}/deployments/{deployment}")
        _done(aml, name, endpoint_body(TRAFFIC[name], authMode=auth))


def _batch(aml: RunningAml) -> None:
    """Make a batch endpoint whose calls start a job of a pipeline component with one step."""
    step = {
        "type": "command",
        "command": "echo",
        "environment": f"azureml:{aml.workspace}/environments/sklearn/versions/1",
    }
    _put(aml, "components/echo/versions/1", componentSpec=step)
    node = {"type": "command", "componentId": f"{aml.workspace}/components/echo/versions/1"}
    pipeline = {"type": "pipeline", "inputs": {"times": {"type": "integer"}}, "outputs": {}, "jobs": {"one": node}}
    _put(aml, "components/nightly/versions/1", componentSpec=pipeline)
    path = f"batchEndpoints/{BATCH}"
    _put(aml, path, authMode="AADToken")
    until(lambda: _state(aml, path, "provisioningState") == "Succeeded", path)
    component = {"referenceType": "Id", "assetId": f"{aml.workspace}/components/nightly/versions/1"}
    configuration = {"deploymentConfigurationType": "PipelineComponent", "componentId": component}
    _put(aml, f"{path}/deployments/first", deploymentConfiguration=configuration)
    until(lambda: _state(aml, f"{path}/deployments/first", "provisioningState") == "Succeeded", path)
    _put(aml, path, authMode="AADToken", defaults={"deploymentName": "first"})
    until(lambda: _state(aml, path, "provisioningState") == "Succeeded", path)


def _track(aml: RunningAml) -> None:
    curves = {"loss": lambda step: 1 / (step + 1), "auc": lambda step: 0.912 - math.exp(-step / 9) / 3}
    metrics = [
        {"key": name, "value": value(step), "timestamp": 1, "step": step}
        for name, value in curves.items()
        for step in range(STEPS)
    ]
    address = f"{aml.address}/mlflow/v1.0{aml.workspace}/api/2.0/mlflow/runs/log-batch"
    body = {"run_id": TRAINED, "metrics": metrics, "params": [{"key": "penalty", "value": "l2"}]}
    headers, verify = {"Authorization": f"Bearer {aml.token()}"}, aml.settings["REQUESTS_CA_BUNDLE"]
    assert requests.post(address, json=body, headers=headers, verify=verify, timeout=PATIENCE).ok


def _put(aml: RunningAml, path: str, **properties: Any) -> None:
    answer = aml.call("PUT", path, {"properties": properties})
    assert answer.ok, answer.text


def _done(aml: RunningAml, name: str, body: Any) -> None:
    assert aml.call("PUT", f"onlineEndpoints/{name}", body).ok
    _settled(aml, name)


def _settled(aml: RunningAml, path: str) -> None:
    until(lambda: _state(aml, f"onlineEndpoints/{path}", "provisioningState") == "Succeeded", path)


def _state(aml: RunningAml, path: str, member: str) -> str:
    return str(aml.call("GET", path).json()["properties"][member])
