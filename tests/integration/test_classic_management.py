"""Classic management on the wire: services, endpoints, and what an update may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import requests

from local.datasets import as_csv
from local.workplace import FIRST_ROWS, PIPELINE, Workplace
from studio.experiments.loading import load_experiment
from studio.state.records import Endpoint
from tests.support.studio import Client, error_of, target_of
from tests.support.waiting import PATIENCE

MODEL = "Breast cancer [trained model]"
NOT_UPDATABLE = (400, "InvalidOperation", "UpdateWebServiceResourceFailed")


@pytest.fixture(scope="module")
def workplace(place: Workplace) -> Workplace:
    """One workplace for all rules here; each test has a web service of its own."""
    return place


class Services:
    """A predictive web service with the endpoints `default` and `retrained`, and who manages it."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        [published] = place.studio.studio.deploy_classic(place.first)
        self.token = place.studio.studio.workspace.primary_token
        self.endpoints = Client(f"{place.studio.address}{published.management.rpartition('/')[0]}", self.token)
        self.service = Client(self.endpoints.address.rpartition("/")[0], self.token)
        self.all = Client(self.service.address.rpartition("/")[0], self.token)
        self.retrained = self.endpoint("retrained")

    def endpoint(self, name: str) -> Client:
        return Client(f"{self.endpoints.address}/{name}", self.token)

    def location(self, rows: int) -> dict[str, Any]:
        """Return where the model is that these first rows of the data give."""
        studio, place = self.place.studio.studio, self.place
        run = studio.run(load_experiment(PIPELINE), as_csv(place.header, place.rows[:rows]))
        location = studio.blobs.result(run.scorers[0].resource.location)
        return {name: value for name, value in msgspec.to_builtins(location).items() if value}

    def scores(self, endpoint: Client) -> list[Any]:
        read = endpoint.call("GET").json()
        answer = Client(read["ApiLocation"], read["PrimaryKey"]).score(self.place.header, self.place.rows[:3])
        return list(answer.json()["Results"]["output1"]["value"]["Values"])


@pytest.fixture
def services(workplace: Workplace) -> Services:
    return Services(workplace)


def resources(location: Mapping[str, Any], name: str = MODEL) -> dict[str, Any]:
    return {"Resources": [{"Name": name, "Location": location}]}


def without_links(endpoint: dict[str, Any]) -> dict[str, Any]:
    for resource in endpoint["Resources"]:
        resource["Location"].pop("SasBlobToken")
    return endpoint


def test_services_and_endpoints_are_listed_and_read_with_what_clients_need(services: Services) -> None:
    service = services.service.call("GET").json()
    assert service in services.all.call("GET").json()
    assert set(service) == {
        *("Id", "Name", "Description", "CreationTime", "WorkspaceId", "DefaultEndpointName", "EndpointCount"),
    }
    assert (service["Name"], service["DefaultEndpointName"], service["EndpointCount"]) == (
        "Breast cancer [Predictive Exp.]",
        "default",
        2,
    )
    endpoint = services.retrained.call("GET", decryptSecrets="true").json()
    listed = services.endpoints.call("GET").json()
    assert [each["Name"] for each in listed] == ["default", "retrained"]
    assert without_links(listed[1]) == without_links(endpoint)
    assert (len(endpoint["PrimaryKey"]), endpoint["PrimaryKey"] != endpoint["SecondaryKey"]) == (88, True)
    assert (endpoint["WebServiceId"], endpoint["WorkspaceId"]) == (service["Id"], service["WorkspaceId"])
    assert (endpoint["ThrottleLevel"], endpoint["MaxConcurrentCalls"], endpoint["PreventUpdate"]) == ("Low", 4, False)
    [resource] = endpoint["Resources"]
    assert (resource["Name"], resource["Kind"]) == (MODEL, "Trained Model")
    assert set(resource["Location"]) <= {"BaseLocation", "RelativeLocation", "SasBlobToken"}
    assert services.endpoint(endpoint["ApiLocation"].rpartition("/")[2]).call("GET").json()["Name"] == "retrained"


