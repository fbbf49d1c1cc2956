"""A model is made ready beside the live one: its version, its deployment, and what becomes of both."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aml.errors import ArmError
from service.faults.orders import Fault
from shared.adapters.azureml.deployments import look_again
from shared.adapters.azureml.places import OwnStorage, folder_of
from shared.base.errors import BadConfiguration, ServiceRefused, ServiceUnavailable
from shared.domain.azureml import DeploymentChanges
from shared.domain.jobs import Model
from shared.domain.ports import Pending, Ready, Refused
from tests.support import aml_models
from tests.support.aml_session import workspace_of
from tests.support.online import INCOME, MA, MB, OWN, A, B, Place
from tests.support.serving import endpoint_body
from tests.support.waiting import until

DEPLOYMENTS = f"{INCOME}/deployments"

RECORDED = aml_models.FOLDER / "mlclient-recorded"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "aml")


def version_of(model: Model) -> str:
    return f"models/income/versions/{model.sha256[:12]}"


def test_a_model_is_registered_and_deployed_as_the_live_one_is(place: Place) -> None:
    own = {"instanceType": "Standard_E4s_v3", "environmentVariables": {"A": "1"}, "appInsightsEnabled": True}
    blue = place.get(f"{DEPLOYMENTS}/blue")
    body = {**blue, "tags": {"team": "x"}, "properties": {**blue["properties"], **own}}
    assert place.here.call("PUT", f"{DEPLOYMENTS}/blue", body).status == 200
    place.end("blue")
    assert isinstance(place.endpoint.stage(A), Pending)
    version, made, blue = place.get(version_of(A)), place.get(f"{DEPLOYMENTS}/{MA}"), place.get(f"{DEPLOYMENTS}/blue")
    assert version["properties"]["modelUri"].endswith(f"datastores/models/paths/{A.sha256}/")
    assert version["properties"]["tags"] == {"relearn.sha256": A.sha256, "relearn.pipeline": "income"}
    assert made["tags"] == {"team": "x", "relearn.sha256": A.sha256, "relearn.pipeline": "income"}
    assert made["sku"] == blue["sku"] and made["sku"]["capacity"] == 2
    of_the_model = {"model", "provisioningState", "properties"}
    for name in blue["properties"].keys() - of_the_model:
        assert made["properties"][name] == blue["properties"][name], name
    assert made["properties"]["model"].lower().endswith(version_of(A).lower())
    assert place.maps() == ({"blue": 100}, {})


def test_the_configuration_changes_what_the_pattern_has(tmp_path: Path) -> None:
    changes = DeploymentChanges(instance_type="Standard_F8", instances=3, environment="own:7", variables={"B": "2"})
    place = Place(tmp_path / "aml", deployment=changes)
    place.here.put("environments/own/versions/7", image="python:3.12")
    place.endpoint.stage(A)
    made = place.get(f"{DEPLOYMENTS}/{MA}")
    assert made["sku"] == {"name": "Default", "capacity": 3}
    assert made["properties"]["instanceType"] == "Standard_F8"
    assert made["properties"]["environmentId"] == f"{place.here.workspace.id}/environments/own/versions/7"
    assert made["properties"]["environmentVariables"] == {"B": "2"}


def test_a_deployment_is_ready_once_it_has_succeeded_with_this_model(place: Place) -> None:
    assert isinstance(place.endpoint.stage(A), Pending)
    assert isinstance(place.another().stage(A), Pending)
    place.end(MA)
    assert place.another().stage(A) == Ready()
    assert {each["name"] for each in place.get(DEPLOYMENTS)["value"]} == {"blue", MA}


@pytest.mark.parametrize(
    ("modified", "seconds"),
    [
        ("2026-11-26T12:00:00Z", 1.0),
        ("2026-11-26T11:59:00.1234567+00:00", 6.0),
        ("2026-11-26T11:30:00Z", 30.0),
        ("2026-11-26T12:00:30Z", 1.0),
        ("2026-11-26T12:00:00", 5.0),
        ("yesterday", 5.0),
        (None, 5.0),
    ],
)
def test_what_takes_long_is_looked_at_seldom(modified: str | None, seconds: float) -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert look_again({"systemData": {"lastModifiedAt": modified}}, now).after == pytest.approx(seconds, abs=0.1)
    assert look_again({}, now).after == 5.0


@pytest.mark.parametrize("lost", ["PUT models", f"PUT {DEPLOYMENTS}"])
def test_a_lost_answer_makes_no_second_deployment(place: Place, lost: str) -> None:
    place.wire.lost = lost
    with pytest.raises(ServiceUnavailable):
        place.endpoint.stage(A)
    assert isinstance(place.another().stage(A), Pending)
    assert {each["name"] for each in place.get(DEPLOYMENTS)["value"]} == {"blue", MA}


def test_a_failed_deployment_is_refused_with_its_error_and_the_end_of_its_log(place: Place) -> None:
    place.endpoint.stage(A)
    lines = "".join(f"line {number} of the log, which is long\n" for number in range(1000)) + "Bearer abcdefgh: the end"
    error = ArmError(400, "OutOfQuota", "Not enough quota for Standard_DS3_v2.")
    place.end(MA, "Failed", error, InferenceServer=lines, StorageInitializer="another log")
    refused = place.another().stage(A)
    assert isinstance(refused, Refused)
    assert "OutOfQuota: Not enough quota for Standard_DS3_v2." in refused.reason
    assert refused.reason.endswith("line 999 of the log, which is long\nBearer *** the end")
    assert len(refused.reason) < 4000 and "another log" not in refused.reason


def test_a_model_that_could_not_be_loaded_is_refused_with_the_log_of_the_loading(place: Place) -> None:
    place.endpoint.stage(A)
    place.end(MA, "Failed", ArmError(400, "ResourceNotReady", "crashed"), StorageInitializer="no such blob")
    refused = place.another().stage(A)
    assert isinstance(refused, Refused) and refused.reason.endswith("The end of its log:\nno such blob")


def test_a_version_of_that_name_with_another_content_is_refused(place: Place) -> None:
    place.register(A.sha256[:12], modelUri="azureml://datastores/workspaceblobstore/paths/other/")
    refused = place.endpoint.stage(A)
    assert isinstance(refused, Refused) and "version aaaaaaaaaaaa with another content" in refused.reason
    assert place.sent("PUT") == []


def test_a_version_of_another_hash_that_begins_alike_is_refused(place: Place) -> None:
    place.endpoint.stage(A)
    like = Model(sha256="a" * 12 + "c" * 52, size=1, folder=True)
    assert isinstance(place.another().stage(like), Refused)


def test_a_version_that_lost_its_tag_gets_it_again_and_keeps_the_others(place: Place) -> None:
    place.staged(A)
    found = place.get(version_of(A))
    place.register(A.sha256[:12], modelUri=found["properties"]["modelUri"], tags={"by": "hand"}, description="kept")
    assert place.here.call("DELETE", f"{DEPLOYMENTS}/{MA}").status == 202
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/{MA}").status == 404, "it is deleted")
    place.another().stage(A)
    properties = place.get(version_of(A))["properties"]
    assert properties["tags"] == {"by": "hand", "relearn.sha256": A.sha256} and properties["description"] == "kept"


def test_a_deployment_of_somebody_else_with_that_name_is_refused(place: Place) -> None:
    place.serve(MA, f"{place.here.workspace.id}/models/income/versions/1")
    refused = place.endpoint.stage(A)
    assert isinstance(refused, Refused) and "serves another model" in refused.reason
    assert place.sent("PUT") == []


def test_a_deployment_whose_model_somebody_changed_is_not_ready(place: Place) -> None:
    place.staged(A)
    tags = place.get(f"{DEPLOYMENTS}/{MA}")["tags"]
    place.serve(MA, f"{place.here.workspace.id}/models/income/versions/1", tags=tags)
    assert isinstance(place.another().stage(A), Refused)
    assert A.sha256 not in place.another().shares().of


def test_a_deployment_needs_a_live_one_as_its_pattern(place: Place) -> None:
    place.write(endpoint_body())
    with pytest.raises(BadConfiguration, match="no deployment with traffic"):
        place.endpoint.stage(A)


def test_a_deployment_is_for_later_while_the_endpoint_is_changed(place: Place) -> None:
    place.change(state="Updating")
    assert isinstance(place.endpoint.stage(A), Pending)
    place.change(state="Succeeded")
    assert isinstance(place.endpoint.stage(A), Pending)
    place.end(MA)
    assert place.another().stage(A) == Ready()


@pytest.mark.parametrize("kind", ["updating", "throttled", "unavailable", "expired token"])
def test_a_refusal_that_passes_leaves_the_model_to_be_staged(place: Place, kind: str) -> None:
    place.here.faults.order(Fault(kind=kind, count=1, seconds=0.1))
    assert isinstance(place.endpoint.stage(A), Pending)
    assert isinstance(place.endpoint.stage(A), Pending)
    place.end(MA)
    assert place.endpoint.stage(A) == Ready()


def test_an_operation_that_fails_on_order_is_refused(place: Place) -> None:
    place.here.faults.order(Fault(kind="failing operation", endpoint=MA, count=1))
    assert isinstance(place.endpoint.stage(A), Pending)
    until(lambda: place.state(f"{DEPLOYMENTS}/{MA}") == "Failed", "it fails")
    refused = place.another().stage(A)
    assert isinstance(refused, Refused) and "The operation failed on order." in refused.reason
    assert isinstance(place.endpoint.drop(A), Pending)
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/{MA}").status == 404, "it is deleted")
    assert place.endpoint.drop(A) is None and place.maps() == ({"blue": 100}, {})


def test_a_change_that_never_ends_stays_for_later(place: Place) -> None:
    place.staged(A)
    place.here.faults.order(Fault(kind="endless operation", endpoint="income", count=1))
    assert isinstance(place.endpoint.share({"blue": 90, A.sha256: 10}), Pending)
    until(lambda: place.here.faults.concerning(["income"]) == [], "it has begun")
    place.endpoint = place.another()
    assert isinstance(place.endpoint.share({"blue": 90, A.sha256: 10}), Pending)
    assert isinstance(place.endpoint.stage(B), Pending)
    assert place.sent("PUT") == [version_of(B), f"{DEPLOYMENTS}/{MB}"]
    assert {each["name"] for each in place.get(DEPLOYMENTS)["value"]} == {"blue", MA}


def test_a_deletion_that_fails_is_ordered_again(place: Place) -> None:
    place.staged(A)
    place.here.faults.order(Fault(kind="failing operation", endpoint=MA, count=1))
    assert isinstance(place.endpoint.drop(A), Pending)
    until(lambda: place.state(f"{DEPLOYMENTS}/{MA}") == "Failed", "it fails")
    assert isinstance(place.endpoint.drop(A), Pending)
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/{MA}").status == 404, "it is deleted")
    assert place.endpoint.drop(A) is None


def test_a_dropped_deployment_is_gone_and_what_has_traffic_stays(place: Place) -> None:
    place.staged(A)
    assert isinstance(place.endpoint.drop(A), Pending)
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/{MA}").status == 404, "it is deleted")
    assert place.endpoint.drop(A) is None
    assert place.endpoint.drop(A) is None
    place.staged(A)
    place.shared({A: 100})
    with pytest.raises(ServiceRefused, match="has traffic"):
        place.endpoint.drop(A)
    assert place.sent("DELETE").count(f"{DEPLOYMENTS}/{MA}") == 1


def test_a_deployment_with_mirrored_traffic_is_not_dropped(place: Place) -> None:
    place.staged(A)
    place.endpoint.share({"blue": 100}, {A.sha256: 10})
    place.settled()
    with pytest.raises(ServiceRefused, match="has traffic"):
        place.endpoint.drop(A)


def test_a_drop_is_for_later_while_the_endpoint_is_changed(place: Place) -> None:
    place.staged(A)
    place.here.faults.order(Fault(kind="updating", count=1))
    assert isinstance(place.endpoint.drop(A), Pending)
    assert place.state(f"{DEPLOYMENTS}/{MA}") == "Succeeded"


KEPT = "http://127.0.0.1:9/devstoreaccount1/kept"

ARTIFACTS = "http://127.0.0.1:9/devstoreaccount1/azureml/ExperimentRun/dcid.job"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("azureml://datastores/own/paths/a/b", f"{KEPT}/a/b/"),
        ("azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/OWN/paths/a/", f"{KEPT}/a/"),
        ("https://elsewhere.blob.core.windows.net/c/a%20b/", "https://elsewhere.blob.core.windows.net/c/a b/"),
        ("wasbs://c@elsewhere.blob.core.windows.net/a", "https://elsewhere.blob.core.windows.net/c/a/"),
        ("abfss://c@elsewhere.dfs.core.windows.net/a/", "https://elsewhere.blob.core.windows.net/c/a/"),
        ("runs:/job/model", f"{ARTIFACTS}/model/"),
        ("azureml://jobs/job/outputs/artifacts/paths/model/", f"{ARTIFACTS}/model/"),
    ],
)
def test_the_address_of_a_model_is_found_in_each_of_its_forms(place: Place, address: str, found: str) -> None:
    own = {"datastoreType": "AzureBlob", "accountName": OWN.account, "containerName": "kept"}
    assert place.here.put("datastores/own", **own).status == 201
    workspace, _ = workspace_of(place.here)
    assert folder_of(workspace, OWN, address).address == found


def test_a_datastore_of_another_account_is_at_that_account(place: Place) -> None:
    workspace, _ = workspace_of(place.here)
    container = place.get("datastores/models")["properties"]["containerName"]
    found = folder_of(workspace, OwnStorage("https://mine/", "mine"), "azureml://datastores/models/paths/a")
    assert found.address == f"https://{OWN.account}.blob.core.windows.net/{container}/a/"


@pytest.mark.parametrize("address", ["", "ftp://a/b", "azureml://registries/r/models/m/versions/1"])
def test_another_address_of_a_model_is_refused(place: Place, address: str) -> None:
    workspace, _ = workspace_of(place.here)
    with pytest.raises(BadConfiguration, match="not an address of a storage"):
        folder_of(workspace, OwnStorage("https://a/", "a"), address)


def test_a_live_deployment_without_a_model_is_said_to_have_none(place: Place) -> None:
    place.serve("blue", f"{place.here.workspace.id}-other/models/income/versions/1")
    with pytest.raises(BadConfiguration, match="which is not a model of the workspace"):
        place.endpoint.model()


@pytest.mark.skipif(
    not RECORDED.exists(), reason=f"{RECORDED} is not there: the official client's calls are not compared"
)
def test_what_is_written_is_what_the_official_client_writes(place: Place) -> None:
    place.endpoint.stage(A)
    sent = {each.path.split("/")[0]: each.body for each in place.wire.calls if each.method == "PUT"}

    def recorded(name: str) -> Any:
        return json.loads((RECORDED / name).read_text("utf-8"))["body"]

    model, theirs = sent["models"]["properties"], recorded("03-put-models-income-versions-1.json")["properties"]
    assert model.keys() == theirs.keys()
    assert {name for name in theirs if model[name] != theirs[name]} == {"modelUri", "tags", "modelType"}
    deployment = sent["onlineEndpoints"]
    theirs = recorded("05-put-onlineendpoints-income-deployments-blue.json")
    assert deployment.keys() - theirs.keys() == {"kind"} and theirs.keys() <= deployment.keys()
    # The pattern's own settings come with it; this one serves an MLflow model, which needs no code and environment.
    assert theirs["properties"].keys() - deployment["properties"].keys() == {"codeConfiguration", "environmentId"}
    for body in sent.values():
        assert "provisioningState" not in json.dumps(body) and "AsyncOperationUri" not in json.dumps(body)
