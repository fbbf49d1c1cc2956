"""New web services, commitment plans and workspaces in the resource manager: what they take, refuse and answer."""

from __future__ import annotations

import copy
import json
from typing import Any

import requests

from local.workplace import Workplace
from studio.experiments.loading import load_experiment
from studio.state.records import Endpoint, WebService
from tests.support.arm import Manager, error_of
from tests.support.new_web_services import (
    PREVIEW,
    score,
)


def test_a_service_is_made_of_any_graph_and_scores_with_each_of_its_trained_models(
    place: Workplace, manager: Manager
) -> None:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    run = place.studio.studio.run(load_experiment("wine-cellar"), frame.to_csv(index=False).encode())
    cellar = place.studio.studio.deploy_new(run, "cellar")
    exported = manager.call("GET", cellar.management).json()
    text = json.dumps(exported["properties"])
    for old, new in (("score1", "Anything At All"), ("model2", "mödel"), ("asset2", "Asset-Two"), ("output2", "grew")):
        text = text.replace(old, new)
    copied = manager.service("cellar copy")
    accepted = manager.call("PUT", copied, {"location": "South Central US", "properties": json.loads(text)})
    assert accepted.status_code == 201
    assert manager.outcome(accepted) == "Succeeded"

    columns = [str(name) for name in frame.columns]
    table = {"ColumnNames": columns, "Values": [[str(cell) for cell in row] for row in frame.values[:3].tolist()]}
    inputs = {"input1": table, "input2": table}
    original, made = (score(place, manager, each, inputs) for each in (cellar.management, copied))
    assert set(made) == {"output1", "grew"}
    assert (made["output1"], made["grew"]) == (original["output1"], original["output2"])
    assert "Anything At All" in manager.call("GET", copied).json()["properties"]["package"]["nodes"]


def test_a_put_replaces_a_definition_without_a_warning(
    manager: Manager, definition: dict[str, Any], service: str
) -> None:
    keys = manager.call("GET", f"{service}/listKeys").json()
    manager.call("PATCH", service, {"tags": {"team": "a"}, "properties": {"packageType": "Graph", "title": "Mine"}})
    assert manager.call("GET", service).json()["tags"] == {"team": "a"}
    bare = {name: definition["properties"][name] for name in ("packageType", "assets", "package")}

    replaced = manager.call("PUT", service, {"location": "southcentralus", "properties": bare})

    assert (replaced.status_code, manager.outcome(replaced)) == (200, "Succeeded")
    shown = manager.call("GET", service).json()
    assert shown["tags"] == {}
    assert "title" not in shown["properties"]
    assert "input" not in shown["properties"]
    assert shown["properties"]["storageAccount"] == definition["properties"]["storageAccount"]
    assert manager.call("GET", f"{service}/listKeys").json() == keys


def test_keys_are_taken_and_read_only_where_keys_are_asked_for(
    place: Workplace, manager: Manager, definition: dict[str, Any]
) -> None:
    service, secret = manager.service("keys"), "c2VjcmV0IG9mIHRoZSBzdG9yYWdl"
    definition["properties"] |= {
        "keys": {"primary": "mine", "secondary": "mine too"},
        "storageAccount": {**definition["properties"]["storageAccount"], "key": secret},
    }
    for asset in definition["properties"]["assets"].values():
        asset["locationInfo"]["credentials"] = f"AccountKey={secret}"

    answers = [manager.call("PUT", service, definition), manager.call("PUT", service, definition)]
    answers += [manager.call("GET", service), manager.call("GET", f"{manager.group}/webServices")]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    assert not any(secret in answer.text or '"mine' in answer.text for answer in answers)
    assert manager.call("GET", f"{service}/listKeys").json() == {"primary": "mine", "secondary": "mine too"}
    assert score(place, manager, service)["output1"]["value"]["Values"]
    manager.call("PATCH", service, {"properties": {"packageType": "Graph", "keys": {"secondary": "third"}}})
    assert manager.call("GET", f"{service}/listKeys").json() == {"primary": "mine", "secondary": "third"}


