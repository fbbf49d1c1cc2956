"""The local Studio on the wire: shapes, errors and what survives a restart, asked with a plain HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from local.azurite import Azurite
from local.datasets import as_csv, breast_cancer, with_a_short_row
from local.studio import running_studio
from local.workplace import PIPELINE, Workplace
from shared.adapters.bes_details import innermost_message
from studio.experiments import load_experiment
from tests.support.waiting import until

FINAL = ("Finished", "Failed", "Cancelled")


class Client:
    """What a user's own program would do."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self._key = address, key

    def call(
        self, method: str, path: str = "", body: Any = None, version: str = "2.0", key: str | None = None, **query: str
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self.address}{path}",
            params={"api-version": version, **query},
            json=body,
            headers={"Authorization": f"Bearer {self._key if key is None else key}"},
            timeout=30,
        )

    def wait(self, job: str, wanted: Callable[[str], bool] = lambda state: state in FINAL) -> dict[str, Any]:
        status: dict[str, Any] = {}

        def reached() -> bool:
            status.update(self.call("GET", f"/jobs/{job}").json())
            return wanted(status["StatusCode"])

        until(reached, lambda: status)
        return status


def training(place: Workplace) -> Client:
    settings = place.settings
    return Client(settings["BREAST_CANCER_TRAINING_ADDRESS"], settings["BREAST_CANCER_TRAINING_KEY"])


def blob(place: Workplace, name: str, content: bytes) -> dict[str, Any]:
    path = place.drop(name, content)
    return {"ConnectionString": place.azurite.connection_string, "RelativeLocation": f"{place.container}/{path}"}


def error_of(answer: requests.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    return answer.status_code, error["code"], error["details"][0]["code"]


def test_a_bes_job_runs_only_when_started_and_its_results_are_links_made_at_each_look(workplace: Workplace) -> None:
    client = training(workplace)
    data = blob(workplace, "a.csv", as_csv(workplace.header, workplace.rows))
    override = {**data, "RelativeLocation": "outputs/model.ilearner"}
    created = client.call("POST", "/jobs", {"Inputs": {"input1": data}, "Outputs": {"output1": override}})
    assert created.text == f'"{created.json()}"'
    job = created.json()
    fresh = {"StatusCode": "NotStarted", "Results": None, "Details": None}
    assert client.call("GET", f"/jobs/{job}").json() == fresh

    assert client.call("POST", f"/jobs/{job}/start").status_code == 204
    assert error_of(client.call("POST", f"/jobs/{job}/start")) == (400, "InvalidOperation", "CannotStartJob")
    status = client.wait(job)
    assert list(status["Results"]) == ["output3", "output2", "output1"]  # not the order of the ports
    model = status["Results"]["output1"]
    assert model["RelativeLocation"] == "outputs/model.ilearner"
    assert model["ConnectionString"] is None
    token = parse_qs(model["SasBlobToken"].lstrip("?"))
    window = datetime.fromisoformat(token["se"][0]) - datetime.fromisoformat(token["st"][0])
    assert (window, token["sr"], token["sp"]) == (timedelta(hours=24, minutes=5), ["b"], ["r"])
    content = requests.get(model["BaseLocation"] + model["RelativeLocation"] + model["SasBlobToken"], timeout=30)
    assert content.content.startswith(b"PK")
    table = status["Results"]["output2"]
    csv = requests.get(table["BaseLocation"] + table["RelativeLocation"] + table["SasBlobToken"], timeout=30).text
    assert csv.startswith("Accuracy,Precision,Recall,F-Score,AUC,Average Log Loss,Training Log Loss\n")


def test_what_a_client_does_wrong_is_answered_by_the_catalogue(workplace: Workplace) -> None:
    client = training(workplace)
    data = blob(workplace, "a.csv", as_csv(workplace.header, workplace.rows))
    inputs = {"input1": data}
    cases: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
        ({"Inputs": {"data": data}}, (400, "BadArgument", "InvalidInputNames")),
        ({"Inputs": {}}, (400, "BadArgument", "BatchJobInputsNotSpecified")),
        ({"Inputs": inputs, "Input": data}, (400, "BadArgument", "DuplicateInputInBatchCall")),
        ({"Inputs": inputs, "Outputs": {"Output1": data}}, (400, "BadArgument", "InvalidOutputOverrideName")),
        ({"Inputs": inputs, "Outputs": {"output1": data}}, (400, "BadArgument", "InvalidBlobExtension")),
        ({"Inputs": inputs, "GlobalParameters": {"x": "1"}}, (400, "BadArgument", "UnexpectedParameter")),
        (
            {"Inputs": {"input1": {**data, "RelativeLocation": "data/a.xlsx"}}},
            (400, "BadArgument", "InvalidBlobExtension"),
        ),
        ({"Inputs": {"input1": {**data, "RelativeLocation": "data/a.csv"}}}, (400, "BadArgument", "BlobNotFound")),
        (
            {"Inputs": {"input1": {**data, "ConnectionString": "x"}}},
            (400, "BadArgument", "InvalidBlobConnectionString"),
        ),
        (
            {"Inputs": {"input1": {"BaseLocation": "https://store.example/", "RelativeLocation": "data/a.csv"}}},
            (400, "BadArgument", "InvalidBlob"),
        ),
    ]
    for body, expected in cases:
        assert error_of(client.call("POST", "/jobs", body)) == expected
    assert error_of(client.call("POST", "/jobs", ["x"])) == (400, "BadArgument", "RequestBodyInvalid")
    unauthorized = (401, "Unauthorized", "ScoreRequestUnauthorized")
    assert error_of(client.call("POST", "/jobs", {"Inputs": inputs}, key="x")) == unauthorized
    assert error_of(client.call("GET", "/jobs/none")) == (404, "NotFound", "JobNotFound")
    assert error_of(client.call("POST", "/jobs", {}, version="9")) == (400, "BadArgument", "BadVersionCall")


