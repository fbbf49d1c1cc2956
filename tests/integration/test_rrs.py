"""The request-response service on the wire, asked with a plain HTTP client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from sklearn.datasets import load_diabetes, load_wine

from local.workplace import PIPELINE, Workplace
from studio.experiments.loading import load_experiment
from tests.support.studio import Client, error_of, scoring_of, target_of, training_of
from tests.support.waiting import PATIENCE, until

APPEND = "Append score columns to output"


@pytest.fixture(scope="module")
def workplace(place: Workplace) -> Workplace:
    """One workplace for all rules here, with the faults' control."""
    return place


def wine() -> Any:
    return load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})


def diabetes() -> Any:
    return load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})


def deployed(place: Workplace, experiment: str, frame: Any) -> tuple[Client, dict[str, float]]:
    """Return the added endpoint of an experiment, and the evaluation of its last model."""
    studio = place.studio.studio
    run = studio.run(load_experiment(experiment), frame.to_csv(index=False).encode())
    [endpoint] = studio.deploy_classic(run)
    return Client(f"{place.studio.address}{endpoint.path}", endpoint.key), run.evaluations[-1]


def test_a_table_of_text_is_answered_and_its_columns_are_described_on_request(workplace: Workplace) -> None:
    client, header, rows = scoring_of(workplace), workplace.header, workplace.rows[:2]
    output = client.score(header, rows, details="true").json()["Results"]["output1"]
    assert output["type"] == "table"
    value = output["value"]
    assert value["ColumnNames"] == [*header, "Scored Labels", "Scored Probabilities"]
    assert value["ColumnTypes"] == [*["Double"] * (len(header) - 1), "String", "String", "Double"]
    assert all(isinstance(cell, str) for row in value["Values"] for cell in row)
    for answered in (client.score(header, rows), client.score(header, rows, details="false")):
        assert answered.json()["Results"]["output1"]["value"] == {"Values": value["Values"]}
    assert answered.headers["x-ms-request-id"]
    numbers = [[*map(float, row[:-1]), row[-1]] for row in rows]
    scored = client.score(header, numbers).json()["Results"]["output1"]["value"]["Values"]
    assert [row[-2:] for row in scored] == [row[-2:] for row in value["Values"]]


def test_rows_as_objects_are_answered_as_objects_whatever_order_their_columns_have(workplace: Workplace) -> None:
    client, header, rows = scoring_of(workplace), workplace.header, workplace.rows[:2]
    values = client.score(header, rows).json()["Results"]["output1"]["value"]["Values"]
    first, second = (dict(zip(header, row, strict=True)) for row in rows)

    def answered(given: Any) -> list[dict[str, str]]:
        answer = client.call("POST", "/execute", {"Inputs": {"input1": given}}, format="swagger")
        return list(answer.json()["Results"]["output1"])

    for given in ([first, second], [first, dict(reversed(second.items()))]):
        assert [row["Scored Probabilities"] for row in answered(given)] == [row[-1] for row in values]
    assert answered(first) == answered([first])
    del first["diagnosis"]  # what is to be predicted need not be there, in any row
    assert [row["Scored Probabilities"] for row in answered([first, second])] == [row[-1] for row in values]


def test_the_score_columns_alone_are_answered_on_request(workplace: Workplace) -> None:
    client, rows = scoring_of(workplace), workplace.rows[:2]
    table = {"ColumnNames": workplace.header, "Values": rows}
    whole = client.score(workplace.header, rows).json()["Results"]["output1"]["value"]["Values"]

    def answered(value: Any) -> Any:
        body = {"Inputs": {"input1": table}, "GlobalParameters": {APPEND: value}}
        return client.call("POST", "/execute", body).json()["Results"]["output1"]["value"]["Values"]

    for value in ("False", "false", False):
        assert answered(value) == [row[-2:] for row in whole]
    for value in ("True", True, None):
        assert answered(value) == whole


def test_several_models_have_their_own_inputs_and_outputs(workplace: Workplace) -> None:
    frame = wine()
    client, _ = deployed(workplace, "wine-cellar", frame)
    table = {"ColumnNames": list(frame), "Values": frame.head(2).to_numpy().tolist()}
    body = {"Inputs": {"input1": table, "input2": {**table, "Values": table["Values"][:1]}}}
    results = client.call("POST", "/execute", body, details="true").json()["Results"]
    grown, strong = (results[name]["value"] for name in ("output1", "output2"))
    assert (len(grown["Values"]), len(strong["Values"])) == (2, 1)
    assert grown["ColumnNames"][-2:] == ['Scored Probabilities for Class "2"', "Scored Labels"]
    assert (strong["ColumnNames"][-1], strong["ColumnTypes"][-1]) == ("Scored Labels", "Double")
    missing = client.call("POST", "/execute", {"Inputs": {"input1": table}})
    assert (*error_of(missing), target_of(missing)) == (400, "BadArgument", "MissingRequestInput", "input2")
    document = requests.get(f"{client.address}/swagger.json", timeout=PATIENCE).json()
    assert {"input1Item", "input2Item", "output1Item", "output2Item"} < set(document["definitions"])


