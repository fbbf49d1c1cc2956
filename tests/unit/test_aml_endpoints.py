"""Online endpoints and deployments as resources: what a write takes, what it refuses, and what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aml.api.online_deployments import MOST_BYTES, last_lines
from aml.api.online_forms import read_deployment
from aml.serving.changes import Pace
from aml.state.records import Operation, make
from aml.state.serving import Deployment, Endpoint
from tests.support.aml import MODEL, Here, refusal
from tests.support.serving import endpoint_body
from tests.support.waiting import until

INCOME = "onlineEndpoints/income"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A workspace whose deployments are being made as long as a test takes."""
    return Here(tmp_path / "aml", pace=Pace(deployment=3600))


def made(here: Here, name: str = "income", **properties: Any) -> None:
    answer = here.call("PUT", f"onlineEndpoints/{name}", endpoint_body(**properties))
    assert answer.status in (200, 201), answer.body
    until(lambda: state_of(here, f"onlineEndpoints/{name}") == "Succeeded", "the endpoint is made")


def state_of(here: Here, path: str) -> str:
    return str(here.call("GET", path).json["properties"]["provisioningState"])


def serve(here: Here, *names: str, state: str = "Succeeded", served: str = "folder") -> None:
    """Record deployments that answer; their processes are tried elsewhere."""
    properties = read_deployment({"endpointComputeType": "Managed", "model": "models/a/versions/1"})
    for name in names:
        place = f"{INCOME}/deployments/{name}"
        sku = {"name": "Default", "capacity": 1}
        here.workspace.records.put(
            make(Deployment, place, properties, state=state, served=served, folder=served, sku=sku)
        )


def deployment_body(here: Here, **properties: Any) -> dict[str, Any]:
    here.put("models/a/versions/1", **MODEL)
    given = {"endpointComputeType": "Managed", "model": f"{here.workspace.id}/models/a/versions/1", **properties}
    return {"location": "westeurope", "properties": given, "sku": {"name": "Default", "capacity": 1}}


def test_a_put_replaces_what_it_does_not_name(here: Here) -> None:
    made(here)
    serve(here, "blue", "green")
    made(here, traffic={"blue": 90, "green": 10}, description="text")
    assert here.call("GET", INCOME).json["properties"]["traffic"] == {"blue": 90, "green": 10}
    made(here)
    properties = here.call("GET", INCOME).json["properties"]
    assert properties["traffic"] == {} and "description" not in properties


def test_a_patch_changes_tags_and_identity_and_leaves_the_traffic(here: Here) -> None:
    made(here)
    serve(here, "blue")
    made(here, traffic={"blue": 100})
    patched = here.call("PATCH", INCOME, {"tags": {"a": "b"}, "properties": {"traffic": {}}})
    assert (patched.status, patched.json["tags"]) == (200, {"a": "b"})
    until(lambda: state_of(here, INCOME) == "Succeeded", "it is patched")
    assert here.call("GET", INCOME).json["properties"]["traffic"] == {"blue": 100}


@pytest.mark.parametrize(
    ("traffic", "mirror"),
    [
        ({"blue": 50}, {}),
        ({"blue": 60, "green": 50}, {}),
        ({"blue": 100.0}, {}),
        ({"blue": 150, "green": -50}, {}),
        ({"blue": "100"}, {}),
        ({"blue": True, "green": 99}, {}),
        ({"nowhere": 100}, {}),
        ({"blue": 100}, {"blue": 10}),
        ({"blue": 100}, {"green": 51}),
        ({"blue": 100}, {"green": 10, "red": 10}),
        ({"blue": 100}, {"nowhere": 10}),
    ],
)
def test_traffic_that_cannot_be_followed_is_refused_and_changes_nothing(
    here: Here, traffic: dict[str, Any], mirror: dict[str, Any]
) -> None:
    made(here)
    serve(here, "blue", "green", "red")
    made(here, traffic={"blue": 100})
    answer = here.call("PUT", INCOME, endpoint_body(traffic, mirrorTraffic=mirror))
    assert refusal(answer)[0] == 400
    assert here.call("GET", INCOME).json["properties"]["traffic"] == {"blue": 100}


def test_names_in_a_traffic_map_are_read_in_any_case(here: Here) -> None:
    made(here)
    serve(here, "Blue")
    made(here, traffic={"BLUE": 100, "blue": 0})
    assert here.call("GET", INCOME.upper()).json["properties"]["traffic"] == {"Blue": 100}