def test_members_come_in_any_case_and_the_users_own_names_keep_theirs(
    manager: Manager, definition: dict[str, Any]
) -> None:
    properties = definition["properties"]
    properties["assets"] = {f"TITLE{key}": asset for key, asset in properties["assets"].items()}
    for node in properties["package"]["nodes"].values():
        if "assetId" in node:
            node["assetId"] = f"TITLE{node['assetId']}"
    properties["input"]["properties"]["input1"]["properties"]["Type"] = {"type": "String", "x-ms-isnullable": True}

    def louder(value: Any, named: bool = False) -> Any:
        """Write members in capitals; where the keys are `named` by a user they stay."""
        if isinstance(value, list):
            return [louder(each) for each in value]
        if not isinstance(value, dict):
            return value
        maps = {"tags", "assets", "nodes", "parameters", "outputPorts", "graphParameters"}
        maps |= {"properties"} if value.get("type") == "object" else set()
        return {(k if named else k.upper()): louder(v, not named and k in maps) for k, v in value.items()}

    body = louder({**definition, "tags": {"Name": "x"}})
    service = manager.service("casing")
    assert manager.outcome(manager.call("PUT", service, body)) == "Succeeded"

    shown = manager.call("GET", service).json()
    assert shown["tags"] == {"Name": "x"}
    for member in ("assets", "package", "input", "output", "title", "packageType"):
        assert shown["properties"][member] == properties[member]


def test_a_resource_is_found_in_any_case_of_its_id(manager: Manager, service: str) -> None:
    for spelt in (service.upper(), service.lower(), service.replace("resourceGroups", "resourcegroups")):
        assert manager.call("GET", spelt).json()["id"] == service
        assert manager.call("GET", f"{spelt}/LISTKEYS").status_code == 200
    assert len(manager.call("GET", f"{manager.group.lower()}/webservices").json()["value"]) > 0