@pytest.mark.parametrize(
    ("experiment", "data", "columns", "metric", "at_least"),
    [
        (
            "wine",
            wine,
            [*(f'Scored Probabilities for Class "{name}"' for name in "012"), "Scored Labels"],
            "Overall accuracy",
            0.9,
        ),
        ("diabetes", diabetes, ["Scored Labels"], "Coefficient of Determination", 0.3),
    ],
)
def test_other_kinds_are_trained_and_served_too(
    workplace: Workplace, experiment: str, data: Callable[[], Any], columns: list[str], metric: str, at_least: float
) -> None:
    frame = data()
    client, evaluation = deployed(workplace, experiment, frame)
    value = client.score(list(frame), frame.head(5).to_numpy().tolist(), details="true").json()
    assert value["Results"]["output1"]["value"]["ColumnNames"][frame.shape[1] :] == columns
    assert evaluation[metric] > at_least


def test_a_key_is_taken_as_clients_write_it(workplace: Workplace) -> None:
    client, table = scoring_of(workplace), {"ColumnNames": workplace.header, "Values": workplace.rows[:1]}
    secondary = requests.get(
        f"{workplace.studio.address}{workplace.classic.management}",
        headers={"Authorization": f"Bearer {client.key}"},
        timeout=PATIENCE,
    ).json()["SecondaryKey"]
    written = [f"bearer {client.key}", f"Bearer  {client.key}", f"BEARER {client.key}", f"Bearer {secondary}"]
    for authorization in (*written, client.key, "Bearer", f"Basic {client.key}"):
        answer = requests.post(
            f"{client.address}/execute?api-version=2.0",
            json={"Inputs": {"input1": table}},
            headers={"Authorization": authorization},
            timeout=PATIENCE,
        )
        assert answer.status_code == (200 if authorization in written else 401)
    assert error_of(answer) == (401, "Unauthorized", "ScoreRequestUnauthorized")


def test_what_is_wrong_with_a_request_is_answered_by_the_catalogue(workplace: Workplace) -> None:
    client, header, row = scoring_of(workplace), workplace.header, workplace.rows[0]
    table = {"ColumnNames": header, "Values": [row]}
    fine = {"input1": table}
    cases: list[tuple[Any, tuple[str, str], str | None]] = [
        ({}, ("BadArgument", "MissingRequestInput"), None),
        ({"Inputs": {}}, ("BadArgument", "MissingRequestInput"), "input1"),
        ({"Inputs": {"data": table}}, ("BadArgument", "InvalidInputNames"), "data"),
        ({"Inputs": {"input1": [table]}}, ("BadUserArgument", "InputParseError"), "input1"),
        ({"Inputs": {"input1": {"ColumnNames": header}}}, ("BadUserArgument", "InputParseError"), "input1"),
        ({"Inputs": {"input1": {**table, "Values": [row[:3]]}}}, ("BadUserArgument", "InputMismatchError"), None),
        (
            {"Inputs": {"input1": {"ColumnNames": ["a", "a"], "Values": []}}},
            ("BadUserArgument", "InputMismatchError"),
            "input1",
        ),
        (
            {"Inputs": {"input1": {**table, "Values": [["x", *row[1:]]]}}},
            ("BadUserArgument", "InputParseError"),
            header[0],
        ),
        (
            {"Inputs": {"input1": {**table, "Values": [["1e999", *row[1:]]]}}},
            ("BadUserArgument", "InputParseError"),
            header[0],
        ),
        (
            {"Inputs": {"input1": {"ColumnNames": header[1:], "Values": [row[1:]]}}},
            ("ModuleExecutionError", "ModuleExecutionError"),
            None,
        ),
        ({"Inputs": fine, "GlobalParameters": {"x": 1}}, ("BadArgument", "UnexpectedParameter"), "x"),
        ({"Inputs": fine, "GlobalParameters": {APPEND: "no"}}, ("BadUserArgument", "UserParameterInvalid"), APPEND),
        ([], ("BadArgument", "RequestBodyInvalid"), None),
    ]
    for body, (code, detail), target in cases:
        answer = client.call("POST", "/execute", body)
        assert (*error_of(answer), target_of(answer)) == (400, code, detail, target), (body, answer.text)
    training = training_of(workplace)
    assert error_of(training.score(header, [row])) == (400, "BadArgument", "WebServiceTypeInvalid")


