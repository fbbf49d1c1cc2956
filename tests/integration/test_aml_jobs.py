"""Jobs of the local Azure Machine Learning workspace: real processes, with data in Azurite."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from aml.state.records import ORDER, Job
from local.azurite import Azurite
from tests.support import batch
from tests.support.aml import Here, refusal
from tests.support.aml_jobs import PYTHON, ended, error_of, log_of, paths, started, status, store, submitted
from tests.support.processes import HAS_PROC, NO_PROC, lives
from tests.support.waiting import until


def test_a_command_gets_its_data_by_every_form_of_address_and_its_outputs_are_kept(
    here: Here, blobs: BlobServiceClient
) -> None:
    account, container = here.workspace.account.name, store(here)
    inputs = {
        "short": paths("azureml://datastores/workspaceblobstore/paths/in/rows.csv"),
        "long": paths(
            f"azureml:/{here.workspace.id}".replace("/providers/Microsoft.MachineLearningServices", "")
            + "/datastores/WorkspaceBlobStore/paths/in/rows.csv"
        ),
        "https": paths(f"https://{account}.blob.core.windows.net/{container}/in/rows.csv"),
        "wasbs": paths(f"wasbs://{container}@{account}.blob.core.windows.net/in/rows.csv"),
        "folder": paths("azureml://datastores/workspaceblobstore/paths/in/"),
        "word": {"jobInputType": "literal", "value": "a b"},
    }
    command = (
        "cat ${{inputs.short}} ${{inputs.long}} ${{inputs.https}} ${{inputs.wasbs}} ${{inputs.folder}}/more/rows.csv "
        '> ${{outputs.all}}; echo "${{inputs.word}} $GREETING" > ${{outputs.folder}}/said.txt; echo done'
    )
    outputs = {
        "all": {"jobOutputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/out/all.csv"},
        "folder": {"jobOutputType": "mlflow_model"},
    }
    submitted(here, "one", command, inputs=inputs, outputs=outputs, environmentVariables={"GREETING": "hello"})
    assert ended(here, "one") == "Completed", log_of(blobs, "one")
    assert (
        blobs.get_blob_client(container, "out/all.csv").download_blob().readall() == b"a,b\n1,2\n" * 4 + b"a,b\n3,4\n"
    )
    said = blobs.get_blob_client(container, "azureml/one/folder/said.txt").download_blob().readall()
    assert said == b"a b hello\n"
    assert log_of(blobs, "one") == "done\n"
    again = {"data": paths("azureml://jobs/one/outputs/folder/paths/said.txt")}
    submitted(here, "two", "cat ${{inputs.data}}", inputs=again)
    assert ended(here, "two") == "Completed"
    assert log_of(blobs, "two") == "a b hello\n"


def test_a_job_passes_its_states_in_the_real_order(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    change = here.workspace.records.change

    def noted(kind: Any, record_id: str, how: Any) -> Any:
        changed = change(kind, record_id, how)
        if kind is Job and changed:
            passed.append(changed.status)
        return changed

    monkeypatch.setattr(here.workspace.records, "change", noted)
    assert submitted(here, "one", "true")["status"] == "NotStarted"
    assert ended(here, "one") == "Completed"
    assert ("NotStarted", *passed) == ORDER


def test_code_is_there_and_the_jobs_own_python_runs_it(here: Here, blobs: BlobServiceClient) -> None:
    blobs.get_blob_client(store(here), "code/train.py").upload_blob(b"import sys; print(sys.executable)")
    here.put("codes/train/versions/1", codeUri="azureml://datastores/workspaceblobstore/paths/code/")
    code = f"{here.workspace.id}/codes/train/versions/1"
    submitted(here, "one", "python train.py", codeId=code)
    assert ended(here, "one") == "Completed"
    assert Path(log_of(blobs, "one").strip()).parent == Path(sys.executable).parent


def test_a_job_has_no_secret_of_the_server(
    here: Here, blobs: BlobServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AML_STORAGE", "AccountKey=secret")
    submitted(here, "one", "env")
    assert ended(here, "one") == "Completed"
    assert "AccountKey" not in log_of(blobs, "one")


@pytest.mark.parametrize(
    ("command", "more", "why"),
    [
        ("echo oops; exit 3", {}, "status code 3"),
        ("sleep 600", {"limits": {"jobLimitsType": "Command", "timeout": "PT0.5S"}}, "longer than its timeout"),
        (
            "cat ${{inputs.x}}",
            {"inputs": {"x": paths("azureml://datastores/workspaceblobstore/paths/no")}},
            "not exist",
        ),
        ("cat ${{inputs.x}}", {"inputs": {"x": paths("https://other.blob.core.windows.net/a/b")}}, "does not lead to"),
        ("cat ${{inputs.x}}", {"inputs": {"x": paths("/etc/passwd")}}, "does not lead to"),
        ("cat ${{inputs.x}}", {"inputs": {"x": paths("azureml://datastores/no/paths/b")}}, "Could not find datastore"),
    ],
)
def test_a_job_that_fails_says_why(here: Here, command: str, more: dict[str, Any], why: str) -> None:
    submitted(here, "one", command, **more)
    assert ended(here, "one") == "Failed"
    assert why in error_of(here, "one")


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_a_cancelled_job_ends_with_everything_that_it_started(here: Here, tmp_path: Path) -> None:
    (tmp_path / "ids").touch()
    # one ignores the request to end, one leaves the group of processes
    script = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'ids')!r}, 'w').write(f'{{os.getpid()}} {{other.pid}}')\n"
        "time.sleep(900)\n"
    )
    (tmp_path / "stubborn.py").write_text(script)
    submitted(here, "one", f"{PYTHON} {tmp_path / 'stubborn.py'}; echo after")
    until(lambda: len((tmp_path / "ids").read_text().split()) == 2, lambda: status(here, "one"))
    processes = [int(each) for each in (tmp_path / "ids").read_text().split()]
    answer = here.call("POST", "jobs/one/cancel")
    assert answer.status == 202
    assert ended(here, "one") == "Canceled"
    assert [lives(each) for each in processes] == [False, False]
    operation = answer.headers["azure-asyncoperation"]
    until(lambda: here.call("GET", operation).json["status"] == "Succeeded", "the operation does not end")
    assert here.call("POST", "jobs/one/cancel").status == 200


def test_a_compute_runs_as_many_jobs_as_it_has_nodes_and_the_others_wait(here: Here, tmp_path: Path) -> None:
    nodes = {"scaleSettings": {"maxNodeCount": 1}}
    here.put("computes/small", computeType="AmlCompute", properties=nodes)
    small = f"{here.workspace.id}/computes/small"
    submitted(here, "first", f"while [ ! -e {shlex.quote(str(tmp_path / 'go'))} ]; do sleep 0.1; done", computeId=small)
    until(lambda: status(here, "first") == "Running", lambda: status(here, "first"))
    submitted(here, "second", "true", computeId=small)
    submitted(here, "third", "true", computeId=small)
    assert here.call("POST", "jobs/third/cancel").status == 202
    assert status(here, "third") == "Canceled"
    submitted(here, "elsewhere", "true")
    assert ended(here, "elsewhere") == "Completed"
    assert status(here, "second") == "Queued"
    (tmp_path / "go").touch()
    assert ended(here, "second") == "Completed"


def test_jobs_that_ran_when_the_server_ended_have_failed_and_the_queue_goes_on(
    here: Here, azurite: Azurite, tmp_path: Path
) -> None:
    here.put("computes/small", computeType="AmlCompute", properties={"scaleSettings": {"maxNodeCount": 1}})
    small = f"{here.workspace.id}/computes/small"
    submitted(here, "running", "sleep 900", computeId=small)
    until(lambda: status(here, "running") == "Running", lambda: status(here, "running"))
    submitted(here, "waiting", "true", computeId=small)
    here.jobs.stop()
    with started(tmp_path / "aml", azurite) as again:
        assert ended(again, "waiting") == "Completed"
        assert status(again, "running") == "Failed"
        assert "The server stopped while the job ran" in error_of(again, "running")


def test_a_put_that_comes_twice_starts_one_job_and_a_job_never_becomes_another(
    here: Here, blobs: BlobServiceClient
) -> None:
    submitted(here, "one", "echo once", tags={"a": "b"})
    assert ended(here, "one") == "Completed"
    shown = here.call("GET", "jobs/one").json
    again = here.call("PUT", "jobs/one", shown)  # as a client sends back what it read
    assert (again.status, again.json["properties"]["status"]) == (200, "Completed")
    assert log_of(blobs, "one") == "once\n"
    other = {**shown["properties"], "command": "echo twice"}
    assert refusal(here.put("jobs/one", **other)) == (400, "UserError")
    tagged = here.put("jobs/one", **{**shown["properties"], "tags": {"c": "d"}, "isArchived": True})
    assert tagged.json["properties"]["tags"] == {"c": "d"}
    assert here.names("jobs") == []
    assert here.names("jobs", listViewType="All", tag="c=d") == ["one"]


def test_a_job_names_what_is_there(here: Here) -> None:
    right = {"jobType": "Command", "command": "true"}
    place = f"{here.workspace.id}/environments/python/versions"
    assert refusal(here.put("jobs/a", **right, environmentId=f"{place}/2")) == (400, "UserError")
    compute = f"{here.workspace.id}/computes/none"
    refused = here.put("jobs/a", **right, environmentId=f"{place}/1", computeId=compute)
    assert refusal(refused) == (400, "ComputeNotFound")
    assert refusal(here.put("jobs/a", jobType="Sweep")) == (400, "UserError")
    assert here.names("jobs") == []


def test_a_component_runs_as_a_pipeline_of_one_node_which_has_its_run_while_it_runs(
    here: Here, blobs: BlobServiceClient, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    environment = f"azureml:{here.workspace.id}/environments/python/versions/1"
    component = {
        "type": "command",
        "command": f"until [ -e {shlex.quote(str(go_on))} ]; do sleep 0.02; done; "
        "(cat ${{inputs.data}}; echo ${{inputs.c}}) > ${{outputs.model}}/MLmodel",
        "environment": environment,
        "inputs": {"data": {"type": "uri_file"}, "c": {"type": "number", "default": "0.5"}},
        "outputs": {"model": {"type": "mlflow_model"}},
    }
    here.put("components/train/versions/7", componentSpec=component)
    node = {
        "name": "train",
        "type": "command",
        "componentId": f"{here.workspace.id}/components/train/versions/7",
        "inputs": {
            "data": {"job_input_type": "literal", "value": "${{parent.inputs.data}}"},
            "c": {"job_input_type": "literal", "value": "0.7"},
        },
        "outputs": {"model": {"value": "${{parent.outputs.model}}", "type": "literal"}},
    }
    made = here.put(
        "jobs/pipe",
        jobType="Pipeline",
        jobs={"train": node},
        inputs={"data": paths("azureml://datastores/workspaceblobstore/paths/in/rows.csv")},
        outputs={"model": {"jobOutputType": "mlflow_model", "uri": "azureml://datastores/workspaceblobstore/paths/m/"}},
        settings={"default_compute": f"{here.workspace.id}/computes/cpu-cluster"},
    )
    assert made.status == 201, made.body
    running = {"Running"}
    until(lambda: {each.status for each in here.workspace.records.all(Job, "jobs/pipe/nodes")} == running, "it runs")
    [node_job] = here.workspace.records.all(Job, "jobs/pipe/nodes")  # run history would make the run
    place = f"/mlflow/v1.0{here.workspace.id}/api/2.0/mlflow/runs/get"
    assert here.call("GET", place, version="", run_id=node_job.name).json["run"]["info"]["run_id"] == node_job.name
    go_on.touch()
    assert ended(here, "pipe") == "Completed"
    assert blobs.get_blob_client(store(here), "m/MLmodel").download_blob().readall() == b"a,b\n1,2\n0.7\n"
    [child] = here.call("GET", f"/history/v1.0{here.workspace.id}/runs/pipe/children").json["value"]
    assert (child["status"], child["parentRunId"]) == ("Completed", "pipe")
    assert here.names("jobs") == ["pipe"]


def test_outputs_with_a_name_are_registered_when_the_job_ends_well(here: Here) -> None:
    outputs = {
        "model": {"jobOutputType": "mlflow_model", "assetName": "income"},
        "rows": {"jobOutputType": "uri_folder", "assetName": "scored", "assetVersion": "7"},
    }
    command = "echo a > ${{outputs.model}}/MLmodel; echo b > ${{outputs.rows}}/rows.csv"
    here.put("models/income/versions/3", modelUri="azureml://datastores/workspaceblobstore/paths/in/")
    submitted(here, "one", command, outputs=outputs)
    submitted(here, "failing", f"{command}; exit 1", outputs=outputs)
    assert (ended(here, "one"), ended(here, "failing")) == ("Completed", "Failed")
    assert (here.names("models/income/versions"), here.names("data/scored/versions")) == (["4", "3"], ["7"])
    model = here.call("GET", "models/income/versions/4").json["properties"]
    assert (model["modelType"], model["jobName"]) == ("mlflow_model", "one")
    output = {"jobInputType": "mlflow_model", "uri": f"azureml:{here.workspace.id}/models/income/versions/4"}
    submitted(here, "other", "cat ${{inputs.model}}/MLmodel", inputs={"model": output})
    assert ended(here, "other") == "Completed"


def test_a_version_that_is_there_with_other_files_is_not_registered_again(here: Here) -> None:
    outputs = {"rows": {"jobOutputType": "uri_file", "assetName": "scored", "assetVersion": "7"}}
    for name in ("one", "two"):
        submitted(here, name, "echo b > ${{outputs.rows}}", outputs=outputs)
        ended(here, name)
    assert (status(here, "one"), status(here, "two")) == ("Completed", "Failed")
    assert "data/scored:7 is there already" in error_of(here, "two")
    assert "/one/rows" in here.call("GET", "data/scored/versions/7").json["properties"]["dataUri"]


@pytest.mark.parametrize("asset", [{"assetName": "a/b"}, {"assetName": "a", "assetVersion": "../1"}])
def test_a_name_that_an_asset_cannot_have_is_refused_before_the_job_runs(here: Here, asset: dict[str, str]) -> None:
    environment = f"{here.workspace.id}/environments/python/versions/1"
    outputs = {"rows": {"jobOutputType": "uri_file", **asset}}
    answer = here.put("jobs/one", jobType="Command", command="true", environmentId=environment, outputs=outputs)
    assert refusal(answer) == (400, "UserError")


def test_a_call_of_a_batch_endpoint_runs_the_component_and_its_output_is_found_by_the_job(here: Here) -> None:
    batch.ready(here)
    answer = batch.invoked(here)
    name = str(answer.json["name"])
    assert ended(here, name) == "Completed"
    output = paths(f"azureml://jobs/{name}/outputs/counted/")
    submitted(here, "other", "cat ${{inputs.counted}}/3", inputs={"counted": output})
    assert ended(here, "other") == "Completed", error_of(here, "other")


def test_a_blob_whose_name_leads_out_of_its_folder_is_not_written(
    here: Here, blobs: BlobServiceClient, tmp_path: Path
) -> None:
    escaped = tmp_path / "escaped.txt"
    blobs.get_blob_client(store(here), f"bad/{escaped}").upload_blob(b"x")  # below `bad/` it is an absolute path
    submitted(here, "one", "true", inputs={"x": paths("azureml://datastores/workspaceblobstore/paths/bad/")})
    assert ended(here, "one") == "Failed"
    assert "leads out of its folder" in error_of(here, "one")
    assert not escaped.exists()


def test_what_a_training_logs_with_mlflows_protocol_is_in_its_run(here: Here) -> None:
    base = f"/mlflow/v2.0{here.workspace.id}/api/2.0/mlflow"
    submitted(here, "one", "true", experimentName="income")
    assert ended(here, "one") == "Completed"
    points = [{"key": "auc", "value": value, "timestamp": step, "step": step} for step, value in enumerate((0.8, 0.9))]
    batch = {
        "run_id": "one",
        "metrics": [*points, {"key": "loss", "value": "NaN"}],
        "params": [{"key": "c", "value": "1"}],
    }
    assert here.call("POST", f"{base}/runs/log-batch", batch, version="").status == 200
    run = here.call("GET", f"{base}/runs/get", version="", run_id="one").json["run"]
    assert (run["info"]["status"], run["info"]["run_id"]) == ("FINISHED", "one")
    assert {each["key"]: each["value"] for each in run["data"]["metrics"]} == {"auc": 0.9, "loss": "NaN"}
    history = here.call("GET", f"{base}/metrics/get-history", version="", run_id="one", metric_key="auc").json
    assert [each["value"] for each in history["metrics"]] == [0.8, 0.9]
    found = here.call(
        "POST", f"{base}/runs/search", {"filter": "metrics.auc > 0.85 and params.c = '1'"}, version=""
    ).json
    assert [each["info"]["run_id"] for each in found["runs"]] == ["one"]
    none = here.call("POST", f"{base}/runs/search", {"filter": "metrics.auc > 0.95"}, version="").json
    assert none["runs"] == []
    other = {"run_id": "one", "key": "c", "value": "2"}
    refused = here.call("POST", f"{base}/runs/log-parameter", other, version="")
    assert (refused.status, refused.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    missing = here.call("GET", f"{base}/runs/get", version="", run_id="none")
    assert (missing.status, missing.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_command_finds_its_run_in_its_environment(here: Here, blobs: BlobServiceClient) -> None:
    submitted(
        here, "one", f"{PYTHON} -c 'import json, os; print(json.dumps(dict(os.environ)))'", experimentName="income"
    )
    assert ended(here, "one") == "Completed"
    variables = json.loads(log_of(blobs, "one"))
    assert variables["MLFLOW_RUN_ID"] == "one"
    assert variables["MLFLOW_EXPERIMENT_NAME"] == "income"
    path = variables["MLFLOW_TRACKING_URI"].partition("127.0.0.1")[2].partition("/")[2]
    answer = here.call(
        "GET", f"/{path}/api/2.0/mlflow/runs/get", version="", run_id="one", token=variables["MLFLOW_TRACKING_TOKEN"]
    )
    assert answer.json["run"]["info"]["status"] == "FINISHED"
    assert not any(name.startswith(("AML_", "RELEARN_", "PYTEST_")) for name in variables)
    assert variables["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
