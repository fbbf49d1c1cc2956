"""The Batch Execution Service on the wire, asked with a plain HTTP client."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec
import pytest
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from local.azurite import ACCOUNT, KEY
from local.datasets import as_csv, breast_cancer, with_a_short_row
from local.studio import running_studio
from local.workplace import PIPELINE, Workplace
from shared.adapters.studio.bes_details import innermost_message
from studio.experiments.loading import load_experiment
from studio.learning.tables import read_table, write_table
from studio.publishing import Studio
from studio.state.records import Job, Reference
from tests.support.processes import HAS_PROC, NO_PROC, grandchildren
from tests.support.studio import Client, blob, error_of, linked, scoring_of, target_of, training_of
from tests.support.waiting import until


@pytest.fixture(scope="module")
def workplace(place: Workplace) -> Workplace:
    """One workplace for all rules here; each test brings its own blobs."""
    return place


@pytest.fixture(scope="module")
def data(workplace: Workplace) -> dict[str, Any]:
    return blob(workplace, "all.csv", as_csv(workplace.header, workplace.rows))


def test_a_job_runs_only_when_started_and_its_results_are_links_made_at_each_look(
    workplace: Workplace, data: dict[str, Any]
) -> None:
    client = training_of(workplace)
    override = {**data, "RelativeLocation": "/outputs/model.ilearner"}
    created = client.call("POST", "/jobs", {"Inputs": {"input1": data}, "Outputs": {"output1": override}})
    assert created.text == f'"{created.json()}"'
    job = created.json()
    fresh = {"StatusCode": "NotStarted", "Results": None, "Details": None}
    assert client.call("GET", f"/jobs/{job}").json() == fresh

    assert client.call("POST", f"/jobs/{job}/start").status_code == 204
    assert error_of(client.call("POST", f"/jobs/{job}/start")) == (400, "InvalidOperation", "CannotStartJob")
    status = client.wait(job)
    assert status["Details"] is None
    assert list(status["Results"]) == ["output3", "output2", "output1"]  # not the order of the ports
    model = status["Results"]["output1"]
    assert model["RelativeLocation"] == "outputs/model.ilearner"
    assert model["ConnectionString"] is None
    token = parse_qs(model["SasBlobToken"].lstrip("?"))
    window = datetime.fromisoformat(token["se"][0]) - datetime.fromisoformat(token["st"][0])
    assert (window, token["sr"], token["sp"]) == (timedelta(hours=24, minutes=5), ["b"], ["r"])
    assert linked(model).content.startswith(b"PK")
    table = status["Results"]["output2"]
    assert table["RelativeLocation"].startswith("experimentoutput/")
    assert linked(table).text.startswith("Accuracy,Precision,Recall,F-Score,AUC,Average Log Loss,Training Log Loss\n")
    begun = parse_qs(table["SasBlobToken"].lstrip("?"))["st"]

    def made_again() -> bool:
        again = client.call("GET", f"/jobs/{job}").json()["Results"]["output2"]
        return parse_qs(again["SasBlobToken"].lstrip("?"))["st"] != begun

    until(made_again, "the link is another one a second later")


def test_the_version_before_takes_one_input_starts_at_once_and_has_one_result(
    workplace: Workplace, data: dict[str, Any]
) -> None:
    client = training_of(workplace)
    job = client.call("POST", "/jobs", {"Input": data, "GlobalParameters": {}}, version=None).json()
    until(lambda: client.call("GET", f"/jobs/{job}", version=None).json()["StatusCode"] == "Finished", "it is started")
    status = client.call("GET", f"/jobs/{job}", version=None).json()
    assert set(status) == {"StatusCode", "Result", "Details"}
    assert linked(status["Result"]).content.startswith(b"PK")
    outputs = {"output1": {**data, "RelativeLocation": "outputs/x.ilearner"}}
    refused = client.call("POST", "/jobs", {"Input": data, "Outputs": outputs}, version=None)
    assert error_of(refused) == (400, "BadArgument", "BadVersionCall")


def test_an_input_may_be_named_by_its_base_and_a_signature_and_null_members_mean_none(
    workplace: Workplace, data: dict[str, Any]
) -> None:
    container, _, name = data["RelativeLocation"].partition("/")
    sas = generate_blob_sas(
        ACCOUNT, container, name, account_key=KEY, permission=BlobSasPermissions(read=True), expiry=datetime(2100, 1, 1)
    )
    for base in (workplace.azurite.blob_address, f"{workplace.azurite.blob_address}/"):
        for token in (sas, f"?{sas}"):
            location = {"BaseLocation": base, "RelativeLocation": data["RelativeLocation"], "SasBlobToken": token}
            body = {"Inputs": {"input1": {**location, "ConnectionString": None}}, "Outputs": None}
            created = training_of(workplace).call("POST", "/jobs", {**body, "GlobalParameters": None})
            assert created.status_code == 200, created.text


@pytest.mark.parametrize("end", [".csv", ".tsv", ".arff"])
def test_a_table_comes_out_in_the_form_that_its_name_asks_for(
    workplace: Workplace, data: dict[str, Any], end: str
) -> None:
    client = scoring_of(workplace)
    override = {**data, "RelativeLocation": f"outputs/scored{end}"}
    bare = {"Append score columns to output": "False"}
    body = {"Inputs": {"input1": data}, "Outputs": {"output1": override}, "GlobalParameters": bare}
    [result] = client.wait(client.submit(body))["Results"].values()
    scored = read_table(linked(result).content, end)
    assert list(scored) == ["Scored Labels", "Scored Probabilities"]
    assert len(scored["Scored Labels"]) == len(workplace.rows)


@pytest.mark.parametrize("end", [".nh.csv", ".nh.tsv", ".tsv", ".arff"])
def test_a_table_is_read_in_each_form_and_without_a_header_its_columns_are_numbered(
    workplace: Workplace, end: str
) -> None:
    experiment = load_experiment(PIPELINE)
    label = f"Col{len(workplace.header)}" if end.startswith(".nh") else workplace.header[-1]
    [learnt] = experiment.models
    experiment = msgspec.structs.replace(experiment, models=[msgspec.structs.replace(learnt, label=label)])
    published = workplace.studio.studio.deploy_training(experiment)
    client = Client(f"{workplace.studio.address}{published.path}", published.key)
    columns = dict(zip(workplace.header, zip(*workplace.rows, strict=True), strict=True))
    content = write_table(columns, end)
    if end.startswith(".nh"):
        content = content.partition(b"\n")[2]
    status = client.wait(client.submit({"Input": blob(workplace, f"table{end}", content)}))
    assert status["StatusCode"] == "Finished", status


def test_global_parameters_reach_the_training_and_null_is_the_default(
    workplace: Workplace, data: dict[str, Any]
) -> None:
    client = training_of(workplace)

    def model(parameters: dict[str, Any]) -> bytes:
        job = client.submit({"Inputs": {"input1": data}, "GlobalParameters": parameters})
        return linked(client.wait(job)["Results"]["output1"]).content

    default = model({})
    assert model({"Fraction of rows for training": None}) == default
    assert model({"Fraction of rows for training": "0.5"}) != default
    job = client.submit({"Inputs": {"input1": data}, "GlobalParameters": {"Fraction of rows for training": "2"}})
    assert "Error 0008" in client.wait(job)["Details"]


Wrong = tuple[dict[str, Any], str, str | None]  #: a body, the error's detail, and what it names


def expired_and_forged(data: dict[str, Any]) -> tuple[str, str]:
    """Return two tokens of the data's blob."""
    container, _, name = data["RelativeLocation"].partition("/")
    expired = generate_blob_sas(
        ACCOUNT, container, name, account_key=KEY, permission=BlobSasPermissions(read=True), expiry=datetime(2020, 1, 1)
    )
    return expired, expired.replace("2020", "2100")


