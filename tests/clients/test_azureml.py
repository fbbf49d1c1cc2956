"""Microsoft's clients of Azure Machine Learning as they are published, against the local workspace.

A user's program runs once, from the workspace to predictions; it knows nothing of this machine but its environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from azure.storage.blob import BlobServiceClient

from aml.importing.assets import Assets
from aml.importing.document import Document, read_document
from aml.importing.jobs import command_job, component_body
from aml.remote import Remote
from local.azurite import ACCOUNT, Azurite
from local.children import ROOT
from service.client import Client
from service.durations import seconds_of
from tests.support import aml_models
from tests.support.running_aml import RunningAml, command, running_aml
from tests.support.waiting import PATIENCE

FOLDER = ROOT / "tests" / "clients" / "azureml"
CLIENTS = os.environ.get("RELEARN_AZUREML_PYTHON")
MISSING = os.environ.get("RELEARN_AZUREML_MISSING", "python3 run.py test sets the clients up")

pytestmark = pytest.mark.skipif(CLIENTS is None, reason=MISSING)

#: what each step of the driver reports, in their order
STEPS: dict[str, Any] = {
    "the sample's files are read": {
        "component.yml": "train_breast_cancer",
        "compute.yml": "cpu-cluster",
        "datastore-batches.yml": "relearn_batches",
        "datastore-models.yml": "relearn_models",
        "deployment.yml": "blue",
        "endpoint.yml": "breast-cancer",
        "environment.yml": "breast-cancer",
        "first-job.yml": None,
        "model.yml": "breast-cancer",
        "traffic.yml": "breast-cancer",
    },
    "each file of the sample is known": True,
    "the workspace is read": ["local", "westeurope"],
    "the workspaces of the group are listed": ["local"],
    "the datastores are listed": ["workspaceartifactstore", "workspaceblobstore"],
    "the default datastore is known": "workspaceblobstore",
    "a datastore is made": "own",
    "the computes are listed": ["cpu-cluster"],
    "a compute is read": "amlcompute",
    "an environment is made": ["sklearn", "1"],
    "the latest environment is found": "1",
    "data is registered by its address": ["1", {"of": "income"}, True],
    "a component is published from YAML": ["count_rows", "7"],
    "a component is read with its inputs": {"data": "uri_file", "times": "integer", "text": "string"},
    "the components are listed": ["count_rows"],
    "a model is registered by its address": ["custom_model", {"a": "b"}, True],
    "the client numbers the next version": "2",
    "the latest model is found": "2",
    "the versions are listed": ["2", "1"],
    "the files of a version cannot change": ["HttpResponseError", "UserError"],
    "an archived version is not listed": ["2"],
    "a restored version is listed again": ["2", "1"],
    "a model that is not there is refused": ["ResourceNotFoundError", "UserError"],
    "a batch endpoint is made": ["counter", "Succeeded", "aad_token", {"of": "rows"}],
    "a pipeline component is published": ["counting", "1", "pipeline"],
    "batch deployments are made": ["second", "components/counting/versions/1", {"default_compute": "cpu-cluster"}],
    "the batch deployments are listed": ["first", "second"],
    "a batch deployment is read": ["Succeeded", "cpu-cluster"],
    "a component that is not a pipeline is not deployed": ["HttpResponseError", "UserError"],
    "a call without a default deployment is refused": ["HttpResponseError", "UserError"],
    "a batch endpoint gets a default deployment": "first",
    "a call without its data is refused": ["HttpResponseError", "UserError"],
    "a call with a number that is not one is refused": ["HttpResponseError", "UserError"],
    "a call without a token is refused": 401,
    "a call of a batch endpoint starts a job": [True, True],
    "a job is submitted from YAML": ["income", "income of November", {"pipeline": "income"}],
    "a pipeline job is submitted": ["pipeline", ["first", "second"]],
    "a job whose environment is not there is refused": ["HttpResponseError", "UserError"],
    "the log of a job is streamed": [True, None],
    "a job completes": ["Completed", ["c", "data"], ["model"]],
    "the page's sample reads the job": [True, True],
    "a job that fails says so to whom streams it": "JobException",
    "a job that failed is read": "Failed",
    "a job is cancelled": "Canceled",
    "the tags of a job are changed": {"kind": "changed"},
    "jobs are listed by a tag": [True],
    "an archived job is not listed": [],
    "a restored job is listed again": [True],
    "a pipeline job completes": "Completed",
    "the steps of a pipeline job are listed": ["first", "second"],
    "a job's run has the metric of its script": ["FINISHED", True],
    "autolog has recorded the parameters": "0.5",
    "autolog has recorded the training's own metrics": True,
    "autolog has logged the model": [["model", True]],
    "the model of autolog is ready": "READY",
    "a run of one's own is kept": ["FINISHED", {"depth": "3"}, "try"],
    "the last value of a metric counts": 0.75,
    "a metric that is not a number comes back so": True,
    "a metric has its history": [[0, 0.5], [1, 0.75]],
    "a run is found by its metric": ["first"],
    "a run is not found by its metric": [],
    "mlflow registers the model of a job": ["1", True],
    "a second one has the next number": "2",
    "the workspace has it": ["mlflow_model", {"kind": "try"}, True],
    "mlflow has what the workspace registers": ["3", "text", "READY"],
    "a version is found by its alias": "2",
    "an alias that is deleted is not found": "INVALID_PARAMETER_VALUE",
    "the workspace has the stage": "Production",
    "the newest version of each stage is found": {"Production": "1", "None": "3"},
    "versions are found by a tag": ["1"],
    "models are found by name": ["by-mlflow"],
    "the workspace has the description and the tags": ["better", {"rows": "200"}],
    "a model is made once": "RESOURCE_ALREADY_EXISTS",
    "a version that is not there is refused": "RESOURCE_DOES_NOT_EXIST",
    "a stage that is not one is refused": "INVALID_PARAMETER_VALUE",
    "a model that is deleted is not there": "RESOURCE_DOES_NOT_EXIST",
    "nor is it in the workspace": False,
    "endpoints are made": [["income", "Succeeded", "key"], ["tokens", "Succeeded", "aml_token"]],
    "a model is registered from a job's artifacts": ["income", "mlflow_model"],
    "a model is registered from a job's model": ["income", "mlflow_model"],
    "a deployment that is being made is not changed": ["HttpResponseError", "BadRequest"],
    "a deployment that cannot start fails": ["HttpResponseError", "ResourceNotReady"],
    "a deployment that failed stays": "Failed",
    "the log of a deployment that failed says why": True,
    "its other log has the download": True,
    "a deployment that failed gets no traffic": ["HttpResponseError", "BadRequest"],
    "deployments are made": ["Succeeded", "Succeeded"],
    "the deployments are listed": ["blue", "green"],
    "a deployment has its log": True,
    "without traffic nothing answers": ["ResourceNotFoundError", "NoTraffic"],
    "the traffic is read back": {"blue": 100, "green": 0},
    "the endpoint answers with predictions": [0, 1],
    "the page's sample calls the endpoint": 1,
    "the mirrored traffic is read back": {"green": 50},
    "calls that are mirrored have one answer": [[0, 1], [0, 1]],
    "half of them were mirrored": 1,
    "the traffic is divided": {"blue": 90, "green": 10},
    "calls follow the divided traffic": [1, 9],
    "a deployment with traffic is not deleted": ["HttpResponseError", "BadRequest"],
    "traffic for a deployment that is not there is refused": ["HttpResponseError", "BadRequest"],
    "one deployment has all traffic again": [[0, 1], {"blue": 100, "green": 0}],
    "all calls go to the other deployment": [{"rows": 2}, {"green": 100, "blue": 0}],
    "a call reaches the deployment that it names": [0, 1],
    "the client itself keeps the header of that call": [0, 1],
    "a deployment that is being updated is not changed": ["Updating", "HttpResponseError", "BadRequest"],
    "a deployment is updated": ["Succeeded", {"CHANGED": "yes"}],
    "the primary key is made again, the other stays": [False, True],
    "a call with the new key is answered": [0, 1],
    "an endpoint gives a token": [True, "Bearer"],
    "a deployment without traffic is deleted": ["green"],
    "the endpoints are deleted": [],
    "an endpoint that is not there is refused": ["ResourceNotFoundError", "UserError"],
    "the job of a call completes": "Completed",
    "the job of a call has what the call gave": ["pipeline", "calls", "4"],
    "the job of a call has the component's steps": [["count_rows", "Completed"]],
    "the jobs of a batch endpoint are listed": True,
    "the jobs of a batch deployment are listed": True,
    "the job of a call of the other deployment completes": "Completed",
    "a deleted deployment is not the default": [None, ["second"]],
    "the batch endpoint is deleted": [],
}


#: what the steps of the script report that calls the service by its real names
NAMED: dict[str, Any] = {
    "a file of a local path becomes data": ["1", True],
    "a job runs the code of a local path": "Completed",
    "the output of a job is downloaded": ["2"],
    "an output with a name is registered": "1",
    "a model is downloaded as it was uploaded": ["rows.json"],
    "the artifacts of a run are listed": ["notes"],
    "an artifact is downloaded as it was logged": "a note",
    "the files of a version are downloaded": "a note",
    "a deployment has the script of a local path": "Succeeded",
    "an endpoint has its real address": "https://named.westeurope.inference.ml.azure.com/score",
    "it answers the client there": {"rows": 2},
    "it answers a key there, and no other one": [{"rows": 2}, 401],
}
#: what the steps of Microsoft's client in JavaScript report
SCRIPTED: dict[str, Any] = {
    "JavaScript: the workspace is read": ["local", "westeurope"],
    "JavaScript: a model is made and read": ["custom_model", {"version": "2"}],
    "JavaScript: the versions are listed": ["2", "1"],
    "JavaScript: the next version is known": "3",
    "JavaScript: a deleted version is refused": [404, "UserError"],
    "JavaScript: a job runs": ["Completed", {"of": "from-javascript"}],
    "JavaScript: jobs are listed by a tag": ["from-javascript"],
    "JavaScript: a job is cancelled": "Canceled",
    "JavaScript: deleted jobs are not listed": [],
    "JavaScript: an endpoint is made": ["from-javascript", "Succeeded"],
    "JavaScript: a deployment is made": "Succeeded",
    "JavaScript: the deployments are listed": ["blue"],
    "JavaScript: a deployment has its log": True,
    "JavaScript: the traffic is shifted": {"blue": 100},
    "JavaScript: the endpoint answers": {"rows": 1},
    "JavaScript: a deployment with traffic is not deleted": [400, "BadRequest"],
    "JavaScript: a deployment is deleted": [],
    "JavaScript: a deleted endpoint is refused": [404, "UserError"],
}
NODE, PACKAGE = os.environ.get("RELEARN_NODE"), FOLDER.parent / "node_modules" / "@azure" / "arm-machinelearning"
HAS_SCRIPTED = bool(NODE) and PACKAGE.exists()
EXPECTED = {**STEPS, **NAMED, **(SCRIPTED if HAS_SCRIPTED else {})}
scripted = pytest.mark.skipif(not HAS_SCRIPTED, reason=f"{PACKAGE.name} is not there; python3 run.py test installs it")


@dataclass(frozen=True)
class Done:
    """What the scripts reported, the server's calls, how each script ended, and what they printed beside."""

    steps: dict[str, Any]
    calls: list[dict[str, Any]]
    status: list[int]
    printed: str


