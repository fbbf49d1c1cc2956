"""Faults on order of the local Azure Machine Learning workspace, at the endpoints that they concern."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.azurite import Azurite
from service.faults.orders import Fault
from tests.support.aml import refusal
from tests.support.serving import ServingHere, endpoint_body, publish, serving
from tests.support.waiting import until

INCOME = "onlineEndpoints/income"


@pytest.fixture(scope="module")
def running(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingHere]:
    folder = tmp_path_factory.mktemp("faults")
    with serving(folder / "aml", one_azurite.connection_string) as place:
        publish(place.here, folder)
        place.endpoint("income")
        for name in ("blue", "green"):
            place.deploy("income", name, environmentVariables={"NAME": name})
        yield place


@pytest.fixture
def place(running: ServingHere) -> Iterator[ServingHere]:
    """The endpoint `income`, all of its traffic at `blue`."""
    running.endpoint("income", {"blue": 100})
    yield running
    running.here.faults.lift()
    until(running.idle, "what the test has asked for is done")


def order(place: ServingHere, kind: str, endpoint: str = "income", **limits: float) -> None:
    place.here.faults.order(Fault(kind=kind, endpoint=endpoint, count=1, seconds=limits.get("seconds")))


def traffic(place: ServingHere) -> dict[str, int]:
    return dict(place.here.call("GET", INCOME).json["properties"]["traffic"])


def answering(place: ServingHere) -> str:
    return str(place.score("income", {}).headers.get("azureml-model-deployment"))


def test_traffic_that_is_never_applied_reads_as_before(place: ServingHere) -> None:
    order(place, "no effect")
    place.endpoint("income", {"green": 100})
    assert (traffic(place), answering(place)) == ({"blue": 100}, "blue")
    place.endpoint("income", {"green": 100})
    assert (traffic(place), answering(place)) == ({"green": 100}, "green")


def test_traffic_that_reads_well_and_is_not_followed(place: ServingHere) -> None:
    order(place, "deaf")
    place.endpoint("income", {"green": 100})
    assert (traffic(place), answering(place)) == ({"green": 100}, "blue")
    assert refusal(place.here.call("DELETE", f"{INCOME}/deployments/blue"))[0] == 400


def test_traffic_that_is_applied_late(place: ServingHere) -> None:
    order(place, "late", seconds=0.5)
    place.endpoint("income", {"green": 100})
    assert (traffic(place), answering(place)) == ({"blue": 100}, "blue")
    until(lambda: traffic(place) == {"green": 100}, "it reads as asked for")
    until(lambda: answering(place) == "green", "and is followed")


def test_a_late_traffic_does_not_undo_a_later_write(place: ServingHere) -> None:
    order(place, "late", seconds=0.5)
    place.endpoint("income", {"green": 100})
    place.endpoint("income", {"blue": 50, "green": 50})
    until(lambda: place.idle(), "the late change is over")
    assert traffic(place) == {"blue": 50, "green": 50}


def test_a_deployment_that_succeeded_and_serves_another_model(place: ServingHere) -> None:
    order(place, "deaf", "deaf1")
    place.deploy("income", "deaf1", model="models/aye/versions/1")
    shown = place.here.call("GET", f"{INCOME}/deployments/deaf1").json["properties"]
    assert shown["model"].endswith("/models/aye/versions/1")
    assert "got" in place.score("income", {}, "deaf1").json()  # what blue serves, a script


def test_an_operation_that_fails_leaves_the_former_traffic(place: ServingHere) -> None:
    order(place, "failing operation")
    failed = place.made("PUT", INCOME, endpoint_body({"green": 100}), state="Failed")
    assert failed["error"]["message"]
    assert place.here.call("GET", INCOME).json["properties"]["provisioningState"] == "Failed"
    assert answering(place) == "blue"


@pytest.mark.parametrize(
    ("kind", "code"), [("failing operation", "InternalServerError"), ("out of quota", "OutOfQuota")]
)
def test_a_deployment_that_fails_is_left_behind(place: ServingHere, kind: str, code: str) -> None:
    order(place, kind, "left")
    assert place.deploy("income", "left", state="Failed")["error"]["code"] == code
    assert place.here.call("GET", f"{INCOME}/deployments/left").json["properties"]["provisioningState"] == "Failed"
    place.made("DELETE", f"{INCOME}/deployments/left")


def test_an_operation_that_never_ends_ends_with_the_server(one_azurite: Azurite, tmp_path: Path) -> None:
    with serving(tmp_path / "aml", one_azurite.connection_string) as place:
        order(place, "endless operation")
        operation = place.here.call("PUT", INCOME, endpoint_body()).headers["azure-asyncoperation"]
        until(lambda: place.idle(), "nothing works on it")
        assert place.here.call("GET", operation).json["status"] == "InProgress"
        assert refusal(place.here.call("PUT", INCOME, endpoint_body())) == (400, "BadRequest")
    with serving(tmp_path / "aml", one_azurite.connection_string) as place:
        place.ended(operation)


def test_a_write_that_is_refused_as_in_updating(place: ServingHere) -> None:
    for path in (INCOME, f"{INCOME}/deployments/green"):
        order(place, "updating")
        refused = place.here.call("DELETE", path)
        assert refusal(refused) == (400, "BadRequest")
        assert "in Updating provisioning state" in refused.json["error"]["message"]


def test_a_call_that_the_container_fails(place: ServingHere) -> None:
    order(place, "model error", "blue")
    failed = place.score("income", {})
    assert (failed.status_code, failed.headers["ms-azureml-model-error-reason"]) == (424, "model_error")
    assert place.score("income", {}).status_code == 200


def test_a_write_of_somebody_else_that_drops_the_traffic(place: ServingHere) -> None:
    order(place, "dropped traffic")
    assert place.score("income", {}).status_code == 404
    assert traffic(place) == {}
    assert place.score("income", {}).status_code == 404


def test_a_write_of_somebody_else_between_a_read_and_the_write_after_it(place: ServingHere) -> None:
    order(place, "other writer")
    assert traffic(place) == {"blue": 100}
    assert traffic(place) == {"green": 100}
    assert place.score("income", {}).headers["azureml-model-deployment"] == "green"


def test_a_bucket_is_throttled_alone(place: ServingHere) -> None:
    place.here.faults.order(Fault(kind="throttled", operation="arm.writes", count=1))
    assert traffic(place) == {"blue": 100}
    body = endpoint_body({"green": 100})
    assert [place.here.call("PUT", INCOME, body).status for _ in range(2)] == [429, 200]


@pytest.mark.parametrize(("kind", "status"), [("throttled", 429), ("unavailable", 503)])
def test_a_call_that_is_refused_says_when_to_come_again(place: ServingHere, kind: str, status: int) -> None:
    place.key("income")
    order(place, kind, seconds=7)
    refused = place.here.call("GET", INCOME)
    assert (refusal(refused)[0], refused.headers["retry-after"]) == (status, "7")
    key = place.key("income")
    order(place, kind, seconds=8)
    scored = place.score("income", {}, key=key)
    assert (scored.status_code, scored.headers["retry-after"]) == (status, "8")


def test_a_call_whose_key_has_expired_is_refused_once(place: ServingHere) -> None:
    key = place.key("income")
    place.here.faults.order(Fault(kind="expired token", operation="score", count=1))
    assert [place.score("income", {}, key=key).status_code for _ in range(2)] == [401, 200]


@pytest.mark.parametrize("kind", ["lost answer", "reset", "truncated"])
def test_an_answer_that_is_lost(place: ServingHere, kind: str) -> None:
    key = place.key("income")
    order(place, kind)
    with pytest.raises(requests.RequestException):
        place.score("income", {"a": 1}, key=key)
    order(place, kind)
    with pytest.raises(requests.RequestException):
        address = f"{place.address}{place.here.workspace.id}/{INCOME}?api-version=2025-12-01"
        body = endpoint_body({"green": 100})
        place.session.put(address, json=body, headers={"Authorization": f"Bearer {place.here.token}"})
    until(lambda: place.idle(), "the write is carried out")
    assert traffic(place) == ({"blue": 100} if kind == "reset" else {"green": 100})