def wrong_inputs(workplace: Workplace, data: dict[str, Any]) -> list[Wrong]:
    def at(location: str, **members: Any) -> dict[str, Any]:
        return {"Inputs": {"input1": {**data, "RelativeLocation": location, **members}}}

    expired, forged = expired_and_forged(data)
    elsewhere = {"BaseLocation": workplace.azurite.blob_address, "RelativeLocation": data["RelativeLocation"]}
    inputs, storage = {"input1": data}, workplace.azurite.connection_string
    return [
        ({"Inputs": {"data": data}}, "InvalidInputNames", "data"),
        ({"Inputs": {**inputs, "input2": data}}, "BatchJobInputsTooManySpecified", "input2"),
        ({"Inputs": {}}, "BatchJobInputsNotSpecified", "input1"),
        ({"Inputs": inputs, "Input": data}, "DuplicateInputInBatchCall", None),
        ({"Inputs": {"input1": None}}, "MissingInputBlobInformation", "input1"),
        ({"Inputs": {"input1": {"RelativeLocation": "data/a.csv"}}}, "MissingInputBlobInformation", "input1"),
        ({"Inputs": {"input1": {"ConnectionString": storage}}}, "MissingInputBlobInformation", "input1"),
        ({"Inputs": ["x"]}, "RequestBodyInvalid", "Inputs"),
        (at("a.csv"), "ContainerIsEmpty", "input1"),
        (at("data/"), "InputBlobRelativeLocationInvalid", "input1"),
        (at("Data/a.csv"), "ContainerSegmentInvalid", "input1"),
        (at(f"data/{'a' * 1100}.csv"), "BlobNameTooLong", "input1"),
        (at("data/a.xlsx"), "InvalidBlobExtension", "input1"),
        (at("data/a.csv"), "BlobNotFound", "input1"),
        (at("data/a.csv", ConnectionString="x"), "InvalidBlobConnectionString", "input1"),
        (at("data/a.csv", ConnectionString=storage.replace(KEY, "!")), "InvalidBlobConnectionString", "input1"),
        (at("data/a.csv", ConnectionString=storage.replace("127.0.0.1", "store.example")), "InvalidBlob", "input1"),
        (at("data/a.csv", ConnectionString=None, BaseLocation="https://store.example/"), "InvalidBlob", "input1"),
        ({"Inputs": {"input1": {**elsewhere, "SasBlobToken": expired}}}, "ExpiryTimeInThePast", "input1"),
        ({"Inputs": {"input1": {**elsewhere, "SasBlobToken": forged}}}, "InvalidBlob", "input1"),
    ]


