"""Batch endpoints: what may be made, and which job a call of one starts. No job runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.faults.orders import Fault
from tests.support.aml import Here, refusal
from tests.support.batch import DATA, ENDPOINT, deployment, invoked, made, ready
from tests.support.waiting import until

JOBS = "/mferp/managementfrontend{}/batchEndpoints/counter{}/jobs"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    here = Here(tmp_path / "aml")
    ready(here)
    return here


def test_a_call_starts_a_pipeline_job_of_the_component_with_its_data_and_defaults(here: Here) -> None:
    answer = invoked(here, properties={"experimentName": "calls", "a": "b"})
    assert answer.status == 201
    job = here.call("GET", f"jobs/{answer.json['name']}").json["properties"]
    assert (job["jobType"], job["experimentName"], list(job["jobs"])) == ("Pipeline", "calls", ["count"])
    assert job["inputs"] == {
        "data": {**DATA, "jobInputType": "uri_file"},
        "times": {"jobInputType": "literal", "value": "3"},
    }
    assert (job["outputs"], job["properties"]) == ({"counted": {"jobOutputType": "uri_folder"}}, {"a": "b"})


def test_a_call_that_comes_again_starts_no_second_job(here: Here) -> None:
    same = {"repeatability_request-id": "8f6c"}
    first, second = invoked(here, same), invoked(here, same)
    assert (first.status, second.status) == (201, 200)
    assert first.json["name"] == second.json["name"]
    assert invoked(here).json["name"] != first.json["name"]
    assert len(here.names("jobs")) == 2


def test_one_repeatability_id_with_other_data_is_a_conflict(here: Here) -> None:
    same = {"repeatability_request-id": "8f6c"}
    invoked(here, same)
    other = {"data": {**DATA, "uri": "azureml://datastores/workspaceblobstore/paths/other.csv"}}
    assert refusal(invoked(here, same, inputData=other)) == (409, "Conflict")


def test_a_job_that_is_there_is_not_taken_for_that_of_a_call(here: Here) -> None:
    first = invoked(here, name="mine")
    assert first.json["name"] == "mine"
    again = invoked(here, {"azureml-model-deployment": "second"}, name="mine")
    assert refusal(again) == (409, "Conflict")


def test_a_call_may_name_a_deployment_and_jobs_are_listed_by_either(here: Here) -> None:
    first = invoked(here).json["name"]
    second = invoked(here, {"azureml-model-deployment": "Second"}).json["name"]
    here.put("jobs/other", jobType="Command", command="true", environmentId=_environment(here))
    assert here.names(JOBS.format(here.workspace.id, "")) == [second, first]
    assert here.names(JOBS.format(here.workspace.id, "/deployments/first")) == [first]
    assert here.names(JOBS.format(here.workspace.id, "/deployments/second")) == [second]


def test_a_call_needs_a_token_for_machine_learning(here: Here) -> None:
    assert refusal(invoked(here, token=""))[0] == 401
    assert refusal(invoked(here, token=here.token)) == (401, "InvalidAuthenticationToken")  # for the resource manager
    assert here.names("jobs") == []


@pytest.mark.parametrize(
    "members",
    [
        {"inputData": {}},
        {"inputData": {"data": DATA, "unknown": DATA}},
        {"inputData": {"data": {"jobInputType": "UriFile"}}},
        {"inputData": {"data": {**DATA, "jobInputType": "Parquet"}}},
        {"inputData": {"data": DATA, "times": {"jobInputType": "Literal", "value": "often"}}},
        {"inputData": {"data": DATA, "times": {"jobInputType": "Literal"}}},
        {"outputData": {"unknown": {"jobOutputType": "UriFolder"}}},
        {"outputData": {"counted": {"jobOutputType": "Literal", "value": "a"}}},
        {"name": "a/b"},
    ],
)
def test_a_call_that_the_component_cannot_take_starts_nothing(here: Here, members: dict[str, Any]) -> None:
    answer = invoked(here, **members)
    assert refusal(answer)[0] == 400, answer.body
    assert here.names("jobs") == []


def test_an_output_goes_where_the_call_says(here: Here) -> None:
    uri = "azureml://datastores/workspaceblobstore/paths/counted/"
    answer = invoked(here, outputData={"counted": {"jobOutputType": "UriFolder", "uri": uri}})
    [output] = here.call("GET", f"jobs/{answer.json['name']}").json["properties"]["outputs"].values()
    assert output == {"jobOutputType": "uri_folder", "uri": uri}


def test_settings_and_tags_of_the_deployment_are_those_of_its_jobs(here: Here) -> None:
    given = deployment(here, settings={"default_compute": "cpu-cluster"}, tags={"team": "a"})
    made(here, f"{ENDPOINT}/deployments/first", **given)
    job = here.call("GET", f"jobs/{invoked(here).json['name']}").json["properties"]
    assert (job["settings"], job["tags"]) == ({"default_compute": "cpu-cluster"}, {"team": "a"})


def test_a_missing_default_is_refused_and_a_deleted_one_is_none(here: Here) -> None:
    assert refusal(here.put(ENDPOINT, defaults={"deploymentName": "third"})) == (400, "BadRequest")
    patched = {"properties": {"defaults": {"deploymentName": "third"}}}
    assert refusal(here.call("PATCH", ENDPOINT, patched)) == (400, "BadRequest")
    assert here.call("GET", ENDPOINT).json["properties"]["defaults"] == {"deploymentName": "first"}
    here.call("DELETE", f"{ENDPOINT}/deployments/first")
    until(lambda: here.names(f"{ENDPOINT}/deployments") == ["second"], "it is deleted")
    assert here.call("GET", ENDPOINT).json["properties"]["defaults"] == {}
    assert refusal(invoked(here)) == (400, "UserError")


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"model": {"referenceType": "Id", "assetId": "a"}},
        {"deploymentConfiguration": {"deploymentConfigurationType": "Model"}},
        {"deploymentConfiguration": {"deploymentConfigurationType": "PipelineComponent"}},
    ],
)
def test_a_deployment_that_is_not_a_pipeline_component_is_refused(here: Here, properties: dict[str, Any]) -> None:
    assert refusal(here.put(f"{ENDPOINT}/deployments/third", **properties)) == (400, "UserError")
    for component in ("count", "nowhere"):
        given = deployment(here, component)
        assert refusal(here.put(f"{ENDPOINT}/deployments/third", **given)) == (400, "UserError")
    assert here.names(f"{ENDPOINT}/deployments") == ["second", "first"]


def test_an_endpoint_is_deleted_with_its_deployments_and_its_jobs_stay(here: Here) -> None:
    name = invoked(here).json["name"]
    answer = here.call("DELETE", ENDPOINT)
    assert answer.status == 202
    until(lambda: here.call("GET", ENDPOINT).status == 404, "it is deleted")
    operation = answer.headers["azure-asyncoperation"]
    until(lambda: here.call("GET", operation).json["status"] == "Succeeded", "its operation has ended")
    made(here, ENDPOINT)
    assert here.names(f"{ENDPOINT}/deployments") == []
    assert here.names("jobs") == [name]
    assert here.call("DELETE", "batchEndpoints/nowhere").status == 204


def test_what_the_server_before_had_begun_is_carried_out(tmp_path: Path) -> None:
    before = Here(tmp_path / "aml")
    before.faults.order(Fault(kind="endless operation", count=1))
    operation = before.put(ENDPOINT).headers["azure-asyncoperation"]
    assert refusal(before.call("PATCH", ENDPOINT, {"tags": {}})) == (400, "BadRequest")  # it is Creating
    after = Here(tmp_path / "aml")
    after.serving.start()
    until(lambda: after.call("GET", operation).json["status"] == "Succeeded", "it is made")
    after.serving.stop()


def test_a_failing_operation_leaves_the_endpoint_failed(here: Here) -> None:
    here.faults.order(Fault(kind="failing operation", endpoint="counter", count=1))
    operation = here.put(ENDPOINT).headers["azure-asyncoperation"]
    until(lambda: here.call("GET", operation).json["status"] == "Failed", "it fails")
    assert here.call("GET", ENDPOINT).json["properties"]["provisioningState"] == "Failed"


def test_keys_and_other_modes_are_refused(here: Here) -> None:
    assert refusal(here.call("POST", f"{ENDPOINT}/listkeys")) == (400, "UserError")
    assert refusal(here.put("batchEndpoints/keyed", authMode="Key")) == (400, "UserError")


def _environment(here: Here) -> str:
    return f"{here.workspace.id}/environments/python/versions/1"
