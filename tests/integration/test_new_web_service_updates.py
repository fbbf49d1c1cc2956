"""Updates of a New web service: swaps of its model, operations that fail, lists, and what else a service belongs to."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from local.datasets import as_csv
from local.workplace import Workplace
from studio.experiments.loading import load_experiment
from studio.learning.ilearner import pack
from studio.state.records import Endpoint, Operation, WebService, now
from tests.support.arm import Manager, error_of
from tests.support.new_web_services import (
    PREVIEW,
    score,
)
from tests.support.waiting import PATIENCE


def model_of(properties: dict[str, Any]) -> dict[str, Any]:
    [asset] = [asset for asset in properties["assets"].values() if asset["type"] == "Resource"]
    return dict(asset)


def other_model(place: Workplace, rows: int = 200) -> str:
    """Train on more rows; return the address of the model's blob."""
    run = place.studio.studio.run(load_experiment("breast-cancer"), as_csv(place.header, place.rows[:rows]))
    location = run.scorers[0].resource.location
    return f"{location.base_location}{location.relative_location}"


def swapped(definition: dict[str, Any], uri: str) -> dict[str, Any]:
    """Return the definition with the model's address changed."""
    changed = copy.deepcopy(definition)
    for asset in changed["properties"]["assets"].values():
        if asset["type"] == "Resource":
            asset["locationInfo"]["uri"] = uri
    return changed


def order(place: Workplace, kind: str, service: str, **options: Any) -> None:
    fault = {"kind": kind, "endpoint": service.rsplit("/", 1)[1], "count": 1, **options}
    assert requests.post(f"{place.studio.control}/faults", json=fault, timeout=PATIENCE).status_code == 201