@pytest.fixture(scope="module")
def done(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("azureml")
    environments = folder / "environments.yaml"
    environments.write_text(json.dumps({"environments": dict.fromkeys(("sklearn", "mlflow"), CLIENTS)}))
    flags = ("--environments", str(environments), "--deploying", "1", "--proxy")
    record = folder / "calls"
    with running_aml(folder / "aml", one_azurite.connection_string, *flags, record=record) as aml:
        publish(aml, one_azurite)
        by_name = json.loads(command(folder / "aml", "env", "--proxy", "--shell", "json").stdout)
        scripts = [begun([str(CLIENTS), "driver.py"], aml.settings), begun([str(CLIENTS), "named.py"], by_name)]
        if HAS_SCRIPTED:
            scripts.append(begun([str(NODE), "client.mjs"], {**aml.settings, "ARM_ADDRESS": aml.address}))
        # All at once: much of their time is waiting for jobs and deployments.
        with ExitStack() as running:
            for each in scripts:
                running.enter_context(each)
                running.callback(each.kill)
            printed = [each.communicate(timeout=2 * PATIENCE) for each in scripts]
    steps = [json.loads(line) for said, _ in printed for line in said.splitlines()]
    calls = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    status = [each.returncode for each in scripts]
    errors = "".join(error for _, error in printed)
    yield Done({name: found for each in steps for name, found in each.items()}, calls, status, errors)


def begun(command: list[str], settings: dict[str, str]) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=FOLDER, env={**os.environ, **settings}, text=True, **pipes)