def test_a_failed_job_nests_its_reason_and_a_cancelled_one_stays_so(workplace: Workplace) -> None:
    client = training(workplace)
    broken = blob(workplace, "broken.csv", b"a,b,diagnosis\n1,2\n3,4,5,6,7\n")
    job = client.call("POST", "/jobs", {"Input": broken}).json()
    client.call("POST", f"/jobs/{job}/start")
    failed = client.wait(job)
    assert (failed["StatusCode"], failed["Results"]) == ("Failed", None)
    assert innermost_message(failed["Details"]) == "All rows must have same number of elements"

    fine = blob(workplace, "fine.csv", as_csv(workplace.header, workplace.rows))
    job = client.call("POST", "/jobs", {"Input": fine}).json()
    assert client.call("DELETE", f"/jobs/{job}").status_code == 204
    assert client.call("GET", f"/jobs/{job}").json()["StatusCode"] == "Cancelled"
    assert error_of(client.call("POST", f"/jobs/{job}/start"))[2] == "CannotStartJob"


def test_a_running_job_is_cancelled_and_after_a_crash_the_server_tells_what_became_of_its_jobs(
    azurite: Azurite, tmp_path: Path
) -> None:
    header, rows = breast_cancer()
    with running_studio(tmp_path, azurite.connection_string, "--at-once", "1", "--slow", "60") as studio:
        published = studio.studio.deploy_training(load_experiment(PIPELINE))
        client = Client(f"{studio.address}{published.path}", published.key)
        studio.studio.blobs.write(studio.studio.blobs.own("data/a.csv"), as_csv(header, rows))
        data = {"ConnectionString": azurite.connection_string, "RelativeLocation": "data/a.csv"}
        jobs = [client.call("POST", "/jobs", {"Input": data}).json() for _ in range(3)]
        for job in jobs:
            client.call("POST", f"/jobs/{job}/start")
        client.wait(jobs[0], lambda state: state == "Running")
        assert client.call("GET", f"/jobs/{jobs[1]}").json()["StatusCode"] == "NotStarted"
        client.call("DELETE", f"/jobs/{jobs[0]}")
        client.wait(jobs[1], lambda state: state == "Running")  # first in, first out
        studio.child.process.kill()
    with running_studio(tmp_path, azurite.connection_string) as studio:
        client = Client(f"{studio.address}{published.path}", published.key)
        assert client.wait(jobs[0])["StatusCode"] == "Cancelled"
        stopped = client.wait(jobs[1])
        assert stopped["StatusCode"] == "Failed"
        assert "The server stopped" in stopped["Details"]
        assert client.wait(jobs[2])["StatusCode"] == "Finished"