def test_what_cannot_change_is_refused_with_a_code_that_names_it(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    account = place.studio.studio.blobs.account
    workspace = {"machineLearningWorkspace": {"id": "/workspaces/one"}}
    assert manager.call("PATCH", service, {"properties": {"packageType": "Graph", **workspace}}).status_code == 200
    before = manager.call("GET", service).json()

    def refusal(method: str, members: dict[str, Any], location: str = "South Central US") -> requests.Response:
        properties = {**definition["properties"], **members}
        return manager.call(method, service, {"location": location, "properties": properties})

    for method in ("PUT", "PATCH"):
        for members, code in (
            ({"storageAccount": {"name": "other"}}, "CannotChangeStorageAccount"),
            ({"commitmentPlan": {"id": "/another"}}, "CannotChangeCommitmentPlan"),
            ({"machineLearningWorkspace": {"id": "/workspaces/two"}}, "CannotChangeMachineLearningWorkspace"),
            ({"packageType": "Code"}, "CannotChangePackageType"),
        ):
            assert error_of(refusal(method, members)) == (400, "BadRequest", code)
    assert error_of(refusal("PUT", {}, "West Europe")) == (400, "BadRequest", "CannotChangeLocation")
    error = refusal("PATCH", {"storageAccount": {"name": "other"}}).json()["error"]
    assert error["message"] == "The request is invalid."
    assert error["details"][0]["message"] == (
        f"The StorageAccount cannot be changed. Currently configured storage account name = '{account}'."
    )
    assert manager.call("GET", service).json() == before


def test_a_read_only_service_can_only_be_deleted(manager: Manager, definition: dict[str, Any], service: str) -> None:
    frozen = {"properties": {"packageType": "Graph", "readOnly": True}}
    assert manager.outcome(manager.call("PATCH", service, frozen)) == "Succeeded"
    for method, body in (
        ("PATCH", {"properties": {"packageType": "Graph", "readOnly": False}}),
        ("PATCH", {"tags": {"a": "b"}}),
        ("PUT", definition),
    ):
        assert error_of(manager.call(method, service, body)) == (400, "BadRequest", "CannotChangeReadOnly")
    assert manager.outcome(manager.call("DELETE", service)) == "Succeeded"
    assert manager.call("GET", service).status_code == 404


def test_the_package_type_is_required_and_only_graph_is_one(manager: Manager, definition: dict[str, Any]) -> None:
    service = manager.service("typed")
    code = {**definition, "properties": {**definition["properties"], "packageType": "Code"}}
    assert error_of(manager.call("PUT", service, code)) == (400, "BadArgument", "WebServiceTypeInvalid")
    del code["properties"]["packageType"]
    answer = manager.call("PUT", service, code)
    assert error_of(answer) == (400, "BadArgument", "RequestBodyInvalid")
    assert "packageType" in answer.json()["error"]["details"][0]["message"]
    assert manager.call("GET", service).status_code == 404


def test_the_endpoint_takes_as_many_calls_at_once_as_the_definition_says(
    place: Workplace, manager: Manager, service: str
) -> None:
    def patched(calls: Any) -> requests.Response:
        realtime = {"realtimeConfiguration": {"maxConcurrentCalls": calls}}
        return manager.call("PATCH", service, {"properties": {"packageType": "Graph", **realtime}})

    assert error_of(patched(3))[2] == "WebServiceConcurrentRequestRequirementInvalid"
    assert error_of(patched(201))[2] == "WebServiceTooManyConcurrentRequestRequirement"
    assert error_of(patched("many"))[2] == "RequestBodyInvalid"
    assert manager.outcome(patched(200)) == "Succeeded"
    records = place.studio.studio.records
    kept = records.get(WebService, service.lower())
    assert records.get(Endpoint, kept.endpoint).max_concurrent_calls == 200


def test_the_preview_writes_parameters_as_text_and_2017_as_objects(
    manager: Manager, definition: dict[str, Any]
) -> None:
    old = copy.deepcopy(definition)
    for node in old["properties"]["package"]["nodes"].values():
        if "parameters" in node:
            node["parameters"] = {name: given["value"] for name, given in node["parameters"].items()}
    old["properties"]["parameters"] = {"Seed": "7"}
    service = manager.service("preview")

    refused = manager.call("PUT", service, old)
    assert error_of(refused)[2] == "RequestBodyInvalid"
    assert manager.outcome(manager.call("PUT", service, old, version=PREVIEW)) == "Succeeded"

    shown, shown_before = (manager.call("GET", service, version=each).json() for each in ("2017-01-01", PREVIEW))
    assert shown["properties"]["parameters"] == {"Seed": {"value": "7"}}
    assert shown["properties"]["package"] == definition["properties"]["package"]
    assert shown_before["properties"]["parameters"] == {"Seed": "7"}
    assert shown_before["properties"]["package"] == old["properties"]["package"]
    assert "payloadsInBlobStorage" not in shown_before["properties"]
    assert error_of(manager.call("PUT", service, definition, version=PREVIEW))[2] == "RequestBodyInvalid"


def test_a_patch_of_the_preview_is_a_whole_service_and_one_of_2017_what_changes(manager: Manager, service: str) -> None:
    change = {"properties": {"packageType": "Graph", "title": "Another"}}
    assert error_of(manager.call("PATCH", service, change, version=PREVIEW))[2] == "RequestBodyInvalid"
    located = {**change, "location": "South Central US"}
    assert manager.outcome(manager.call("PATCH", service, located, version=PREVIEW)) == "Succeeded"
    assert manager.call("GET", service).json()["properties"]["title"] == "Another"
    assert manager.outcome(manager.call("PATCH", service, {"tags": {"a": "b"}})) == "Succeeded"
    shown = manager.call("GET", service).json()
    assert (shown["properties"]["title"], shown["tags"]) == ("Another", {"a": "b"})
