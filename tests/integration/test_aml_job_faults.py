"""Faults on order of the local Azure Machine Learning workspace, at its jobs and runs and at any call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from service.faults.orders import Fault
from tests.support.aml import MODEL, STORAGE, Here, refusal
from tests.support.aml_jobs import ended, log_of, status, submitted
from tests.support.running_aml import command, running_aml
from tests.support.waiting import PATIENCE, until


def order(here: Here, kind: str, **limits: Any) -> None:
    here.faults.order(Fault(kind=kind, **{"endpoint": "one", **limits}))


@pytest.mark.parametrize("state", ["Queued", "Running"])
def test_a_stuck_job_stays_as_it_is_until_it_is_cancelled(here: Here, state: str) -> None:
    order(here, "stuck", state=state)
    submitted(here, "one", "true")
    submitted(here, "other", "true")
    assert ended(here, "other") == "Completed"
    until(lambda: status(here, "one") == state, lambda: status(here, "one"))
    assert here.call("POST", "jobs/one/cancel").status == 202
    assert ended(here, "one") == "Canceled"


def test_a_job_fails_or_is_cancelled_by_somebody_on_order(here: Here) -> None:
    order(here, "failed job")
    submitted(here, "one", "true")
    assert ended(here, "one") == "Failed"
    order(here, "canceled job", endpoint="two")
    submitted(here, "two", "true")
    assert ended(here, "two") == "Canceled"
    submitted(here, "three", "true")
    assert ended(here, "three") == "Completed"


def test_a_job_shows_states_that_are_not_its_own(here: Here, tmp_path: Path) -> None:
    submitted(here, "one", f"while [ ! -e {tmp_path / 'go'} ]; do sleep 0.1; done")
    until(lambda: status(here, "one") == "Running", lambda: status(here, "one"))
    order(here, "not responding", count=1)
    assert [status(here, "one") for _ in range(2)] == ["NotResponding", "Running"]
    order(here, "unknown status", count=1)
    assert [status(here, "one") for _ in range(2)] == ["Unknown", "Running"]
    (tmp_path / "go").touch()
    assert ended(here, "one") == "Completed"


@pytest.mark.parametrize(("kind", "kept"), [("missing output", None), ("empty output", b"")])
def test_an_output_is_missing_or_empty_although_the_job_is_completed(
    here: Here, blobs: BlobServiceClient, kind: str, kept: bytes | None
) -> None:
    order(here, kind)
    uri = {"jobOutputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/out.txt"}
    submitted(here, "one", "echo text > ${{outputs.x}}", outputs={"x": uri})
    assert ended(here, "one") == "Completed"
    assert log_of(blobs, "one") == ""
    store = here.call("GET", "datastores/workspaceblobstore").json["properties"]["containerName"]
    blob = blobs.get_blob_client(store, "out.txt")
    if kept is None:
        with pytest.raises(ResourceNotFoundError):
            blob.download_blob()
    else:
        assert blob.download_blob().readall() == kept


def test_metrics_come_late_or_are_not_numbers(here: Here) -> None:
    base = f"/mlflow/v2.0{here.workspace.id}/api/2.0/mlflow/runs"
    submitted(here, "one", "true")
    assert ended(here, "one") == "Completed"
    here.call("POST", f"{base}/log-metric", {"run_id": "one", "key": "auc", "value": 0.9, "timestamp": 1}, version="")

    def metrics() -> list[Any]:
        run = here.call("GET", f"{base}/get", version="", run_id="one").json["run"]
        return [each["value"] for each in run["data"]["metrics"]]

    order(here, "late metrics", seconds=600.0, count=1)
    assert [metrics() for _ in range(2)] == [[], [0.9]]
    order(here, "nan metrics", count=1)
    assert [metrics() for _ in range(2)] == [["NaN"], [0.9]]


def test_a_refusal_on_order_has_the_form_of_its_plane(here: Here) -> None:
    place = f"/mlflow/v2.0{here.workspace.id}/api/2.0/mlflow/experiments/search"
    for kind, status_code in (("expired token", 401), ("throttled", 429), ("unavailable", 503)):
        here.faults.order(Fault(kind=kind, count=2, seconds=7.0))
        answers = [here.call("GET", "models"), here.call("GET", place, version="")]
        assert [refusal(each)[0] for each in answers] == [status_code] * 2
        assert answers[0].headers["retry-after"] == "7"
        assert here.call("GET", "models").status == 200


def test_a_lost_answer_to_a_put_takes_effect_and_the_control_lists_it(tmp_path: Path) -> None:
    with running_aml(tmp_path / "aml", STORAGE, "--control") as here:
        given = ("add", "lost-answer", "--operation", "arm.models.put", "--count", "1")
        assert command(tmp_path / "aml", "fault", *given).returncode == 0
        with pytest.raises(requests.ConnectionError):
            here.call("PUT", "models/income/versions/1", {"properties": MODEL})
        assert here.call("PUT", "models/income/versions/1", {"properties": MODEL}).status_code == 200
        wrong = command(tmp_path / "aml", "fault", "add", "no such kind")
        assert (wrong.returncode, len(wrong.stderr.splitlines())) == (1, 1)
        control = str(here.child.said["control"])
        [fault] = requests.get(f"{control}/faults", timeout=PATIENCE).json()
        assert (fault["kind"], fault["struck"], fault["count"]) == ("lost answer", 1, 0)