def test_rrs_answers_tables_of_text_and_says_what_is_wrong_with_a_row(workplace: Workplace) -> None:
    client = Client(f"{workplace.studio.address}{workplace.classic.path}", workplace.classic.key)
    header, rows = workplace.header, workplace.rows[:2]
    body = {"Inputs": {"input1": {"ColumnNames": header, "Values": rows}}, "GlobalParameters": {}}
    value = client.call("POST", "/execute", body, details="true").json()["Results"]["output1"]
    assert value["type"] == "table"
    assert value["value"]["ColumnNames"] == [*header, "Scored Labels", "Scored Probabilities"]
    assert all(isinstance(cell, str) for row in value["value"]["Values"] for cell in row)
    bare = client.call("POST", "/execute", body).json()["Results"]["output1"]["value"]
    assert list(bare) == ["Values"]

    swagger = {"Inputs": {"input1": [dict(zip(header, row, strict=True)) for row in rows]}}
    answered = client.call("POST", "/execute", swagger, format="swagger").json()["Results"]["output1"]
    assert [row["Scored Probabilities"] for row in answered] == [row[-1] for row in bare["Values"]]

    def wrong(columns: list[str], values: list[list[str]]) -> tuple[int, str, str]:
        table = {"Inputs": {"input1": {"ColumnNames": columns, "Values": values}}}
        return error_of(client.call("POST", "/execute", table))

    assert wrong(header, [rows[0][:3]]) == (400, "BadUserArgument", "InputMismatchError")
    assert wrong(header, [["x", *rows[0][1:]]]) == (400, "BadUserArgument", "InputParseError")
    assert wrong(header[1:], [rows[0][1:]])[1] == "ModuleExecutionError"
    document = requests.get(f"{client.address}/swagger.json", timeout=30).json()
    assert "/execute?" in list(document["paths"])[1]
    example = document["definitions"]["ExecutionRequest"]["example"]["Inputs"]["input1"]
    assert list(example[0]) == header


def test_an_update_that_does_not_fit_is_refused_and_changes_nothing(workplace: Workplace) -> None:
    owner = workplace.studio.studio.workspace.primary_token
    place = Client(workplace.settings["BREAST_CANCER_CLASSIC_ADDRESS"], owner)
    before = place.call("GET").json()
    assert before["ApiLocation"] == workplace.settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"]
    location = before["Resources"][0]["Location"]
    name = before["Resources"][0]["Name"]
    blobs = workplace.studio.studio.blobs
    blobs.write(blobs.own("models/stranger.ilearner"), b"import os")
    stranger = {**location, "RelativeLocation": "models/stranger.ilearner", "SasBlobToken": None}
    expired = location["SasBlobToken"].replace("se=20", "se=19")
    owner_studio = workplace.studio.studio
    [wine] = owner_studio.deploy_classic(owner_studio.run(load_experiment("wine"), _wine()))
    other = requests.get(
        f"{workplace.studio.address}{wine.management}", headers={"Authorization": f"Bearer {wine.key}"}, timeout=30
    ).json()["Resources"][0]["Location"]

    def patched(resource: str, where: Mapping[str, Any], client: Client = place) -> tuple[int, str, str]:
        return error_of(client.call("PATCH", "", {"Resources": [{"Name": resource, "Location": where}]}))

    assert patched(name.lower(), location) == (400, "BadArgument", "BadParameterValue")
    assert (
        patched(name, {**location, "RelativeLocation": "models/none.ilearner", "SasBlobToken": None})[2]
        == "BlobNotFound"
    )
    assert patched(name, {**location, "SasBlobToken": expired})[2] == "ExpiryTimeInThePast"
    assert patched(name, stranger)[2] == "InvalidBlob"
    assert patched(name, other)[2] == "IncompatibleModel"
    default = Client(place.address.replace("/retrained", "/default"), owner)
    assert patched(name, location, default)[2] == "UpdateWebServiceResourceFailed"
    services = Client(place.address.split("/webservices")[0] + "/webservices", owner).call("GET").json()
    [trainer] = [each["Id"] for each in services if each["Name"] == "Breast cancer"]
    service = place.address.split("/webservices/")[1].split("/")[0]
    trained = Client(place.address.replace(service, trainer).replace("/retrained", "/default"), owner)
    assert "no updatable resources" in trained.call("PATCH", "", {"Resources": [{"Name": name}]}).text
    assert error_of(place.call("PATCH", "", {}, key="x"))[0] == 401
    assert _without_sas(place.call("GET").json()) == _without_sas(before)
    assert place.call("PATCH", "", {"Description": "new", "MaxConcurrentCalls": "20"}).text == ""
    assert place.call("GET").json()["MaxConcurrentCalls"] == 20


