"""The resource manager against Microsoft's published specifications, where a copy of them is at hand.

`RELEARN_SPECIFICATIONS` names their folder (`2017-01-01/webservices.json` in it, as in Azure/azure-rest-api-specs);
without the setting it is looked for beside the checkout. Every operation is called, every body that is sent or answered
is validated, and a documented answer that was never seen fails the test.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from local.children import ROOT
from local.workplace import PIPELINE, Workplace
from shared.adapters.http import Answer, Service
from shared.app import App
from shared.base.settings import Settings
from tests.support.arm import Manager, error_of
from tests.support.specifications import Judge, Specification

FOLDER = Path(os.environ.get("RELEARN_SPECIFICATIONS") or ROOT.parent / "shared" / "specs")
PREVIEW = "2016-05-01-preview"
GROUP = {"resourceGroupName": "relearn"}
#: Documented answers that are not given, and why.
NOT_GIVEN = {
    ("DELETE", "{webServiceName}", "204"): "202 is returned even if the service did not exist, says its description",
    ("POST", "CreateRegionalBlob", "200"): "internal use only, says its description: it is the operation's own answer",
    ("PUT", "{commitmentPlanName}", "201"): "recorded traffic answers 200 when a plan is made",
}
#: Recorded traffic has two at most members in the properties of a service that is being made.
BEING_MADE = frozenset({"properties: 'packageType' is a required property"})

if not (FOLDER / "2017-01-01" / "webservices.json").exists():
    pytest.skip(
        "Microsoft's specifications are not here, so no test of this file ran: copy what is in stable/ and preview/ of "
        "specification/machinelearning/resource-manager/Microsoft.MachineLearning of Azure/azure-rest-api-specs into "
        "one folder, and set RELEARN_SPECIFICATIONS to it",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def manager(place: Workplace) -> Manager:
    identity = place.studio.studio.identity
    return Manager(place.studio.address, identity.arm_token, identity.subscription)


def exported(place: Workplace, manager: Manager, version: str) -> dict[str, Any]:
    """Return the published service's definition as its owner would send it elsewhere."""
    answer = manager.call("GET", place.new.management, version=version).json()
    own = ("createdOn", "modifiedOn", "provisioningState", "swaggerLocation")
    properties = {name: value for name, value in answer["properties"].items() if name not in own}
    properties["keys"] = {"primary": "first", "secondary": "second"}
    properties["storageAccount"] = {**properties["storageAccount"], "key": "a2V5"}
    return {"location": answer["location"], "tags": {"tag": "value"}, "properties": properties}


def follow(judge: Judge, manager: Manager, accepted: requests.Response) -> dict[str, Any]:
    """Return the operation's answer, which has the members of recorded traffic beside those that are specified."""
    body = manager.follow(accepted)
    if judge.specification.version != PREVIEW:
        specified = {name: value for name, value in body.items() if name not in ("status", "error")}
        assert judge.specification.named("AsyncOperationStatus", specified) == []
    return body


@pytest.mark.parametrize("version", ["2017-01-01", PREVIEW])
def test_every_answer_of_web_services_is_as_specified(place: Workplace, manager: Manager, version: str) -> None:
    judge = Judge(Specification(FOLDER / version / "webservices.json"), manager)
    definition = exported(place, manager, version)
    names = {**GROUP, "webServiceName": f"specified-{version}"}

    made = judge.call("PUT", "/webServices/{webServiceName}", definition, BEING_MADE, **names)
    assert (made.status_code, follow(judge, manager, made)["status"]) == (201, "Succeeded")
    replaced = judge.call("PUT", "/webServices/{webServiceName}", definition, **names)
    assert (replaced.status_code, follow(judge, manager, replaced)["status"]) == (200, "Succeeded")
    shown = judge.call("GET", "/webServices/{webServiceName}", **names).json()
    assert shown["properties"]["package"] == definition["properties"]["package"]
    patch = {"tags": {"other": "value"}, "properties": {"packageType": "Graph", "title": "Another"}}
    patched = judge.call(
        "PATCH",
        "/webServices/{webServiceName}",
        {**patch, "location": definition["location"]} if version == PREVIEW else patch,
        **names,
    )
    assert follow(judge, manager, patched)["status"] == "Succeeded"
    broken = copy.deepcopy(definition)
    broken["properties"]["package"]["edges"][0]["targetNodeId"] = "nowhere"
    failed = judge.call("PUT", "/webServices/{webServiceName}", broken, **names)
    assert follow(judge, manager, failed)["status"] == "Failed"
    keys = judge.call("GET", "/listKeys", **names).json()
    assert keys == {"primary": "first", "secondary": "second"}
    listed = "/providers/Microsoft.MachineLearning/webServices"
    judge.call("GET", f"{{resourceGroupName}}{listed}", **GROUP, **{"$skiptoken": "0"})
    judge.call("GET", f"{{subscriptionId}}{listed}")
    if version != PREVIEW:
        judge.call("GET", "/providers/Microsoft.MachineLearning/operations")
        copied = judge.call("POST", "/CreateRegionalBlob", region="westcentralus", **names)
        assert follow(judge, manager, copied)["status"] == "Succeeded"
        judge.call("GET", "/webServices/{webServiceName}", region="westcentralus", **names)
    for _ in range(2):
        deleted = judge.call("DELETE", "/webServices/{webServiceName}", **names)
        assert (deleted.status_code, follow(judge, manager, deleted)["status"]) == (202, "Succeeded")

    given = set(NOT_GIVEN) - {("PUT", "{commitmentPlanName}", "201")}
    assert judge.unseen() == (given - {("POST", "CreateRegionalBlob", "200")} if version == PREVIEW else given)