def publish(aml: RunningAml, azurite: Azurite) -> None:
    """Put the rows and the code into the storage: a client's own upload needs the storage under its real name."""
    container = aml.call("GET", "datastores/workspaceblobstore").json()["properties"]["containerName"]
    cells = np.random.default_rng(0).normal(size=(200, 2))
    lines = [f"{a},{b},{int(a + b / 10 > 0)}\n" for a, b in cells]
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        blobs.create_container(container)
        for name, content in {
            "income/rows.csv": "".join(["a,b,label\n", *lines]),
            "train/train.py": (FOLDER / "train.py").read_text(),
            "score/score.py": (FOLDER / "scoring" / "score.py").read_text(),
            "models/a/readme.txt": "not a model",
        }.items():
            blobs.get_blob_client(container, name).upload_blob(content)
    for name in ("train", "score"):
        code = {"codeUri": f"https://{ACCOUNT}.blob.core.windows.net/{container}/{name}"}
        assert aml.call("PUT", f"codes/{name}/versions/1", {"properties": code}).status_code == 201


@pytest.mark.parametrize("step", [*STEPS, *NAMED, *(pytest.param(each, marks=scripted) for each in SCRIPTED)])
def test_a_step_of_microsofts_client(done: Done, step: str) -> None:
    assert step in done.steps, done.printed[-3000:]
    assert done.steps[step] == EXPECTED[step]