def wrong_outputs_and_parameters(workplace: Workplace, data: dict[str, Any]) -> list[Wrong]:
    inputs, storage = {"input1": data}, workplace.azurite.connection_string
    by_token = f"BlobEndpoint={workplace.azurite.blob_address};SharedAccessSignature={expired_and_forged(data)[1]}"
    at_an_address = {**data, "ConnectionString": None, "BaseLocation": "http://127.0.0.1/"}
    weight = "Regularization weight"

    def out(reference: Any, name: str = "output2") -> dict[str, Any]:
        return {"Inputs": inputs, "Outputs": {name: reference}}

    return [
        (out({**data, "RelativeLocation": "o/x.csv"}, "Output1"), "InvalidOutputOverrideName", "Output1"),
        (out(data, "output1"), "InvalidBlobExtension", "output1"),
        (out({**data, "RelativeLocation": "outputs/x.ilearner"}), "InvalidBlobExtension", "output2"),
        (out(None), "MissingOutputOverrideSpecification", "output2"),
        (out({"ConnectionString": storage}), "MissingOutputOverrideSpecification", "output2"),
        (out(at_an_address), "MissingOutputOverrideSpecification", "output2"),
        (out({**data, "ConnectionString": by_token}), "InvalidBlobConnectionString", "output2"),
        ({"Inputs": inputs, "GlobalParameters": {"x": "1"}}, "UnexpectedParameter", "x"),
        ({"Inputs": inputs, "GlobalParameters": "x"}, "UserParameterInvalid", "GlobalParameters"),
        ({"Inputs": inputs, "GlobalParameters": {weight: [1]}}, "UserParameterInvalid", weight),
    ]