def test_a_failed_deployment_cannot_have_traffic(here: Here) -> None:
    made(here)
    serve(here, "blue", state="Failed", served="")
    answer = here.call("PUT", INCOME, endpoint_body({"blue": 100}))
    assert refusal(answer) == (400, "BadRequest")
    assert "answers nothing" in answer.json["error"]["message"]


@pytest.mark.parametrize("maps", [{"traffic": {"blue": 100}}, {"mirrorTraffic": {"blue": 10}}])
def test_a_deployment_with_traffic_is_not_deleted(here: Here, maps: dict[str, Any]) -> None:
    made(here)
    serve(here, "blue")
    made(here, **maps)
    answer = here.call("DELETE", f"{INCOME}/deployments/blue")
    assert refusal(answer) == (400, "BadRequest")
    made(here, traffic={"blue": 0})
    gone = here.call("DELETE", f"{INCOME}/deployments/blue")
    assert gone.status == 202 and "location" in gone.headers
    until(lambda: here.call("GET", f"{INCOME}/deployments/blue").status == 404, "it is deleted")
    assert here.call("GET", INCOME).json["properties"]["traffic"] == {}
    assert here.call("DELETE", f"{INCOME}/deployments/blue").status == 204


@pytest.mark.parametrize("state", ["Creating", "Updating", "Deleting"])
def test_while_an_endpoint_changes_no_other_write_is_taken(here: Here, state: str) -> None:
    made(here)
    serve(here, "blue")
    kept = here.workspace.records.find(Endpoint, INCOME.lower())
    assert kept
    here.workspace.records.put(kept.begun(state, kept.operation))
    for method, path, body in (
        ("PUT", INCOME, endpoint_body()),
        ("PATCH", INCOME, {"tags": {}}),
        ("DELETE", INCOME, None),
        ("POST", f"{INCOME}/regenerateKeys", {"keyType": "Primary"}),
        ("PUT", f"{INCOME}/deployments/blue", deployment_body(here)),
        ("PATCH", f"{INCOME}/deployments/blue", {"tags": {}}),
        ("DELETE", f"{INCOME}/deployments/blue", None),
    ):
        answer = here.call(method, path, body)
        assert refusal(answer) == (400, "BadRequest"), (method, path)
        assert f"because it is in {state} provisioning state" in answer.json["error"]["message"]
    assert len(here.workspace.records.all(Operation, kept.id)) == 1  # a refused write leaves no operation


def test_while_a_deployment_changes_its_endpoint_can_be_written(here: Here) -> None:
    made(here)
    serve(here, "blue", state="Updating")
    assert refusal(here.call("PUT", f"{INCOME}/deployments/blue", deployment_body(here))) == (400, "BadRequest")
    made(here, traffic={"blue": 100})


def test_an_endpoint_is_deleted_with_its_deployments(here: Here) -> None:
    made(here)
    serve(here, "blue")
    made(here, traffic={"blue": 100})
    assert here.call("DELETE", INCOME).status == 202
    until(lambda: here.call("GET", INCOME).status == 404, "it is deleted")
    assert here.call("DELETE", INCOME).status == 204
    assert here.workspace.records.all(Deployment) == []
    until(lambda: not list(here.serving.folder.glob("*")), "its files are removed")


def test_keys_are_made_given_and_regenerated(here: Here) -> None:
    made(here, keys={"primaryKey": "mine"})
    keys = here.call("POST", f"{INCOME}/listKeys").json
    assert keys["primaryKey"] == "mine" and len(keys["secondaryKey"]) > 40
    assert "mine" not in str(here.call("GET", INCOME).json)
    # As the official client does it: with the present key.
    wanted = {"keyType": "Secondary", "keyValue": keys["secondaryKey"]}
    assert here.call("POST", f"{INCOME}/regenerateKeys", wanted).status == 202
    until(lambda: state_of(here, INCOME) == "Succeeded", "the key is made")
    later = here.call("POST", f"{INCOME}/listKeys").json
    assert later["primaryKey"] == "mine" and later["secondaryKey"] != keys["secondaryKey"]
    made(here)
    assert here.call("POST", f"{INCOME}/listKeys").json == later  # a PUT keeps them


