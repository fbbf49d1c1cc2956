"""Artifacts of runs, stored and read as MLflow's client does it, in Azurite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.azurite import Azurite
from tests.support.aml import Here, refusal
from tests.support.asgi import Answer


@pytest.fixture
def here(tmp_path: Path, azurite: Azurite) -> Here:
    return Here(tmp_path / "aml", azurite.connection_string)


def mlflow(here: Here, method: str, path: str, /, body: object = None, **query: str) -> Answer:
    base = f"/mlflow/v1.0{here.workspace.id}/api/2.0"
    return here.call(method, f"{base}/{path}", body, version="", **query)


def new_run(here: Here) -> tuple[str, str]:
    """Return the id of a new run and where its artifacts go."""
    experiment = mlflow(here, "POST", "mlflow/experiments/create", {"name": os.urandom(4).hex()}).json["experiment_id"]
    made = mlflow(here, "POST", "mlflow/runs/create", {"experiment_id": experiment}).json["run"]["info"]
    return made["run_id"], made["artifact_uri"].removeprefix("mlflow-artifacts:/").rstrip("/")


def test_an_artifact_comes_back_as_it_was_stored(here: Here) -> None:
    _, root = new_run(here)
    place, large = f"mlflow-artifacts/artifacts/{root}/model/data file.bin", os.urandom(9 << 20)
    for content in (b"first", b"", large):
        assert mlflow(here, "PUT", place.replace(" ", "%20"), content).status == 200
        answer = mlflow(here, "GET", place.replace(" ", "%20"))
        assert (answer.status, answer.body == content) == (200, True)


def test_artifacts_are_listed_by_folder(here: Here) -> None:
    run, root = new_run(here)
    other, _ = new_run(here)
    for name in ("a.txt", "model/MLmodel", "model/data/model.skops"):
        mlflow(here, "PUT", f"mlflow-artifacts/artifacts/{root}/{name}", b"content")
    of_run = mlflow(here, "GET", "mlflow/artifacts/list", run_id=run).json
    assert of_run["files"] == [{"path": "a.txt", "is_dir": False, "file_size": 7}, {"path": "model", "is_dir": True}]
    within = mlflow(here, "GET", "mlflow/artifacts/list", run_id=run, path="model").json["files"]
    assert [each["path"] for each in within] == ["model/MLmodel", "model/data"]
    by_name = mlflow(here, "GET", "mlflow-artifacts/artifacts", path=f"{root}/model").json["files"]
    assert [each["path"] for each in by_name] == ["MLmodel", "data"]
    assert mlflow(here, "GET", "mlflow/artifacts/list", run_id=other).json["files"] == []


def test_only_artifacts_of_a_run_are_stored_and_read(here: Here) -> None:
    _, root = new_run(here)
    for path, status in (
        (f"{root}/user_logs/std_log.txt", 400),
        (f"{root}/../other", 400),
        (root, 400),
        ("elsewhere/a.txt", 400),
        ("ExperimentRun/dcid.nowhere/a.txt", 404),
    ):
        assert refusal(mlflow(here, "PUT", f"mlflow-artifacts/artifacts/{path}", b"content"))[0] == status, path
    missing = refusal(mlflow(here, "GET", f"mlflow-artifacts/artifacts/{root}/a.txt"))
    assert missing == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_storage_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    here = Here(tmp_path / "aml")
    _, root = new_run(here)
    answer = mlflow(here, "PUT", f"mlflow-artifacts/artifacts/{root}/a.txt", b"content")
    assert refusal(answer) == (503, "TEMPORARILY_UNAVAILABLE")