def test_what_a_client_does_wrong_is_answered_by_the_catalogue_and_named(
    workplace: Workplace, data: dict[str, Any]
) -> None:
    client = training_of(workplace)
    cases = [*wrong_inputs(workplace, data), *wrong_outputs_and_parameters(workplace, data)]
    for body, detail, target in cases:
        answer = client.call("POST", "/jobs", body)
        assert (*error_of(answer), target_of(answer)) == (400, "BadArgument", detail, target), answer.text
        assert KEY not in answer.text
    assert error_of(client.call("POST", "/jobs", ["x"])) == (400, "BadArgument", "RequestBodyInvalid")
    assert error_of(client.call("POST", "/jobs", version="2.0")) == (400, "BadArgument", "RequestBodyInvalid")
    assert error_of(client.call("POST", "/jobs", {}, version="9")) == (400, "BadArgument", "BadVersionCall")
    unauthorized = (401, "Unauthorized", "ScoreRequestUnauthorized")
    assert error_of(client.call("POST", "/jobs", {"Inputs": {"input1": data}}, key="x")) == unauthorized
    for method, path in (("GET", "/jobs/"), ("DELETE", "/jobs/"), ("POST", "/jobs//start")):
        assert error_of(client.call(method, path)) == (400, "BadArgument", "MissingJobId")


def test_a_storage_that_does_not_answer_is_reported_before_a_client_gives_up(workplace: Workplace) -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YWJj;BlobEndpoint=http://127.0.0.1:1/a"
    answer = training_of(workplace).call(
        "POST", "/jobs", {"Input": {"ConnectionString": nowhere, "RelativeLocation": "data/a.csv"}}
    )
    assert error_of(answer) == (400, "BadArgument", "InvalidBlob")
    assert answer.elapsed < timedelta(seconds=100)  # what .NET's HttpClient waits


def test_a_job_is_known_to_its_own_endpoint_only(workplace: Workplace, data: dict[str, Any]) -> None:
    job = training_of(workplace).call("POST", "/jobs", {"Input": data}).json()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/start")):
        assert error_of(scoring_of(workplace).call(method, f"/jobs/{job}{path}")) == (404, "NotFound", "JobNotFound")
    assert training_of(workplace).call("GET", f"/jobs/{job}").json()["StatusCode"] == "NotStarted"


def test_a_failed_job_nests_its_reason_and_a_cancelled_one_stays_so(workplace: Workplace, data: dict[str, Any]) -> None:
    client = training_of(workplace)
    failed = client.wait(client.submit({"Input": blob(workplace, "broken.csv", b"a,b,diagnosis\n1,2\n3,4,5,6,7\n")}))
    assert (failed["StatusCode"], failed["Results"]) == ("Failed", None)
    assert innermost_message(failed["Details"]) == "All rows must have same number of elements"

    job = client.call("POST", "/jobs", {"Input": data}).json()
    assert client.call("DELETE", f"/jobs/{job}").status_code == 204
    assert client.call("GET", f"/jobs/{job}").json()["StatusCode"] == "Cancelled"
    assert error_of(client.call("POST", f"/jobs/{job}/start"))[2] == "CannotStartJob"
    finished = client.submit({"Input": data})
    client.wait(finished)
    assert client.call("DELETE", f"/jobs/{finished}").status_code == 204  # clients clean up after themselves
    assert client.wait(finished)["StatusCode"] == "Finished"