def test_a_query_a_version_or_an_empty_request_that_cannot_be_used_is_named(workplace: Workplace) -> None:
    client = scoring_of(workplace)
    fine = {"input1": {"ColumnNames": workplace.header, "Values": workplace.rows[:1]}}
    for query in ({"format": "xml"}, {"details": "maybe"}):
        answer = client.call("POST", "/execute", {"Inputs": fine}, **query)
        assert error_of(answer) == (400, "BadArgument", "InvalidQueryParameter")
    assert error_of(client.call("POST", "/execute", {"Inputs": fine}, version=None))[2] == "BadVersionCall"
    null = requests.post(
        f"{client.address}/execute?api-version=2.0",
        data="null",
        headers={"Authorization": f"Bearer {client.key}"},
        timeout=PATIENCE,
    )
    assert error_of(null) == (400, "BadArgument", "RequestIsEmpty")


def test_a_service_is_found_only_under_its_own_workspace_or_subscription(workplace: Workplace) -> None:
    address, classic, new = workplace.studio.address, workplace.classic.path, workplace.new.path
    endpoint, other = classic.rsplit("/", 1)[1], "0" * 32
    cases = [
        (f"/workspaces/{other}/services/{endpoint}", (404, "NotFound", "WebServiceIdNotFoundInWorkspace")),
        (classic.replace(endpoint, other), (404, "NotFound", "WebServiceNotFound")),
        (classic.replace(endpoint, "retrained"), (400, "BadArgument", "WebServiceIdInvalid")),
        (f"/subscriptions/{other}/services/{new.rsplit('/', 1)[1]}", (400, "BadArgument", "BadSubscriptionId")),
        (new.rsplit("/", 1)[0] + f"/{endpoint}", (404, "NotFound", "WebServiceNotFound")),
    ]
    for path, expected in cases:
        client = Client(f"{address}{path}", workplace.classic.key)
        assert error_of(client.score(workplace.header, workplace.rows[:1])) == expected


def test_more_calls_at_once_than_the_endpoint_takes_are_throttled(workplace: Workplace) -> None:
    studio = workplace.studio.studio
    [endpoint] = studio.deploy_classic(studio.run(load_experiment("wine"), wine().to_csv(index=False).encode()))
    client = Client(f"{workplace.studio.address}{endpoint.path}", endpoint.key)
    management = Client(f"{workplace.studio.address}{endpoint.management}", endpoint.key)
    assert management.call("PATCH", "", {"ThrottleLevel": "Low", "MaxConcurrentCalls": 1}).status_code == 200
    faults = f"{workplace.studio.control}/faults"
    body = {"kind": "slow", "operation": "rrs.execute", "endpoint": endpoint.path.rsplit("/", 1)[1], "count": 1}
    order = requests.post(faults, json={**body, "seconds": 15}, timeout=PATIENCE).json()["id"]
    frame, statuses = wine().head(1), []

    def score() -> requests.Response:
        return client.score(list(frame), frame.to_numpy().tolist())

    slow = threading.Thread(target=lambda: statuses.append(score().status_code))
    slow.start()
    until(
        lambda: any(each["id"] == order and "struck" in each for each in requests.get(faults, timeout=PATIENCE).json()),
        "the first call is held up",
    )
    throttled = score()
    assert client.call("GET", "/jobs/none").status_code == 404  # what is not a scoring is not counted
    slow.join()
    assert error_of(throttled) == (503, "ServiceUnavailable", "RequestThrottled")
    assert "The maximum concurrency for the endpoint is 1" in throttled.text
    assert (statuses, score().status_code) == ([200], 200)


def test_the_swagger_document_has_what_the_r_client_looks_for(workplace: Workplace) -> None:
    client = scoring_of(workplace)
    document = requests.get(f"{client.address}/swagger.json", timeout=PATIENCE).json()
    assert document["info"]["title"] == f"{load_experiment(PIPELINE).name} [Predictive Exp.]"
    assert document["info"]["x-endpoint-name"] == "retrained"
    base = f"{document['schemes'][0]}://{document['host']}{document['basePath']}"
    assert base == client.address
    assert list(document["paths"])[:3] == [
        "/swagger.json",
        "/execute?api-version=2.0&format=swagger",
        "/jobs?api-version=2.0",
    ]
    example = document["definitions"]["ExecutionRequest"]["example"]
    assert list(example["Inputs"]["input1"][0]) == workplace.header
    scored = ["Scored Labels", "Scored Probabilities"]
    assert list(document["definitions"]["input1Item"]["properties"]) == workplace.header
    assert list(document["definitions"]["output1Item"]["properties"]) == [*workplace.header, *scored]
    answer = client.call("POST", "/execute", example, format="swagger")
    assert set(answer.json()["Results"]["output1"][0]) == {*workplace.header, *scored}
    training = requests.get(f"{training_of(workplace).address}/swagger.json", timeout=PATIENCE).json()
    assert list(training["paths"])[1] == "/jobs?api-version=2.0"
    assert list(training["definitions"]["input1Item"]["properties"]) == load_experiment(PIPELINE).labels
