"""A real MLflow server behind the workspace's MLflow prefix: jobs have runs there, and it ends with the workspace."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from aml.errors import ArmError
from aml.runs.real import RealMlflow, check
from aml.server import build
from aml.state.records import Records
from aml.state.runs import Run
from local.azurite import Azurite
from service.commands import Stopped
from tests.support.aml import Here, refusal
from tests.support.late import late
from tests.support.mlflow import mlflow
from tests.support.processes import HAS_PROC, NO_PROC, environment_of, with_variable
from tests.support.running_aml import RunningAml, running_aml
from tests.support.waiting import PATIENCE, until

CLIENTS = os.environ.get("RELEARN_AZUREML_PYTHON", "")
SCRIPT = (
    "import mlflow; mlflow.log_metric('auc', 0.5); mlflow.log_metric('auc', 0.75, step=1); mlflow.log_text('a', 'b/c')"
)


def lacking() -> str:
    """Return why no MLflow server can run, or nothing."""
    if not CLIENTS:
        return os.environ.get("RELEARN_AZUREML_MISSING", "python3 run.py test sets the clients up")
    try:
        check(CLIENTS)
    except Stopped as stopped:
        return str(stopped)
    return ""


@dataclass
class Seen:
    """What a program sees of two jobs, one of which fails; what the workspace keeps; and what is left of a kill."""

    found: dict[str, Any] = field(default_factory=dict)
    run: Run | None = None
    processes: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def seen(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    if reason := lacking():
        pytest.skip(reason)
    folder, seen = tmp_path_factory.mktemp("mlflow"), Seen()
    (folder / "environments.yaml").write_text(json.dumps({"environments": {"clients": CLIENTS}}))
    # No port may be chosen before the server listens on it: another program would take it meanwhile.
    flags = ("--mlflow", late(folder, CLIENTS), "--environments", str(folder / "environments.yaml"))
    with running_aml(folder / "aml", one_azurite.connection_string, *flags) as aml:
        aml.call("PUT", "environments/clients/versions/1", {"properties": {"image": "python"}})
        for name, line in (("good", f'python -c "{SCRIPT}"'), ("bad", "exit 3")):
            job = {"jobType": "Command", "command": line, "experimentName": "income"}
            job["environmentId"] = f"{aml.workspace}/environments/clients/versions/1"
            assert aml.call("PUT", f"jobs/{name}", {"properties": job}).status_code == 201
        for name, status in (("good", "Completed"), ("bad", "Failed")):
            until(lambda name=name, status=status: status_of(aml, name) == status, f"the job {name} is {status}")  # type: ignore[misc]
        look(aml, seen)
        seen.run = Records(folder / "aml").find(Run, "good")
        seen.processes = mlflow_processes(folder)
        aml.child.process.kill()
        aml.child.process.wait()
        if HAS_PROC:
            until(lambda: not mlflow_processes(folder), "MLflow's server ends with the workspace")
    yield seen


def look(aml: RunningAml, seen: Seen) -> None:
    seen.found["by name"] = asked(aml, "GET", "runs/get", run_id="good").json()["run"]
    body = {"experiment_ids": ["1"], "filter": "tags.`azureml.job` = 'good' and metrics.auc > 0.7"}
    seen.found["by tag"] = asked(aml, "POST", "runs/search", body).json()["runs"]
    until(lambda: info(aml, "bad")["status"] == "FAILED", "the run of the failed job ends")
    seen.found["artifacts"] = asked(aml, "GET", "artifacts/list", run_id="good", path="b").json()["files"]
    seen.found["models"] = asked(aml, "POST", "registered-models/create", {"name": "income"}).status_code
    seen.found["again"] = asked(aml, "POST", "registered-models/create", {"name": "income"}).json()["error_code"]
    refused = asked(aml, "GET", "runs/get", token="a.b.c", run_id="good")
    seen.found["without a token"] = (refused.status_code, refused.json()["error_code"])


def asked(
    aml: RunningAml, method: str, path: str, /, body: Any = None, token: str = "", **query: str
) -> requests.Response:
    return requests.request(
        method,
        f"{aml.address}/mlflow/v1.0{aml.workspace}/api/2.0/mlflow/{path}",
        params=query,
        json=body,
        headers={"Authorization": f"Bearer {token or aml.token()}"},
        verify=aml.settings["REQUESTS_CA_BUNDLE"],
        timeout=PATIENCE,
    )


def info(aml: RunningAml, job: str) -> Any:
    return asked(aml, "GET", "runs/get", run_id=job).json()["run"]["info"]


def status_of(aml: RunningAml, job: str) -> str:
    return str(aml.call("GET", f"jobs/{job}").json()["properties"]["status"])


def mlflow_processes(folder: Path) -> list[int]:
    """Return the processes of the MLflow server of this folder: the worker has the folder in its environment alone."""
    started = with_variable("MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
    return [process for process, line in started.items() if str(folder) in line + environment_of(process)]


def test_a_jobs_run_is_found_by_the_jobs_name_and_by_its_tag(seen: Seen) -> None:
    found = seen.found["by name"]
    assert [each["info"]["run_id"] for each in seen.found["by tag"]] == [found["info"]["run_id"]]
    assert found["info"]["status"] == "FINISHED"
    assert {each["key"]: each["value"] for each in found["data"]["metrics"]} == {"auc": 0.75}


def test_what_a_job_logs_is_kept_by_the_workspace_too(seen: Seen) -> None:
    assert seen.run is not None
    assert {name: point.value for name, point in seen.run.metrics.items()} == {"auc": 0.75}


def test_artifacts_and_the_registry_are_those_of_the_real_server(seen: Seen) -> None:
    assert seen.found["artifacts"] == [{"path": "b/c", "is_dir": False, "file_size": 1}]
    assert (seen.found["models"], seen.found["again"]) == (200, "RESOURCE_ALREADY_EXISTS")


def test_the_prefix_is_closed_to_whom_the_workspace_does_not_know(seen: Seen) -> None:
    assert seen.found["without a token"] == (401, "UNAUTHENTICATED")


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_a_killed_workspace_leaves_no_mlflow_server_behind(seen: Seen) -> None:
    assert seen.processes, "it ran"


@pytest.mark.parametrize(("python", "reason"), [(sys.executable, "lacks mlflow"), ("/nowhere", "is not a Python")])
def test_a_python_without_mlflows_server_is_refused_with_what_it_lacks(python: str, reason: str) -> None:
    with pytest.raises(Stopped, match=f"--mlflow: {python} {reason}"):
        check(python)


@pytest.mark.parametrize("body", [{"run_id": "a"}, b"{", b"\xff", [1], {"run_id": ["a"], "metrics": 7}])
def test_calls_before_the_server_answers_are_refused_for_the_moment(tmp_path: Path, body: Any) -> None:
    here = Here(tmp_path)
    here.app = build(replace(here.context, mlflow=RealMlflow(tmp_path, sys.executable, lambda _: None)))
    answer = mlflow(here, "POST", "mlflow/runs/log-batch", body)
    assert refusal(answer) == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"


def test_a_server_that_does_not_start_is_said_so(tmp_path: Path) -> None:
    real = RealMlflow(tmp_path, sys.executable, lambda _: None)
    with pytest.raises(ArmError, match="does not answer yet"):
        real.ask("GET", "version")
    real.start()
    with pytest.raises(ArmError, match="did not start"):
        real.wait()
    real.stop()
    assert "No module named mlflow" in (tmp_path / "mlflow" / "server.log").read_text()