def test_each_mode_of_authentication_has_its_own_secrets(here: Here) -> None:
    made(here, authMode="amltoken")
    assert here.call("GET", INCOME).json["properties"]["authMode"] == "AMLToken"
    assert refusal(here.call("POST", f"{INCOME}/listKeys"))[0] == 400
    assert set(here.call("POST", f"{INCOME}/token").json) == {
        "accessToken",
        "expiryTimeUtc",
        "refreshAfterTimeUtc",
        "tokenType",
    }
    made(here, "other")
    assert refusal(here.call("POST", "onlineEndpoints/other/token"))[0] == 400


@pytest.mark.parametrize("name", ["ab", "1ab", "a--b", "a_b", "ab-", "a" * 33])
def test_a_name_that_is_not_a_host_name_is_refused(here: Here, name: str) -> None:
    assert refusal(here.call("PUT", f"onlineEndpoints/{name}", endpoint_body())) == (400, "UserError")


def test_an_endpoint_without_an_identity_is_refused(here: Here) -> None:
    answer = here.call("PUT", INCOME, {"properties": {"authMode": "Key"}})
    assert refusal(answer) == (400, "UserError") and answer.json["error"]["target"] == "identity"


@pytest.mark.parametrize(
    "properties",
    [
        {"endpointComputeType": "Kubernetes"},
        {"model": None},
        {"model": "models/none/versions/1"},
        {"model": "https://example.com/a/b"},
        {"environmentId": "environments/none/versions/1"},
        {"codeConfiguration": {"codeId": "codes/none/versions/1", "scoringScript": "score.py"}},
        {"codeConfiguration": {"codeId": "codes/none/versions/1"}},
        {"requestSettings": {"requestTimeout": "5"}},
        {"requestSettings": {"requestTimeout": "PT181S"}},
        {"requestSettings": {"requestTimeout": "PT0S"}},
        {"requestSettings": {"maxConcurrentRequestsPerInstance": 0}},
        {"livenessProbe": {"period": "x"}},
        {"scaleSettings": {"scaleType": "Magic"}},
        {"environmentVariables": {"A": 1}},
        {"environmentVariables": {"A=": "b"}},
        {"environmentVariables": {"A": "\x00"}},
    ],
)
def test_a_deployment_that_cannot_be_made_is_refused(here: Here, properties: dict[str, Any]) -> None:
    made(here)
    answer = here.call("PUT", f"{INCOME}/deployments/blue", deployment_body(here, **properties))
    assert refusal(answer)[0] == 400
    assert here.names(f"{INCOME}/deployments") == []


def test_what_a_deployment_does_not_name_has_its_default(here: Here) -> None:
    made(here)
    settings = {"requestSettings": {"requestTimeout": "PT1M30S"}}
    answer = here.call("PUT", f"{INCOME}/deployments/blue", deployment_body(here, **settings))
    properties = answer.json["properties"]
    assert answer.json["sku"] == {"name": "Default", "capacity": 1}
    assert properties["requestSettings"] == {
        "maxConcurrentRequestsPerInstance": 1,
        "maxQueueWait": "PT0.5S",
        "requestTimeout": "PT1M30S",
    }
    assert properties["scaleSettings"] == {"scaleType": "Default"}
    assert properties["livenessProbe"]["failureThreshold"] == 30
    assert properties["provisioningState"] == "Creating"
    address = answer.headers["azure-asyncoperation"]
    assert properties["properties"]["AzureAsyncOperationUri"] == address
    assert "/mfeOperationsStatus/odidp:" in address


def test_an_endpoint_has_only_so_many_deployments(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aml.api.online_deployments.MOST_DEPLOYMENTS", 2)
    made(here)
    serve(here, "one1", "two2")
    assert refusal(here.call("PUT", f"{INCOME}/deployments/three", deployment_body(here)))[0] == 400
    assert here.call("PUT", f"{INCOME}/deployments/one1", deployment_body(here)).status == 200


def test_of_a_large_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * (MOST_BYTES + 5) + "\nlast ü\n".encode())
    assert last_lines(log, 1) == "last ü\n"
    assert len(last_lines(log, 50)) <= MOST_BYTES
    assert last_lines(tmp_path / "none", 5) == ""


def test_endpoints_are_listed_by_tags_and_name(here: Here) -> None:
    for name, tags in (("one1", {"a": "b"}), ("two2", {})):
        here.call("PUT", f"onlineEndpoints/{name}", {**endpoint_body(), "tags": tags})
    assert here.names("onlineEndpoints") == ["two2", "one1"]
    assert here.names("onlineEndpoints", tags="a=b") == ["one1"]
    assert here.names("onlineEndpoints", name="TWO2") == ["two2"]