def test_a_new_endpoint_starts_with_the_models_of_the_default_one(services: Services) -> None:
    services.retrained.call("PATCH", "", resources(services.location(500))).raise_for_status()
    settings = {"Description": "for customer 7", "ThrottleLevel": "High", "MaxConcurrentCalls": "20"}
    created = services.endpoint("customer7").call("PUT", "", {**settings, "PreventUpdate": "false"})
    assert created.status_code == 201
    shown = created.json()
    assert (shown["Description"], shown["MaxConcurrentCalls"], shown["PreventUpdate"]) == ("for customer 7", 20, False)
    assert services.scores(services.endpoint("customer7")) == services.scores(services.endpoint("default"))
    assert services.scores(services.endpoint("customer7")) != services.scores(services.retrained)
    keys = {each["PrimaryKey"] for each in services.endpoints.call("GET").json()}
    assert len(keys) == 3
    again = services.endpoint("customer7").call("PUT", "", settings)
    assert error_of(again) == (409, "Conflict", "EndpointAlreadyExists")
    nulls = {"Description": None, "ThrottleLevel": "Low", "MaxConcurrentCalls": None, "WebServiceId": "x"}
    assert services.endpoint("customer8").call("PUT", "", nulls).json()["MaxConcurrentCalls"] == 4
    assert services.endpoint("customer9").call("PUT").json()["ThrottleLevel"] == "Low"


@pytest.mark.parametrize(
    ("name", "settings", "detail", "target"),
    [
        ("Customer", {}, "BadParameterValue", "name"),
        ("a" * 25, {}, "BadParameterValue", "name"),
        ("customer-1", {}, "BadParameterValue", "name"),
        ("a", {"ThrottleLevel": "Medium"}, "BadParameterValue", "ThrottleLevel"),
        ("a", {"MaxConcurrentCalls": "many"}, "BadParameterValue", "MaxConcurrentCalls"),
        ("a", {"MaxConcurrentCalls": 0}, "BadParameterValue", "MaxConcurrentCalls"),
        ("a", {"PreventUpdate": "perhaps"}, "BadParameterValue", "PreventUpdate"),
        ("a", {"DiagnosticsTraceLevel": "Some"}, "BadParameterValue", "DiagnosticsTraceLevel"),
        (
            "a",
            {"ThrottleLevel": "High", "MaxConcurrentCalls": "201"},
            "WebServiceTooManyConcurrentRequestRequirement",
            "MaxConcurrentCalls",
        ),
        (
            "a",
            {"ThrottleLevel": "Low", "MaxConcurrentCalls": 5},
            "WebServiceConcurrentRequestRequirementInvalid",
            "MaxConcurrentCalls",
        ),
    ],
)
def test_an_endpoint_keeps_to_the_limits(
    workplace: Workplace, name: str, settings: dict[str, Any], detail: str, target: str
) -> None:
    place = f"{workplace.studio.address}{workplace.classic.management.rpartition('/')[0]}/{name}"
    answer = Client(place, workplace.studio.studio.workspace.primary_token).call("PUT", "", settings)
    assert (*error_of(answer), target_of(answer)) == (400, "BadArgument", detail, target)


def test_settings_are_changed_alone_and_what_is_not_given_stays(services: Services) -> None:
    before = services.retrained.call("GET").json()
    answer = services.retrained.call("PATCH", "", {"Description": "new", "MaxConcurrentCalls": "20"})
    assert (answer.status_code, answer.text) == (200, "")
    services.retrained.call("PATCH", "", {"DiagnosticsTraceLevel": "All", "Description": None}).raise_for_status()
    after = services.retrained.call("GET").json()
    changed = {"Description": "new", "MaxConcurrentCalls": 20, "ThrottleLevel": "High", "DiagnosticsTraceLevel": "All"}
    assert without_links(after) == {**without_links(before), **changed}
    services.endpoint("default").call("PATCH", "", {"Description": "the first"}).raise_for_status()
    assert services.endpoint("default").call("GET").json()["Description"] == "the first"
    services.retrained.call("PATCH", "", {"PreventUpdate": "true"}).raise_for_status()
    location = services.location(FIRST_ROWS)
    assert error_of(services.retrained.call("PATCH", "", resources(location))) == NOT_UPDATABLE
    assert error_of(services.retrained.call("POST", "/refresh", {"OverwriteResources": "True"})) == NOT_UPDATABLE
    services.retrained.call("PATCH", "", {"PreventUpdate": False}).raise_for_status()
    assert services.retrained.call("PATCH", "", resources(location)).status_code == 200


def test_an_update_swaps_the_model_which_is_copied_and_leaves_other_endpoints_alone(services: Services) -> None:
    former, location = services.scores(services.retrained), services.location(500)
    blobs = services.place.blobs
    bare = {**location, "BaseLocation": location["BaseLocation"].rstrip("/")}
    answer = services.retrained.call("PATCH", "", resources(bare))
    assert (answer.status_code, answer.text) == (200, "")
    container, _, name = location["RelativeLocation"].partition("/")
    blobs.get_blob_client(container, name).delete_blob()
    now = services.scores(services.retrained)
    assert now != former
    assert services.scores(services.endpoint("default")) == former
    [shown] = services.retrained.call("GET").json()["Resources"]
    assert shown["Location"]["RelativeLocation"] == location["RelativeLocation"]
    gone = services.retrained.call("PATCH", "", resources(location))
    assert (*error_of(gone), target_of(gone)) == (400, "BadArgument", "BlobNotFound", MODEL)
    assert services.scores(services.retrained) == now