def test_a_swap_shows_the_new_model_and_scores_with_it(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    before, uri = score(place, manager, service), other_model(place)
    for method, body in (("PUT", swapped(definition, uri)), ("PATCH", definition)):
        accepted = manager.call(method, service, body)
        wanted = model_of(body["properties"])["locationInfo"]["uri"]
        assert accepted.status_code == 200
        assert accepted.json()["properties"]["provisioningState"] == "Provisioning"
        assert model_of(accepted.json()["properties"])["locationInfo"]["uri"] == wanted
        assert manager.outcome(accepted) == "Succeeded"
        shown = manager.call("GET", service).json()["properties"]
        assert model_of(shown)["locationInfo"]["uri"] == wanted
        assert shown["provisioningState"] == "Succeeded"
        assert (score(place, manager, service) == before) is (method == "PATCH")
    records = place.studio.studio.records
    endpoint = records.get(Endpoint, records.get(WebService, service.lower()).endpoint)
    former = [str(each.location.relative_location) for each in endpoint.scorers[0].resource.former_models]
    assert [uri.endswith(f"/{each}") for each in former] == [
        True,
        False,
    ]  # the one of the PUT, the deployed one


def test_a_model_is_taken_by_an_address_with_a_sas_and_kept_when_its_blob_goes(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    blobs, uri = place.studio.studio.blobs, other_model(place, 250)
    link = blobs.result(blobs.named(uri))
    signed = f"{uri}{link.sas_blob_token}"
    assert manager.outcome(manager.call("PATCH", service, swapped(definition, signed))) == "Succeeded"
    scored = score(place, manager, service)
    container, _, name = str(link.relative_location).partition("/")
    place.blobs.get_blob_client(container, name).delete_blob()
    assert score(place, manager, service) == scored
    expired = blobs.result(blobs.named(other_model(place)), expired=True)
    past = f"{expired.base_location}{expired.relative_location}{expired.sas_blob_token}"
    assert manager.outcome(manager.call("PATCH", service, swapped(definition, past))) == "ExpiryTimeInThePast"


def broken(definition: dict[str, Any], change: str) -> dict[str, Any]:
    changed = copy.deepcopy(definition)
    properties = changed["properties"]
    nodes, edges, assets = properties["package"]["nodes"], properties["package"]["edges"], properties["assets"]
    match change:
        case "module":
            assets["asset1"]["name"] = "Execute R Script"
        case "edge":
            edges[0]["targetNodeId"] = "nowhere"
        case "node":
            nodes["score1"]["assetId"] = "nothing"
        case "unjoined":
            assets["asset9"] = {**model_of(properties), "name": "Another [trained model]"}
        case "port":
            nodes["node-input1"]["inputId"] = "input9"
        case "empty":
            properties["package"] = {"nodes": {}, "edges": []}
    return changed


def test_what_cannot_be_used_is_accepted_and_its_operation_fails_with_the_reason_and_nothing_changes(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    blobs = place.studio.studio.blobs
    blobs.write(blobs.own("models/text.ilearner"), b"no model")
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    wine = place.studio.studio.run(load_experiment("wine"), frame.to_csv(index=False).encode())
    blobs.write(
        blobs.own("models/wine.ilearner"), pack(place.studio.studio.models.load(wine.scorers[0].resource.sha256))
    )
    before, scored = manager.call("GET", service).json(), score(place, manager, service)

    cases = [
        *(
            (broken(definition, each), "ValidationError")
            for each in ("module", "edge", "node", "unjoined", "port", "empty")
        ),
        (swapped(definition, f"{blobs.address}models/none.ilearner"), "BlobNotFound"),
        (swapped(definition, f"{blobs.address}models/text.ilearner"), "InvalidBlob"),
        (swapped(definition, f"{blobs.address}models/wine.ilearner"), "IncompatibleModel"),
        (swapped(definition, "https://elsewhere.example/models/m.ilearner"), "InvalidAssetLocation"),
    ]
    for body, code in cases:
        for method in ("PUT", "PATCH"):
            accepted = manager.call(method, service, body)
            assert accepted.status_code == 200
            operation = manager.follow(accepted)
            assert (operation["status"], operation["provisioningState"]) == ("Failed", "Failed")
            assert operation["error"] == operation["errorInfo"]
            assert operation["error"]["details"][0]["code"] == code
        made = manager.call("PUT", manager.service("never"), body)
        assert (made.status_code, manager.outcome(made)) == (201, code)
        assert manager.call("GET", manager.service("never")).status_code == 404
    assert manager.call("GET", service).json() == before
    assert score(place, manager, service) == scored


def test_a_delete_is_accepted_whether_or_not_there_is_a_service(manager: Manager, service: str) -> None:
    swagger = manager.call("GET", service).json()["properties"]["swaggerLocation"]
    for _ in range(2):
        accepted = manager.call("DELETE", service)
        assert (accepted.status_code, accepted.content) == (202, b"")
        assert accepted.headers["Azure-AsyncOperationPercentComplete"] == "0"
        assert manager.outcome(accepted) == "Succeeded"
        assert "/operationresults/" in accepted.headers["Location"]
        assert manager.call("GET", accepted.headers["Location"]).status_code == 204
    missing = manager.call("GET", service)
    assert error_of(missing) == (404, "NotFound", "WebServiceNotFound")
    assert missing.json()["error"]["message"] == "The specified resource was not found."
    assert requests.get(swagger, timeout=PATIENCE).status_code == 404


def test_a_list_comes_in_pages_whose_links_lead_to_where_the_caller_asked(
    place: Workplace, manager: Manager, service: str
) -> None:
    records = place.studio.studio.records
    kept = records.get(WebService, service.lower())
    many = manager.group.replace("/relearn/", "/many/")
    ids = [f"{many}/webServices/s{number:03}" for number in range(230)]
    copies = [
        msgspec.structs.replace(kept, id=each.lower(), name=each[-4:], definition={**kept.definition, "id": each})
        for each in ids
    ]
    records.put(*copies)
    try:
        found, sizes = [], []
        link = f"{manager.address.replace('127.0.0.1', 'localhost')}{many}/webServices?api-version=2017-01-01"
        host = urlsplit(link).netloc
        while link:
            page = manager.call("GET", link).json()
            sizes.append(len(page["value"]))
            found += [each["id"] for each in page["value"]]
            assert not any({"package", "assets"} & set(each["properties"]) for each in page["value"])
            link = page.get("nextLink", "")
            assert not link or urlsplit(link).netloc == host
        assert (found, sizes) == (ids, [100, 100, 30])
        everywhere = f"/subscriptions/{manager.subscription}/providers/Microsoft.MachineLearning/webServices"
        assert len(manager.call("GET", everywhere).json()["value"]) == 100
        assert service not in found
        wrong = {"$skiptoken": "x"}
        assert error_of(manager.call("GET", everywhere, **wrong))[2] == "InvalidQueryParameter"
    finally:
        records.delete(*copies)


def test_a_definition_is_read_in_another_region_once_it_was_copied_there(manager: Manager, service: str) -> None:
    missing = manager.call("GET", service, region="westcentralus")
    assert error_of(missing) == (404, "NotFound", "PerRegionPayloadNotFound")
    assert missing.json()["error"]["details"][0]["message"].startswith(
        "Web Service Definition for region westcentralus was not found. Please use the same URL making a POST call"
    )
    accepted = manager.call("POST", f"{service}/CreateRegionalBlob", region="West Central US")
    assert accepted.status_code == 202
    assert accepted.json()["properties"] == {"payloadsInBlobStorage": False, "provisioningState": "Provisioning"}
    assert manager.outcome(accepted) == "Succeeded"
    assert manager.call("GET", service, region="westcentralus").json() == manager.call("GET", service).json()
    assert manager.call("GET", service, region="South Central US").status_code == 200
    assert error_of(manager.call("POST", f"{service}/CreateRegionalBlob"))[2] == "InvalidQueryParameter"
    preview = manager.call("POST", f"{service}/CreateRegionalBlob", version=PREVIEW, region="westcentralus")
    assert error_of(preview)[2] == "BadVersionCall"


def test_an_operation_that_fails_on_order_goes_on_for_a_while_and_changes_nothing(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    before, uri = manager.call("GET", service).json(), other_model(place)
    for method in ("PUT", "PATCH"):
        order(place, "failing operation", service, seconds=1.0)
        accepted = manager.call(method, service, swapped(definition, uri))
        assert model_of(accepted.json()["properties"])["locationInfo"]["uri"] == uri
        going = manager.call("GET", accepted.headers["Azure-AsyncOperation"])
        assert (going.json()["status"], going.json()["percentComplete"]) == ("Provisioning", 0.6)
        assert "endTime" not in going.json()
        assert going.headers["Retry-After"] == "1"
        assert manager.outcome(accepted) == "UpdateWebServiceResourceFailed"
        assert manager.call("GET", service).json() == before


def test_an_update_without_effect_succeeds_and_shows_the_former_model(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    before, uri = manager.call("GET", service).json(), other_model(place)
    for method in ("PUT", "PATCH"):
        order(place, "no effect", service)
        accepted = manager.call(method, service, swapped(definition, uri))
        assert (accepted.status_code, manager.outcome(accepted)) == (200, "Succeeded")
        assert manager.call("GET", service).json() == before


def test_a_definition_above_3_mb_is_in_a_blob_and_goes_back_as_it_came(
    place: Workplace, manager: Manager, definition: dict[str, Any], service: str
) -> None:
    inline = definition["properties"]
    inline["exampleRequest"] = {"inputs": {"input1": [["x" * 1024] * 1024] * 4}}
    accepted = manager.call("PUT", service, definition)
    assert manager.outcome(accepted) == "Succeeded"

    shown = manager.call("GET", service).json()
    properties = shown["properties"]
    assert properties["payloadsInBlobStorage"] is True
    assert not {"assets", "package", "input", "output", "exampleRequest", "parameters"} & set(properties)
    payload = requests.get(properties["payloadsLocation"]["uri"], timeout=PATIENCE).json()
    assert payload["package"] == inline["package"]
    assert payload["exampleRequest"] == inline["exampleRequest"]

    copied = manager.service("large-copy")
    assert manager.outcome(manager.call("PUT", copied, shown)) == "Succeeded"
    assert score(place, manager, copied) == score(place, manager, service)
    small = {**inline, "exampleRequest": {"inputs": {}}}
    assert manager.outcome(manager.call("PUT", service, {**definition, "properties": small})) == "Succeeded"
    assert manager.call("GET", service).json()["properties"]["payloadsInBlobStorage"] is False


def test_changes_that_come_at_the_same_time_all_stay(manager: Manager, service: str) -> None:
    changes = [
        {"properties": {"packageType": "Graph", **member}}
        for member in (
            {"title": "T"},
            {"description": "D"},
            {"exposeSampleData": False},
            {"diagnostics": {"level": "All"}},
            {"realtimeConfiguration": {"maxConcurrentCalls": 9}},
        )
    ]
    with ThreadPoolExecutor(len(changes)) as pool:
        outcomes = list(pool.map(lambda body: manager.outcome(manager.call("PATCH", service, body)), changes))
    assert outcomes == ["Succeeded"] * len(changes)
    shown = manager.call("GET", service).json()["properties"]
    for change in changes:
        for name, value in change["properties"].items():
            assert shown[name] == value


def test_the_newest_thousand_operations_are_kept(place: Workplace, manager: Manager, service: str) -> None:
    records = place.studio.studio.records
    many = [Operation(id=f"{number:032x}", status="Succeeded", started=now(), ended=now()) for number in range(1200)]
    records.put(*many)
    accepted = manager.call("PATCH", service, {"tags": {}})
    assert manager.outcome(accepted) == "Succeeded"
    kept = [each.id for each in records.all(Operation)]
    assert len(kept) == 1000
    assert many[0].id not in kept
    assert many[-1].id in kept


def test_nobody_without_the_token_and_no_other_subscription_is_answered(manager: Manager, service: str) -> None:
    stranger = Manager(manager.address, "wrong", manager.subscription)
    assert error_of(stranger.call("GET", service)) == (401, "Unauthorized", "ManagementRequestUnauthorized")
    elsewhere = service.replace(manager.subscription, "00000000-0000-0000-0000-000000000000")
    assert error_of(manager.call("GET", elsewhere)) == (404, "NotFound", "SubscriptionNotFound")
    assert error_of(manager.call("GET", service, version="2018-01-01"))[2] == "BadVersionCall"


def test_a_service_is_charged_to_its_plan_until_it_is_moved_to_another(
    manager: Manager, definition: dict[str, Any]
) -> None:
    plans = [f"{manager.group}/commitmentPlans/{name}" for name in ("One", "two")]
    body = {"location": "South Central US", "properties": {}, "sku": {"name": "S1", "tier": "Standard", "capacity": 1}}
    for plan in plans:
        made = manager.call("PUT", plan, body, version=PREVIEW)
        assert made.status_code == 200
        properties = made.json()["properties"]
        assert {name: quantity["allowance"] for name, quantity in properties["includedQuantities"].items()} == {
            "computeHours": 25.0,
            "transactions": 100_000.0,
        }
        assert (properties["maxAssociationLimit"], properties["refillFrequencyInDays"]) == (10000, 30)
        assert (properties["minCapacityLimit"], properties["maxCapacityLimit"]) == (1, 10)
        assert made.json()["etag"]
    service = manager.service("planned")
    definition["properties"]["commitmentPlan"] = {"id": f"{plans[0]}nothing"}
    assert error_of(manager.call("PUT", service, definition))[2] == "CommitmentPlanNotFound"
    definition["properties"]["commitmentPlan"] = {"id": plans[0]}
    assert manager.outcome(manager.call("PUT", service, definition)) == "Succeeded"
    assert "commitmentPlan" not in manager.call("GET", service).json()["properties"]
    in_use = manager.call("DELETE", plans[0], version=PREVIEW)
    assert error_of(in_use) == (409, "Conflict", "CommitmentPlanHasAssociations")

    [association] = manager.call("GET", f"{plans[0]}/commitmentAssociations", version=PREVIEW).json()["value"]
    assert association["properties"]["associatedResourceId"] == service
    moved = manager.call("POST", f"{association['id']}/move", {"destinationPlanId": plans[1]}, version=PREVIEW)
    assert moved.json()["properties"]["commitmentPlanId"] == plans[1]
    assert manager.call("GET", f"{plans[0]}/commitmentAssociations", version=PREVIEW).json()["value"] == []
    assert manager.call("DELETE", plans[0], version=PREVIEW).status_code == 200
    assert error_of(manager.call("GET", plans[0], version=PREVIEW)) == (404, "NotFound", "CommitmentPlanNotFound")
    larger = manager.call("PATCH", plans[1], {"sku": {"capacity": 3}, "tags": {"a": "b"}}, version=PREVIEW).json()
    assert (larger["sku"]["capacity"], larger["tags"]) == (3, {"a": "b"})
    assert larger["properties"]["includedQuantities"]["computeHours"]["allowance"] == 75.0
    assert error_of(manager.call("PATCH", plans[1], {"sku": {"capacity": 11}}, version=PREVIEW))[0] == 400


def test_a_workspace_is_made_with_tokens_that_open_classic_management(place: Workplace, manager: Manager) -> None:
    workspace, version = f"{manager.group}/workspaces/second", "2016-04-01"
    properties = {"userStorageAccountId": "/storage/one", "ownerEmail": "ann@example.com"}
    body = {"location": "South Central US", "properties": properties}
    made = manager.call("PUT", workspace, body, version=version)
    assert made.status_code == 200
    assert made.json()["properties"]["workspaceState"] == "Enabled"
    tokens = manager.call("POST", f"{workspace}/listWorkspaceKeys", version=version).json()
    assert set(tokens) == {"primaryToken", "secondaryToken"}

    classic = (
        f"{place.studio.address}/workspaces/{made.json()['properties']['workspaceId'].replace('-', '')}/webservices"
    )

    def services(token: str) -> requests.Response:
        return requests.get(classic, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)

    assert [services(token).json() for token in tokens.values()] == [[], []]
    assert services("wrong").status_code == 401
    names = [
        each["name"] for each in manager.call("GET", f"{manager.group}/workspaces", version=version).json()["value"]
    ]
    assert names == ["relearn", "second"]
    assert manager.call("DELETE", workspace, version=version).status_code == 200
    assert manager.call("DELETE", workspace, version=version).status_code == 204
    own = manager.call("DELETE", f"{manager.group}/workspaces/relearn", version=version)
    assert error_of(own) == (409, "Conflict", "WorkspaceInUse")
