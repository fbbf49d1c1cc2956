"""Each answer of the local workspace against the types and operations of the service's own generated client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aml.server import ADDRESSES
from aml.serving.changes import Pace
from tests.support import aml_models, batch
from tests.support.aml import MODEL, Here
from tests.support.asgi import Answer
from tests.support.serving import deployment, endpoint_body
from tests.support.waiting import until

if not aml_models.there():
    pytest.skip(aml_models.MISSING, allow_module_level=True)

WORKSPACE = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}"
ASSETS: dict[str, tuple[str, dict[str, Any]]] = {
    "models": ("ModelVersion", MODEL),
    "data": ("DataVersionBase", {"dataType": "uri_file", "dataUri": "azureml://datastores/a/paths/b"}),
    "environments": ("EnvironmentVersion", {"image": "python:3.12"}),
    "codes": ("CodeVersion", {"codeUri": "https://account.blob.core.windows.net/a/b"}),
}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


def judged(kind: str, method: str, answer: Answer, path: str) -> Any:
    """Return the answer, which must have a status of the operation and the members of the type."""
    assert answer.status in aml_models.operations()[method, path], (method, path, answer.status, answer.body)
    assert aml_models.faults(kind, answer.json) == []
    return answer.json


def test_the_workspace(here: Here) -> None:
    judged("Workspace", "GET", here.call("GET", ""), WORKSPACE)
    [listed] = here.call("GET", here.workspace.id.rpartition("/")[0]).json["value"]
    assert aml_models.faults("Workspace", listed) == []


@pytest.mark.parametrize("collection", ASSETS)
def test_versions_and_their_lists(here: Here, collection: str) -> None:
    kind, properties = ASSETS[collection]
    path, place = f"{collection}/a/versions/1", f"{WORKSPACE}/{collection}/{{}}/versions"
    tagged = {**properties, "tags": {"a": "b"}, "properties": {"c": "d"}, "description": "text"}
    for _ in range(2):
        judged(kind, "PUT", here.put(path, **tagged), f"{place}/{{}}")
    judged(kind, "GET", here.call("GET", path), f"{place}/{{}}")
    answer = here.call("GET", f"{collection}/a/versions")
    assert answer.status in aml_models.operations()["GET", place]
    assert [aml_models.faults(kind, each) for each in answer.json["value"]] == [[]]
    for _ in range(2):
        assert here.call("DELETE", path).status in aml_models.operations()["DELETE", f"{place}/{{}}"]


def test_a_model_of_all_versions(here: Here) -> None:
    here.put("models/a/versions/1", **MODEL)
    judged("ModelContainer", "GET", here.call("GET", "models/a"), f"{WORKSPACE}/models/{{}}")
    judged("ModelContainer", "PUT", here.put("models/b", description="text"), f"{WORKSPACE}/models/{{}}")


def test_datastores(here: Here) -> None:
    place = f"{WORKSPACE}/datastores/{{}}"
    own = {"datastoreType": "AzureBlob", "accountName": here.workspace.account.name, "containerName": "data"}
    for _ in range(2):
        made = here.put("datastores/relearn", **own, credentials={"credentialsType": "None"})
        judged("Datastore", "PUT", made, place)
    for each in here.call("GET", "datastores").json["value"]:
        assert aml_models.faults("Datastore", each) == []


def test_online_endpoints(tmp_path: Path) -> None:
    here = Here(tmp_path / "aml", pace=Pace(deployment=3600))
    path, place = "onlineEndpoints/income", f"{WORKSPACE}/onlineEndpoints/{{}}"
    for _ in range(2):
        answer = here.call("PUT", path, {**endpoint_body(description="text"), "tags": {"a": "b"}})
        shown = judged("OnlineEndpoint", "PUT", answer, place)
        until(lambda: here.call("GET", path).json["properties"]["provisioningState"] == "Succeeded", "it is made")
    judged("OnlineEndpoint", "GET", here.call("GET", path), place)
    assert set(shown["systemData"]) >= {"createdAt", "lastModifiedAt"}
    [listed] = here.call("GET", "onlineEndpoints").json["value"]
    assert aml_models.faults("OnlineEndpoint", listed) == []
    judged("EndpointAuthKeys", "POST", here.call("POST", f"{path}/listKeys"), f"{place}/listKeys")
    judged("OnlineEndpoint", "PATCH", here.call("PATCH", path, {"tags": {}}), place)
    other = here.call("PUT", "onlineEndpoints/token", endpoint_body(authMode="AMLToken"))
    judged("OnlineEndpoint", "PUT", other, place)
    token = here.call("POST", "onlineEndpoints/token/token")
    judged("EndpointAuthToken", "POST", token, f"{place}/token")


def test_online_deployments(tmp_path: Path) -> None:
    here = Here(tmp_path / "aml", pace=Pace(deployment=3600))
    place = f"{WORKSPACE}/onlineEndpoints/{{}}/deployments/{{}}"
    here.put("models/a/versions/1", **MODEL)
    here.put("codes/echo/versions/1", codeUri="azureml://datastores/workspaceblobstore/paths/code/")
    here.call("PUT", "onlineEndpoints/income", endpoint_body())
    path = "onlineEndpoints/income/deployments/blue"
    until(lambda: "income" in here.serving.routes, "the endpoint is made")
    given = deployment(here.workspace.id, model="models/a/versions/1")
    scale = {"scaleType": "TargetUtilization", "minInstances": 1, "maxInstances": 2, "pollingInterval": "PT1S"}
    body = {"properties": {**given, "scaleSettings": scale}, "sku": {"name": "Default", "capacity": 2}}
    judged("OnlineDeployment", "PUT", here.call("PUT", path, body), place)
    judged("OnlineDeployment", "GET", here.call("GET", path), place)
    [listed] = here.call("GET", "onlineEndpoints/income/deployments").json["value"]
    assert aml_models.faults("OnlineDeployment", listed) == []
    judged("DeploymentLogs", "POST", here.call("POST", f"{path}/getLogs", {"tail": 5}), f"{place}/getLogs")
    skus = here.call("GET", f"{path}/skus")
    assert skus.status == 200 and skus.json["value"][0]["sku"]["name"] == "Default"


def test_batch_endpoints(here: Here) -> None:
    place = f"{WORKSPACE}/batchEndpoints/{{}}"
    batch.ready(here)
    shown = judged("BatchEndpoint", "GET", here.call("GET", batch.ENDPOINT), place)
    assert set(shown["systemData"]) >= {"createdAt", "lastModifiedAt"}
    judged("BatchEndpoint", "PUT", here.put(batch.ENDPOINT, description="text"), place)
    until(lambda: here.call("GET", batch.ENDPOINT).json["properties"]["provisioningState"] == "Succeeded", "it ends")
    judged("BatchEndpoint", "PATCH", here.call("PATCH", batch.ENDPOINT, {"tags": {"a": "b"}}), place)
    [listed] = here.call("GET", "batchEndpoints").json["value"]
    assert aml_models.faults("BatchEndpoint", listed) == []


def test_batch_deployments(here: Here) -> None:
    place = f"{WORKSPACE}/batchEndpoints/{{}}/deployments/{{}}"
    batch.ready(here)
    path = f"{batch.ENDPOINT}/deployments/first"
    judged("BatchDeployment", "GET", here.call("GET", path), place)
    judged("BatchDeployment", "PUT", here.put(path, **batch.deployment(here, description="text")), place)
    until(lambda: here.call("GET", path).json["properties"]["provisioningState"] == "Succeeded", "it ends")
    described = {"properties": {"description": "text"}, "tags": {"a": "b"}}
    judged("BatchDeployment", "PATCH", here.call("PATCH", path, described), place)
    for each in here.call("GET", f"{batch.ENDPOINT}/deployments").json["value"]:
        assert aml_models.faults("BatchDeployment", each) == []
    started = batch.invoked(here).json["name"]
    judged("JobBase", "GET", here.call("GET", f"jobs/{started}"), f"{WORKSPACE}/jobs/{{}}")


def test_refusals(here: Here) -> None:
    for answer in (here.call("GET", "models/a"), here.call("GET", "", token=""), here.put("models/a/versions/1")):
        assert aml_models.faults("ErrorResponse", answer.json) == []


def test_the_judge_refuses_what_is_not_as_specified() -> None:
    version = {"id": "a", "name": "1", "type": "t", "properties": {"modelUri": "a", "isArchived": False}}
    assert aml_models.faults("ModelVersion", version) == []
    for wrong in ({"isArchived": "no"}, {"unknown": 1}, {"modelUri": None}):
        assert aml_models.faults("ModelVersion", {**version, "properties": wrong})
    assert aml_models.faults("ModelVersion", {"id": "a"})
    assert aml_models.faults("Datastore", {"properties": {"datastoreType": "AzureBlob"}})


def test_every_address_of_the_control_plane_is_an_operation_of_the_service() -> None:
    """Containers of code, environments and components, and computes, are not among the operations at hand."""
    known = set(aml_models.operations())
    here = {(method, re.sub(r"{[^}]*}", "{}", path)) for _, method, path, _ in ADDRESSES if path.startswith("/sub")}
    beside = {path for _, path in here - known if path.startswith(WORKSPACE)}
    assert {path.replace(WORKSPACE, "") for path in beside} == {
        *(f"/{name}{rest}" for name in ("codes", "environments", "components") for rest in ("", "/{}")),
        "/components/{}/versions",
        "/components/{}/versions/{}",
        "/computes",
        "/computes/{}",
        "/providers/Microsoft.Authorization/permissions",
    }
