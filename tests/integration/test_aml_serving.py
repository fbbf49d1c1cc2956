"""Online endpoints that serve: real processes behind the gateway, called over a real port."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from aml.identity import tokens
from aml.state.serving import Deployment
from local.azurite import Azurite
from tests.support.serving import ServingHere, publish, serving
from tests.support.waiting import PATIENCE, until

ROWS = {"input_data": {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4]]}}


@pytest.fixture(scope="module")
def place(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingHere]:
    """The endpoint `income`: `aye` and `nay` serve a model, `echo` a script."""
    folder = tmp_path_factory.mktemp("serving")
    with serving(folder / "aml", one_azurite.connection_string) as running:
        publish(running.here, folder)
        running.endpoint("income")
        begun = [running.order("income", name, model=f"models/{name}/versions/1") for name in ("aye", "nay")]
        many = {"maxConcurrentRequestsPerInstance": 4, "requestTimeout": "PT60S"}
        begun.append(running.order("income", "echo", requestSettings=many, environmentVariables={"NAME": "echo"}))
        for operation in begun:
            running.ended(operation)
        yield running


def test_a_model_answers_the_forms_of_rows_that_the_service_takes(place: ServingHere) -> None:
    for body, answers in (
        (ROWS, ["aye", "aye"]),
        ({"input_data": [[1, 2]]}, ["aye"]),
        ({"input_data": [{"a": 1, "b": 2}]}, ["aye"]),
        ({"input_data": {"columns": ["a", "b"], "data": []}}, []),
    ):
        answer = place.score("income", body, "aye")
        assert (answer.status_code, answer.json()) == (200, answers)
        assert answer.headers["azureml-model-deployment"] == "aye"
        assert float(answer.headers["ms-azureml-model-time"]) > 0


@pytest.mark.parametrize("body", [{}, [], {"input_data": 1}, {"input_data": [[1]]}, {"input_data": [[1, "x"]]}, "text"])
def test_rows_that_cannot_be_scored_are_refused_by_the_container(place: ServingHere, body: object) -> None:
    answer = place.score("income", body, "aye")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
    assert answer.headers["ms-azureml-model-error-reason"] == "model_error"
    assert answer.json()["message"]


def test_a_script_gets_the_body_its_variables_and_its_folder(place: ServingHere) -> None:
    answer = place.score("income", {"any": ["thing"]}, "echo").json()
    assert answer["name"] == "echo" and answer["got"] == {"any": ["thing"]}


def test_what_a_script_raises_is_in_its_log_and_not_in_the_answer(place: ServingHere) -> None:
    answer = place.score("income", {"raise": True}, "echo")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "500"
    assert "on purpose" not in answer.text
    assert "ValueError: on purpose" in place.logs("income", "echo")
    assert place.score("income", {}, "echo").status_code == 200


def test_calls_split_as_the_traffic_says_and_one_named_goes_where_it_says(place: ServingHere) -> None:
    place.endpoint("income", {"aye": 90, "nay": 10})
    key = place.key("income")
    counted = Counter(place.score("income", ROWS, key=key).json()[0] for _ in range(100))
    assert counted == {"aye": 90, "nay": 10}
    assert place.score("income", ROWS, "NAY").headers["azureml-model-deployment"] == "nay"
    assert place.score("income", ROWS, "other").status_code == 404


def test_without_traffic_a_call_that_names_no_deployment_is_not_found(place: ServingHere) -> None:
    place.endpoint("income")
    answer = place.score("income", ROWS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NoTraffic")
    assert place.score("nowhere", ROWS, key="x").status_code == 404


def test_a_mirror_gets_copies_and_its_answers_reach_nobody(place: ServingHere) -> None:
    place.endpoint("income", {"aye": 100}, mirrorTraffic={"echo": 50})
    before = place.logs("income", "echo", tail=5000).count("scored")
    answers = [place.score("income", ROWS).json() for _ in range(10)]
    assert answers == [["aye", "aye"]] * 10
    until(lambda: place.logs("income", "echo", tail=5000).count("scored") == before + 5, "half of them are mirrored")
    place.score("income", ROWS, "aye")
    assert place.logs("income", "echo", tail=5000).count("scored") == before + 5  # a call that names one is not


def test_only_its_keys_open_an_endpoint(place: ServingHere) -> None:
    for key in ("", "wrong", "ü", place.here.token):
        answer = place.score("income", ROWS, "aye", key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    keys = place.here.call("POST", "onlineEndpoints/income/listKeys").json
    assert place.score("income", ROWS, "aye", key=keys["secondaryKey"]).status_code == 200
    place.made("POST", "onlineEndpoints/income/regenerateKeys", {"keyType": "Primary"})
    assert place.score("income", ROWS, "aye", key=keys["primaryKey"]).status_code == 401
    assert place.score("income", ROWS, "aye").status_code == 200


def test_tokens_open_the_endpoints_of_their_mode(place: ServingHere) -> None:
    for name, mode in (("tokens", "AMLToken"), ("others", "AMLToken"), ("entra", "aadToken")):
        place.endpoint(name, authMode=mode)
    own = {
        name: place.here.call("POST", f"onlineEndpoints/{name}/token").json["accessToken"]
        for name in ("tokens", "others")
    }
    entra = tokens.issue(place.here.workspace.identity, "https://ml.azure.com")[0]
    expired = tokens.issue(place.here.workspace.identity, "https://ml.azure.com", -1)[0]
    answers = {
        (name, what): place.score(name, ROWS, key=key).status_code
        for name in ("tokens", "entra")
        for what, key in {**own, "entra": entra, "expired": expired, "arm": place.here.token, "none": ""}.items()
    }
    # 404 is what the endpoint itself answers: it has no deployment.
    assert {each for each, status in answers.items() if status == 404} == {("tokens", "tokens"), ("entra", "entra")}
    assert answers["tokens", "others"] == 403
    assert {status for each, status in answers.items() if status not in (403, 404)} == {401}


def test_calls_beyond_twice_what_is_worked_on_at_once_are_refused(place: ServingHere, tmp_path: Path) -> None:
    key, gate = place.key("income"), tmp_path / "gate"
    body = {"seconds": PATIENCE, "until": str(gate)}
    answers: list[int] = []

    def call() -> None:
        headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": "echo"}
        answers.append(
            requests.post(f"{place.address}/score/income", json=body, headers=headers, timeout=PATIENCE).status_code
        )

    threads = [threading.Thread(target=call) for _ in range(11)]
    for thread in threads:
        thread.start()
    until(lambda: len(answers) == 3, "three of eleven are refused: four are worked on, and four wait")
    assert answers == [429] * 3
    gate.touch()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {429: 3, 200: 8}


def test_a_call_that_takes_too_long_is_ended_and_its_place_stays_taken(place: ServingHere, tmp_path: Path) -> None:
    place.deploy("income", "brief", requestSettings={"requestTimeout": "PT0.5S"})
    gate = tmp_path / "gate"
    body = {"seconds": PATIENCE, "until": str(gate)}
    assert place.score("income", body, "brief").status_code == 408
    assert place.score("income", {}, "brief").status_code == 408  # it waits behind the one that is worked on
    gate.touch()
    until(lambda: place.score("income", {}, "brief").status_code == 200, "the container is free again")


def test_a_body_that_is_too_large_is_refused(place: ServingHere) -> None:
    headers = {"Authorization": f"Bearer {place.key('income')}"}
    answer = requests.post(f"{place.address}/score/income", data=b"x" * (17 << 20), headers=headers, timeout=PATIENCE)
    assert answer.status_code == 413


def test_a_container_that_ends_is_started_again(place: ServingHere) -> None:
    answer = place.score("income", {"exit": True}, "echo")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-reason"] == "model_not_ready"
    until(lambda: place.score("income", {}, "echo").status_code == 200, "it is started again")


def test_a_deployment_that_cannot_start_stays_failed_with_its_log(place: ServingHere) -> None:
    operation = place.deploy("income", "bad", state="Failed", environmentVariables={"FAILS": "1"})
    assert operation["error"]["code"] == "ResourceNotReady"
    shown = place.here.call("GET", "onlineEndpoints/income/deployments/bad").json
    assert shown["properties"]["provisioningState"] == "Failed"
    assert "ValueError: no such model" in place.logs("income", "bad")
    assert len(place.logs("income", "bad", tail=1).splitlines()) == 1
    assert "Downloading" in place.logs("income", "bad", containerType="StorageInitializer")
    assert place.score("income", {}, "bad").status_code == 424
    place.made("DELETE", "onlineEndpoints/income/deployments/bad")


def test_a_change_that_fails_leaves_what_answers(place: ServingHere) -> None:
    place.deploy("income", "kept", environmentVariables={"NAME": "first"})
    place.deploy("income", "kept", state="Failed", environmentVariables={"FAILS": "1"})
    assert place.score("income", {}, "kept").json()["name"] == "first"
    assert "no such model" in place.logs("income", "kept")
    place.deploy("income", "kept", environmentVariables={"NAME": "second"})
    assert place.score("income", {}, "kept").json()["name"] == "second"
    until(lambda: len(folders_of(place, "kept")) == 1, "the files of the others are removed")


def test_a_call_that_is_worked_on_is_answered_by_the_process_that_has_it(place: ServingHere, tmp_path: Path) -> None:
    settings = {"requestTimeout": "PT180S"}
    place.deploy("income", "drained", requestSettings=settings, environmentVariables={"NAME": "former"})
    gate, answers = tmp_path / "gate", list[requests.Response]()
    headers = {"Authorization": f"Bearer {place.key('income')}", "azureml-model-deployment": "drained"}
    body = {"seconds": PATIENCE, "until": str(gate)}

    def call() -> None:
        answers.append(requests.post(f"{place.address}/score/income", json=body, headers=headers, timeout=PATIENCE))

    thread = threading.Thread(target=call)
    thread.start()
    live = place.here.serving.routes["income"].deployments["drained"][1]
    assert live and live.backend
    until(lambda: bool(live.backend and live.backend.pending), "the call is worked on")
    place.deploy("income", "drained", requestSettings=settings, environmentVariables={"NAME": "later"})
    assert place.score("income", {}, "drained").json()["name"] == "later"
    gate.touch()
    thread.join()
    assert (answers[0].status_code, answers[0].json()["name"]) == (200, "former")


def test_neither_a_traffic_change_nor_a_new_model_drops_a_request(place: ServingHere) -> None:
    place.deploy("income", "moved", model="models/aye/versions/1")
    place.endpoint("income", {"moved": 100})
    key, over, answers = place.key("income"), threading.Event(), Counter[tuple[int, str]]()

    def call() -> None:
        with requests.Session() as session:
            while not over.is_set():
                answer = session.post(
                    f"{place.address}/score/income",
                    json=ROWS,
                    headers={"Authorization": f"Bearer {key}"},
                    timeout=PATIENCE,
                )
                answers[answer.status_code, answer.text] += 1

    thread = threading.Thread(target=call)
    thread.start()
    try:
        place.deploy("income", "moved", model="models/nay/versions/1")
        place.endpoint("income", {"aye": 100})
        place.made("DELETE", "onlineEndpoints/income/deployments/moved")
    finally:
        over.set()
        thread.join()
    assert {status for status, _ in answers} == {200}, answers
    assert {text for _, text in answers} == {'["aye", "aye"]', '["nay", "nay"]'}


def test_a_larger_deployment_takes_more_calls_at_once(place: ServingHere) -> None:
    place.deploy("income", "scaled")
    path = "onlineEndpoints/income/deployments/scaled"
    place.made("PATCH", path, {"sku": {"name": "Default", "capacity": 3}})
    assert place.here.call("GET", path).json["sku"]["capacity"] == 3
    live = place.here.serving.routes["income"].deployments["scaled"][1]
    assert live and live.backend and live.backend.limits.at_once == 3


def folders_of(place: ServingHere, name: str) -> list[Path]:
    kept = place.here.workspace.records.find(Deployment, f"onlineendpoints/income/deployments/{name}")
    others = {
        folder
        for each in place.here.workspace.records.all(Deployment)
        if each.name != name
        for folder in (each.folder, each.served)
    }
    assert kept
    return [folder for folder in place.here.serving.folder.iterdir() if folder.name not in others]