Misfit = tuple[Any, tuple[int, str, str], str | None]  #: a body, its error, and what that names


def misfits(services: Services) -> list[Misfit]:
    place, studio, location = services.place, services.place.studio.studio, services.location(500)
    studio.blobs.write(studio.blobs.own("models/stranger.ilearner"), b"import os")
    unsigned = {name: value for name, value in location.items() if name != "SasBlobToken"}
    token = location["SasBlobToken"]
    wine = studio.run(load_experiment("wine"), _wine())
    fewer = studio.run(load_experiment(PIPELINE), as_csv(place.header[1:], [row[1:] for row in place.rows]))

    def of(run: Any) -> dict[str, Any]:
        return dict(msgspec.to_builtins(studio.blobs.result(run.scorers[0].resource.location)))

    def bad(detail: str) -> tuple[int, str, str]:
        return 400, "BadArgument", detail

    return [
        (resources(location, MODEL.lower()), bad("BadParameterValue"), MODEL.lower()),
        (resources(location, ""), bad("BadParameterValue"), None),
        (resources({**unsigned, "RelativeLocation": "models/none.ilearner"}), bad("BlobNotFound"), MODEL),
        (
            resources({**location, "SasBlobToken": token.replace("se=20", "se=19")}),
            bad("ExpiryTimeInThePast"),
            MODEL,
        ),
        (resources({**location, "SasBlobToken": token.replace("sig=", "sig=x")}), bad("InvalidBlob"), MODEL),
        (resources({**location, "BaseLocation": "https://store.example/"}), bad("InvalidBlob"), MODEL),
        (resources({**location, "RelativeLocation": "models/a.csv"}), bad("InvalidBlobExtension"), MODEL),
        (resources({}), bad("MissingInputBlobInformation"), MODEL),
        ({"Resources": [{"Name": MODEL}]}, bad("MissingInputBlobInformation"), MODEL),
        (resources({**unsigned, "RelativeLocation": "models/stranger.ilearner"}), bad("InvalidBlob"), None),
        (resources(of(wine)), (400, "InvalidOperation", "IncompatibleModel"), None),
        (resources(of(fewer)), (409, "Conflict", "ModelOutputMetadataMismatch"), None),
        ({"Resources": ["x"]}, bad("RequestBodyInvalid"), None),
        ({**resources(location), "ThrottleLevel": "None"}, bad("BadParameterValue"), "ThrottleLevel"),
    ]


def test_an_update_that_does_not_fit_is_refused_and_changes_nothing(services: Services) -> None:
    before = services.retrained.call("GET").json()
    for body, expected, target in misfits(services):
        answer = services.retrained.call("PATCH", "", body)
        assert (error_of(answer), target_of(answer)) == (expected, target), (body, answer.text)
    assert error_of(services.retrained.call("PATCH", "", {}, key="x"))[0] == 401
    assert without_links(services.retrained.call("GET").json()) == without_links(before)


def test_the_default_endpoint_and_the_training_service_take_no_model(services: Services) -> None:
    location = services.location(FIRST_ROWS)
    assert error_of(services.endpoint("default").call("PATCH", "", resources(location))) == NOT_UPDATABLE
    trainer = next(each["Id"] for each in services.all.call("GET").json() if each["Name"] == "Breast cancer")
    trained = Client(f"{services.all.address}/{trainer}/endpoints/default", services.token)
    refused = trained.call("PATCH", "", resources(location))
    assert error_of(refused) == NOT_UPDATABLE
    assert "no updatable resources" in refused.text
    assert trained.call("GET").json()["Resources"] == []


def test_a_refresh_takes_the_default_endpoints_models_only_when_asked_to_overwrite(services: Services) -> None:
    def refreshed(overwrite: Any) -> requests.Response:
        return services.retrained.call("POST", "/refresh", {"OverwriteResources": overwrite})

    default = services.scores(services.endpoint("default"))
    assert (refreshed("True").status_code, refreshed("False").status_code) == (304, 304)
    services.retrained.call("PATCH", "", resources(services.location(500))).raise_for_status()
    patched = services.scores(services.retrained)
    assert refreshed("False").status_code == 304
    assert services.scores(services.retrained) == patched
    assert refreshed("True").status_code == 200
    assert services.scores(services.retrained) == default
    assert error_of(services.endpoint("default").call("POST", "/refresh", {"OverwriteResources": "True"})) == (
        NOT_UPDATABLE
    )
    wrong = refreshed("maybe")
    assert (error_of(wrong)[2], target_of(wrong)) == ("BadParameterValue", "OverwriteResources")