def test_every_answer_of_commitment_plans_is_as_specified(place: Workplace, manager: Manager) -> None:
    judge = Judge(Specification(FOLDER / PREVIEW / "commitmentPlans.json"), manager)
    names = {**GROUP, "commitmentPlanName": "specified"}
    other = {**GROUP, "commitmentPlanName": "other"}
    body = {
        "location": "South Central US",
        "sku": {"name": "S1", "tier": "Standard", "capacity": 1},
        "tags": {"a": "b"},
    }
    for each in (names, other, names):
        plan = judge.call("PUT", "/commitmentPlans/{commitmentPlanName}", body, **each).json()
    definition = exported(place, manager, PREVIEW)
    definition["properties"]["commitmentPlan"] = {"id": plan["id"]}
    service = manager.service("specified-plan")
    manager.follow(manager.call("PUT", service, definition, version=PREVIEW))

    judge.call("GET", "/providers/Microsoft.MachineLearning/operations")
    judge.call("GET", "/skus")
    judge.call("GET", "/commitmentPlans/{commitmentPlanName}", **names)
    judge.call("PATCH", "/commitmentPlans/{commitmentPlanName}", {"tags": {}, "sku": {"capacity": 2}}, **names)
    judge.call("GET", "{resourceGroupName}/providers/Microsoft.MachineLearning/commitmentPlans", **GROUP)
    judge.call("GET", "{subscriptionId}/providers/Microsoft.MachineLearning/commitmentPlans")
    judge.call("GET", "/usageHistory", **names)
    [association] = judge.call("GET", "/commitmentAssociations", **names).json()["value"]
    assert association["properties"]["associatedResourceId"] == service
    one = {**names, "commitmentAssociationName": association["name"]}
    judge.call("GET", "/{commitmentAssociationName}", **one)
    destination = {"destinationPlanId": plan["id"].replace("specified", "other")}
    judge.call("POST", "/move", destination, **one)
    judge.call("DELETE", "/commitmentPlans/{commitmentPlanName}", **names)

    assert judge.unseen() == {("PUT", "{commitmentPlanName}", "201")} <= set(NOT_GIVEN)


@pytest.mark.parametrize("version", ["2016-04-01", "2019-10-01"])
def test_every_answer_of_workspaces_is_as_specified(manager: Manager, version: str) -> None:
    judge = Judge(Specification(FOLDER / version / "workspaces.json"), manager)
    names = {**GROUP, "workspaceName": f"specified-{version}"}
    properties = {"userStorageAccountId": "/storage/one", "ownerEmail": "ann@example.com"}
    body: dict[str, Any] = {"location": "West Europe", "tags": {"a": "b"}, "properties": properties}
    change: dict[str, Any] = {"tags": {"c": "d"}, "properties": {"keyVaultIdentifierId": "vault"}}
    if version == "2019-10-01":
        body["sku"] = change["properties"]["sku"] = {"name": "Enterprise", "tier": "Enterprise"}

    judge.call("PUT", "/{workspaceName}", body, **names)
    shown = judge.call("PATCH", "/{workspaceName}", change, **names).json()
    assert (shown["tags"], shown["properties"]["keyVaultIdentifierId"]) == ({"c": "d"}, "vault")
    judge.call("GET", "/{workspaceName}", **names)
    judge.call("POST", "/listWorkspaceKeys", **names)
    judge.call("POST", "/resyncStorageKeys", **names)
    judge.call("GET", "{resourceGroupName}/providers/Microsoft.MachineLearning/workspaces", **GROUP)
    judge.call("GET", "{subscriptionId}/providers/Microsoft.MachineLearning/workspaces")
    judge.call("GET", "/providers/Microsoft.MachineLearning/operations")
    judge.call("DELETE", "/{workspaceName}", **names)
    judge.call("DELETE", "/{workspaceName}", **names)
    for method, ending in (("GET", ""), ("PATCH", ""), ("POST", "/listWorkspaceKeys"), ("POST", "/resyncStorageKeys")):
        missing = judge.call(method, f"{{workspaceName}}{ending}", change if method == "PATCH" else None, **names)
        assert error_of(missing) == (404, "NotFound", "WorkspaceNotFound")
    refused = judge.call("PUT", "/{workspaceName}", {**body, "location": ""}, **{**names, "workspaceName": "bad&"})
    assert refused.status_code == 400
    own = judge.call("DELETE", "/{workspaceName}", **{**names, "workspaceName": "relearn"})
    assert own.status_code == 409
    # The other lists can fail for nobody who may ask; whoever may not gets an error of the same shape.
    stranger = Judge(judge.specification, Manager(manager.address, "wrong", manager.subscription))
    stranger.call("GET", "{resourceGroupName}/providers/Microsoft.MachineLearning/workspaces", **GROUP)
    stranger.call("GET", "{subscriptionId}/providers/Microsoft.MachineLearning/workspaces")
    stranger.call("GET", "/providers/Microsoft.MachineLearning/operations")

    assert judge.unseen() & stranger.unseen() == set()