def test_a_new_web_service_keeps_its_keys_to_itself_and_refuses_what_cannot_change(workplace: Workplace) -> None:
    settings = workplace.settings
    client = Client(f"{settings['ARM_ADDRESS']}{settings['BREAST_CANCER_NEW_ID']}", settings["ARM_TOKEN"])

    def call(method: str, path: str = "", body: Any = None) -> requests.Response:
        return client.call(method, path, body, version="2017-01-01")

    definition = call("GET").json()
    assert "keys" not in definition["properties"]
    assert set(definition["properties"]["storageAccount"]) == {"name"}
    assert call("GET", "/listKeys").json()["primary"] == workplace.new.key
    other = {"properties": {"packageType": "Graph", "StorageAccount": {"Name": "other"}}}
    assert error_of(call("PATCH", "", other)) == (400, "BadRequest", "CannotChangeStorageAccount")

    uri = f"{workplace.studio.studio.blobs.address}models/none.ilearner"
    assets = {key: dict(asset) for key, asset in definition["properties"]["assets"].items()}
    for asset in assets.values():
        if asset["type"] == "Resource":
            asset["LocationInfo"] = {"Uri": uri}
            del asset["locationInfo"]
    accepted = call("PATCH", "", {"Properties": {"packageType": "Graph", "Assets": assets}})
    assert accepted.status_code == 200
    assert accepted.json()["properties"]["provisioningState"] == "Provisioning"
    operation = requests.get(
        accepted.headers["Azure-AsyncOperation"],
        headers={"Authorization": f"Bearer {settings['ARM_TOKEN']}"},
        timeout=30,
    ).json()
    assert (operation["status"], operation["error"]["details"][0]["code"]) == ("Failed", "BlobNotFound")
    assert call("GET").json()["properties"]["assets"] == definition["properties"]["assets"]
    titled = call("PATCH", "", {"properties": {"packageType": "Graph", "title": "Other"}, "tags": {"team": "a"}})
    assert titled.status_code == 200
    assert (call("GET").json()["properties"]["title"], call("GET").json()["tags"]) == ("Other", {"team": "a"})
    made = Client(f"{client.address}two", settings["ARM_TOKEN"])
    created = made.call("PUT", "", {**definition, "location": "South Central US"}, version="2017-01-01")
    assert created.status_code == 201
    keys = made.call("GET", "/listKeys", version="2017-01-01").json()
    base = made.call("GET", version="2017-01-01").json()["properties"]["swaggerLocation"].removesuffix("/swagger.json")
    table = {"ColumnNames": workplace.header, "Values": workplace.rows[:1]}
    assert Client(base, keys["primary"]).call("POST", "/execute", {"Inputs": {"input1": table}}).status_code == 200
    missing = Client(f"{client.address}x", settings["ARM_TOKEN"]).call("GET", version="2017-01-01")
    assert error_of(missing) == (404, "NotFound", "WebServiceNotFound")


@pytest.mark.parametrize("experiment", ["wine", "diabetes"])
def test_other_kinds_are_trained_and_served_too(azurite: Azurite, tmp_path: Path, experiment: str) -> None:
    data = _wine() if experiment == "wine" else _diabetes()
    with running_studio(tmp_path, azurite.connection_string) as studio:
        run = studio.studio.run(load_experiment(experiment), data)
        [endpoint] = studio.studio.deploy_classic(run)
        client = Client(f"{studio.address}{endpoint.path}", endpoint.key)
        lines = data.decode().splitlines()
        table = {"ColumnNames": lines[0].split(","), "Values": [line.split(",") for line in lines[1:6]]}
        value = client.call("POST", "/execute", {"Inputs": {"input1": table}}, details="true").json()
    columns = value["Results"]["output1"]["value"]["ColumnNames"]
    if experiment == "wine":
        assert columns[-4:] == [*(f'Scored Probabilities for Class "{name}"' for name in "012"), "Scored Labels"]
        assert run.evaluations[0]["Overall accuracy"] > 0.9
    else:
        assert columns[-1:] == ["Scored Labels"]
        assert run.evaluations[0]["Coefficient of Determination"] > 0.3


def test_a_table_with_a_short_row_never_becomes_a_model(workplace: Workplace) -> None:
    client = training(workplace)
    data = blob(workplace, "short.csv", with_a_short_row(workplace.header, workplace.rows))
    job = client.call("POST", "/jobs", {"Input": data}).json()
    client.call("POST", f"/jobs/{job}/start")
    assert innermost_message(client.wait(job)["Details"]) == "All rows must have same number of elements"


def _wine() -> bytes:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    return bytes(frame.to_csv(index=False).encode())


def _diabetes() -> bytes:
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    return bytes(frame.to_csv(index=False).encode())


def _without_sas(endpoint: dict[str, Any]) -> dict[str, Any]:
    for resource in endpoint["Resources"]:
        resource["Location"].pop("SasBlobToken")
    return endpoint