def test_every_step_is_checked(done: Done) -> None:
    assert set(done.status) == {0}, done.printed[-3000:]
    assert list(done.steps) == list(EXPECTED)


@pytest.mark.skipif(not aml_models.there(), reason=aml_models.MISSING)
def test_what_the_client_sends_and_is_answered_has_the_members_of_its_types(done: Done) -> None:
    judged = set()
    for call in done.calls:
        operation = aml_models.operation_of(call["method"], call["path"])
        if operation:
            judged.add((operation["group"], operation["operation"]))
            found = aml_models.faults_of_call(operation, call["status"], call["sent"], call["answered"])
            assert found == [], (call["method"], call["path"], call["status"])
    assert len(judged) >= 30, sorted(judged)


def test_no_call_of_the_client_breaks_the_server(done: Done) -> None:
    assert [(each["path"], each["status"]) for each in done.calls if each["status"] >= 500] == []


@pytest.mark.parametrize(
    ("name", "place", "body"),
    [
        ("train.yml", r"(.*)/jobs/[^/]*", command_job),
        ("component.yml", r"(.*)/components/count_rows/.*", component_body),
    ],
)
def test_a_file_is_imported_as_microsofts_client_sends_it(
    done: Done, name: str, place: str, body: Callable[[Assets, Document], dict[str, Any]]
) -> None:
    document = read_document(FOLDER / name)
    title = document.text("display_name", "")
    for call in done.calls:
        found = re.fullmatch(place, call["path"]) if call["method"] == "PUT" else None
        sent = call["sent"]["properties"] if found and call["sent"] else {}
        if found and sent.get("displayName", "") == title:
            break
    assert found
    ours = body(Assets(Remote("", found[1], Client(""))), document)
    assert ours.pop("properties") == {}  # where the client says from which commit of Git it sends
    if "limits" in ours:  # a duration in another unit
        assert seconds_of(ours.pop("limits")["timeout"]) == seconds_of(sent["limits"]["timeout"])
    assert {member: sent.get(member) for member in ours} == ours