def test_a_refresh_without_overwrite_takes_the_newer_graph_and_keeps_the_patched_model(services: Services) -> None:
    services.retrained.call("PATCH", "", resources(services.location(500))).raise_for_status()
    patched = services.scores(services.retrained)
    records = services.place.studio.studio.records
    default = services.endpoint("default").call("GET").json()["ApiLocation"].rpartition("/")[2]

    def deployed_again(endpoint: Endpoint) -> Endpoint:
        [scorer] = endpoint.scorers
        return msgspec.structs.replace(endpoint, scorers=[msgspec.structs.replace(scorer, output="scored")])

    records.change(Endpoint, default, deployed_again)
    assert services.retrained.call("POST", "/refresh", {"OverwriteResources": "False"}).status_code == 200
    read = services.retrained.call("GET").json()
    answer = Client(read["ApiLocation"], read["PrimaryKey"]).score(services.place.header, services.place.rows[:3])
    assert answer.json()["Results"]["scored"]["value"]["Values"] == patched


def test_an_endpoint_is_deleted_with_its_address_and_the_default_one_last(services: Services) -> None:
    address = services.retrained.call("GET").json()["ApiLocation"]
    assert error_of(services.endpoint("default").call("DELETE"))[1] == "InvalidOperation"
    assert services.retrained.call("DELETE").status_code == 204
    assert error_of(services.retrained.call("GET")) == (404, "NotFound", "WebServiceNotFound")
    assert error_of(services.retrained.call("DELETE"))[0] == 404
    assert Client(address, "x").call("POST", "/execute").status_code == 404
    assert services.service.call("GET").json()["EndpointCount"] == 1
    assert services.endpoint("default").call("DELETE").status_code == 204
    assert error_of(services.service.call("GET")) == (404, "NotFound", "WebServiceIdNotFoundInWorkspace")
    other = Services(services.place)
    assert other.service.call("DELETE").status_code == 204
    assert error_of(other.retrained.call("GET"))[0] == 404


def test_a_new_key_takes_the_place_of_the_old_one_at_once(services: Services) -> None:
    read = services.retrained.call("GET").json()
    made = services.retrained.call("POST", "/regeneratekey", {"KeyType": "Primary"}).json()
    assert (made["SecondaryKey"], made["PrimaryKey"] != read["PrimaryKey"]) == (read["SecondaryKey"], True)
    for key, status in ((read["PrimaryKey"], 401), (made["PrimaryKey"], 200), (made["SecondaryKey"], 200)):
        scored = Client(read["ApiLocation"], key).score(services.place.header, services.place.rows[:1])
        assert scored.status_code == status
    wrong = services.retrained.call("POST", "/regeneratekey", {"KeyType": "Third"})
    assert (error_of(wrong)[2], target_of(wrong)) == ("BadParameterValue", "KeyType")


def test_an_endpoints_key_manages_that_endpoint_and_nothing_else(services: Services) -> None:
    key = services.retrained.call("GET").json()["PrimaryKey"]
    assert services.retrained.call("PATCH", "", {"Description": "by its key"}, key=key).status_code == 200
    document = services.retrained.call("GET", "/apidocument", key=key).json()
    assert (
        document
        == requests.get(f"{services.retrained.call('GET').json()['ApiLocation']}/swagger.json", timeout=PATIENCE).json()
    )
    unauthorized = (401, "Unauthorized", "ManagementRequestUnauthorized")
    for client in (services.endpoint("default"), services.endpoints, services.service, services.all):
        assert error_of(client.call("GET", key=key)) == unauthorized
    second = services.place.studio.studio.workspace.secondary_token
    assert services.all.call("GET", key=f" {second}").status_code == 200
    nowhere = Client(services.all.address.replace(services.service.call("GET").json()["WorkspaceId"], "x"), key)
    assert error_of(nowhere.call("GET")) == (404, "NotFound", "WorkspaceNotFound")
    assert error_of(Client(f"{services.all.address}/x", services.token).call("GET"))[2] == "WebServiceIdInvalid"


def test_code_that_a_client_publishes_is_refused(services: Services) -> None:
    body = {"Name": "f", "Type": "Code", "CodeBundle": {"Language": "R-3.1-64", "SourceCode": "f <- 1"}}
    answer = Client(f"{services.all.address}/{'0' * 32}", services.token).call("PUT", "", body)
    assert error_of(answer) == (400, "WebServicePackageError", "ValidationError")


def _wine() -> bytes:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    return bytes(frame.to_csv(index=False).encode())