def test_a_table_with_a_short_row_never_becomes_a_model(workplace: Workplace) -> None:
    client = training_of(workplace)
    data = blob(workplace, "short.csv", with_a_short_row(workplace.header, workplace.rows))
    job = client.submit({"Input": data})
    assert innermost_message(client.wait(job)["Details"]) == "All rows must have same number of elements"


def test_a_blob_may_be_called_anything_that_storage_allows(workplace: Workplace) -> None:
    client = training_of(workplace)
    name = "Jänner 2026 (100% neu)/a#b?.csv"
    data = blob(workplace, name, as_csv(workplace.header, workplace.rows))
    override = {**data, "RelativeLocation": f"{ACCOUNT}/{name}"}  # a container may be called as the account is
    status = client.wait(client.submit({"Input": data, "Outputs": {"output2": override}}))
    result = status["Results"]["output2"]
    assert (result["BaseLocation"], result["RelativeLocation"]) == (
        f"{workplace.azurite.blob_address}/",
        override["RelativeLocation"],
    )
    assert linked({**result, "RelativeLocation": quote(result["RelativeLocation"])}).text.startswith("Accuracy")


def test_forty_jobs_of_an_endpoint_run_at_once_and_the_next_waits_its_turn(
    tmp_path: Path, workplace: Workplace, data: dict[str, Any]
) -> None:
    storage = workplace.azurite.connection_string
    waiting = Studio(tmp_path, storage)
    published = waiting.deploy_training(load_experiment(PIPELINE))
    endpoint = published.path.rsplit("/", 1)[1]
    inputs = {"input1": msgspec.convert(data, Reference)}
    outputs = {f"output{number}": waiting.blobs.own(f"outputs/{number}") for number in (1, 2, 3)}
    jobs = [f"{number:032}" for number in range(43)]
    started = [
        Job(id=job, parent=endpoint, inputs=inputs, outputs=outputs, parameters={}, queued=1.0 + number)
        for number, job in enumerate(jobs)
    ]
    waiting.records.put(*reversed(started))  # whose turn it is, is a matter of when each was started

    def states() -> list[str]:
        return [job.state for job in reversed(waiting.records.all(Job, endpoint))]

    with running_studio(tmp_path, storage, "--processes", "2", "--slow", "600") as studio:
        client = Client(f"{studio.address}{published.path}", published.key)
        until(lambda: states() == ["Running"] * 40 + ["NotStarted"] * 3, states)
        client.call("DELETE", f"/jobs/{jobs[41]}")  # of those that wait
        client.call("DELETE", f"/jobs/{jobs[0]}")  # one that a process works on
        client.call("DELETE", f"/jobs/{jobs[39]}")  # one that runs by its state only
        wanted = ["Cancelled", *["Running"] * 38, "Cancelled", "Running", "Cancelled", "Running"]
        until(lambda: states() == wanted, states)


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_a_jobs_process_that_dies_fails_the_job_and_the_next_job_runs(tmp_path: Path, workplace: Workplace) -> None:
    header, rows = breast_cancer()
    with running_studio(tmp_path, workplace.azurite.connection_string, "--at-once", "1") as studio:
        published = studio.studio.deploy_training(load_experiment(PIPELINE))
        client = Client(f"{studio.address}{published.path}", published.key)
        data = blob(workplace, "many.csv", as_csv(header, rows * 5))
        first, second = (client.submit({"Input": data}) for _ in range(2))
        until(lambda: bool(grandchildren(studio.child.pid)), "a process works on the job")
        for process in grandchildren(studio.child.pid):
            os.kill(process, signal.SIGKILL)
        dead = client.wait(first)
        assert (dead["StatusCode"], "Process exited with error code -9" in dead["Details"]) == ("Failed", True)
        assert client.wait(second)["StatusCode"] == "Finished"