def examples() -> list[Path]:
    return sorted(FOLDER.glob("201[679]-*/examples/*.json"))


def test_the_examples_that_the_specifications_ship_are_taken(place: Workplace, manager: Manager) -> None:
    """The modules of the example's graph are not run here, so that its PUT is accepted and its operation fails."""
    subscription, taken = manager.subscription, set()
    plan = "resourceGroups/resourceGroupName/providers/Microsoft.MachineLearning/commitmentPlans/commitmentPlanName"
    sent = {"location": "West US"}
    assert manager.call("PUT", f"/subscriptions/{subscription}/{plan}", sent, version=PREVIEW).status_code == 200
    group = f"/subscriptions/{subscription}/resourceGroups/OneResourceGroupName/providers/Microsoft.MachineLearning"
    service = f"{group}/webServices/TargetWebServiceName"
    order = ("Create", "put", "get", "Get", "patch", "Update", "List", "Resync", "create", "delete", "Delete")
    for file in sorted(examples(), key=lambda each: order.index(next(n for n in order if each.name.startswith(n)))):
        version = file.parent.parent.name
        name = "webservices.json" if version == "2017-01-01" else "workspaces.json"
        judge = Judge(Specification(FOLDER / version / name), manager)
        text = file.read_text("utf-8").replace("/subscriptions/subscriptionId/", f"/subscriptions/{subscription}/")
        example = json.loads(text)
        given = {
            key: value for key, value in example["parameters"].items() if key not in ("api-version", "subscriptionId")
        }
        body = next((given.pop(key) for key in list(given) if isinstance(given[key], dict)), None)
        operations = judge.specification.operations()
        [(method, path)] = [
            key
            for key, each in operations.items()
            if f"./examples/{file.name}" in json.dumps(each.get("x-ms-examples"))
        ]
        tolerated = BEING_MADE if file.name == "putWebService.json" else frozenset()
        answer = judge.call(method, path, body, tolerated, **given)
        assert str(answer.status_code) in example["responses"], f"{file.name}: {answer.text}"
        taken.add(file)
        if file.name == "putWebService.json":
            error = manager.follow(answer)["error"]["details"][0]
            assert error["message"].endswith("is the module 'Execute R Script'; only Score Model is run here.")
            manager.follow(manager.call("PUT", service, exported(place, manager, "2017-01-01")))
    assert taken == set(examples()) != set()


def test_what_the_app_sends_is_as_specified(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    specification = Specification(FOLDER / "2017-01-01" / "webservices.json")
    sent: list[tuple[str, Any, Answer]] = []
    call = Service.call

    def recorded(self: Service, method: str, path: str, *, body: Any = None, **parameters: str) -> Answer:
        answer = call(self, method, path, body=body, **parameters)
        sent.append((f"{method} {path}", body, answer))
        return answer

    monkeypatch.setattr(Service, "call", recorded)
    app = App(Settings(place.settings))
    endpoint = app.endpoints_of(app.pipelines[PIPELINE])["new"]
    endpoint.update(endpoint.model(), lambda _: None)

    [patched] = [body for asked, body, _ in sent if asked.startswith("PATCH ")]
    assert specification.named("PatchedWebService", patched) == []
    assert [answer.json()["status"] for asked, _, answer in sent if "/operationsStatus/" in asked] == ["Succeeded"]


def test_the_judge_finds_what_is_not_as_specified(place: Workplace, manager: Manager) -> None:
    specification = Specification(FOLDER / "2017-01-01" / "webservices.json")
    right = manager.call("GET", place.new.management).json()
    assert specification.named("WebService", right) == []
    for change in (
        {"location": 7},
        {"unknown": 1},
        {"properties": {**right["properties"], "package": {"nodes": {"n": {"asset": "a"}}}}},
        {"properties": {**right["properties"], "createdOn": "yesterday"}},
        {"properties": {**right["properties"], "unknown": 1}},
    ):
        assert len(specification.named("WebService", {**right, **change})) > 0
