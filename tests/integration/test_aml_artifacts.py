"""Artifacts of runs, stored and read as MLflow's client does it, in Azurite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient

from aml.storage.blobs import container_of
from local.azurite import ACCOUNT, Azurite
from tests.support.aml import Here, refusal
from tests.support.mlflow import asked, experiment, mlflow


@pytest.fixture
def here(tmp_path: Path, azurite: Azurite) -> Here:
    return Here(tmp_path / "aml", azurite.connection_string)


def new_run(here: Here) -> tuple[str, str]:
    """Return the id of a new run and where its artifacts go."""
    number = experiment(here, os.urandom(4).hex())
    made = asked(here, "POST", "runs/create", {"experiment_id": number})["run"]["info"]
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


def test_the_files_of_any_version_are_read_by_its_download_address(here: Here) -> None:
    run, root = new_run(here)
    store = here.call("GET", "datastores/workspaceblobstore").json["properties"]["containerName"]
    container_of(here.workspace.account, store).upload_blob("models/a/MLmodel", b"plain")
    here.put("models/plain/versions/1", modelUri="azureml://datastores/workspaceblobstore/paths/models/a/")
    mlflow(here, "PUT", f"mlflow-artifacts/artifacts/{root}/model/MLmodel", b"logged")
    asked(here, "POST", "registered-models/create", {"name": "logged"})
    asked(here, "POST", "model-versions/create", {"name": "logged", "source": f"runs:/{run}/model"})
    for name in ("plain", "logged"):
        uri = asked(here, "GET", "model-versions/get-download-uri", name=name, version="1")["artifact_uri"]
        place = uri.removeprefix("mlflow-artifacts:/")
        [file] = mlflow(here, "GET", "mlflow-artifacts/artifacts", path=place).json["files"]
        assert file["path"] == "MLmodel"
        assert mlflow(here, "GET", f"mlflow-artifacts/artifacts/{place}/MLmodel").body == name.encode()
        root = f"/artifact/v2.0{here.workspace.id}/artifacts/Models/{name}:1"
        assert [each["path"] for each in here.call("GET", root).json["value"]] == ["model/MLmodel"]
        assert here.call("GET", f"{root}/contentinfo", path="model/MLmodel").status == 200
        assert refusal(mlflow(here, "PUT", f"mlflow-artifacts/artifacts/{place}/MLmodel", b"other"))[0] == 400
        assert refusal(mlflow(here, "GET", f"mlflow-artifacts/artifacts/{place}/../../a"))[0] == 400


def test_a_model_of_one_file_is_read_as_a_folder_that_has_this_file_alone(here: Here) -> None:
    store = here.call("GET", "datastores/workspaceblobstore").json["properties"]["containerName"]
    container = container_of(here.workspace.account, store)
    for name in ("models/one/model.skops", "models/one/other.skops", "models/same/same/same"):
        container.upload_blob(name, name.encode(), overwrite=True)
    for model, path, file in (("one", "one/model.skops", "model.skops"), ("same", "same/same", "same")):
        here.put(f"models/{model}/versions/1", modelUri=f"azureml://datastores/workspaceblobstore/paths/models/{path}")
        place = f"Models/{model}:1/model"
        files = mlflow(here, "GET", "mlflow-artifacts/artifacts", path=place).json["files"]
        assert [(each["path"], each["is_dir"]) for each in files] == [(file, False)]
        assert mlflow(here, "GET", "mlflow-artifacts/artifacts", path=f"{place}/{file}").json["files"] == []
        content = mlflow(here, "GET", f"mlflow-artifacts/artifacts/{place}/{file}").body
        assert content == (b"models/same/same/same" if model == "same" else b"models/one/model.skops")
        assert mlflow(here, "GET", f"mlflow-artifacts/artifacts/{place}/other.skops").status == 404
        root = f"/artifact/v2.0{here.workspace.id}/artifacts/Models/{model}:1"
        assert [each["path"] for each in here.call("GET", root).json["value"]] == [f"model/{file}"]
        assert here.call("GET", f"{root}/contentinfo", path=f"model/{file}").status == 200


def test_the_plug_in_writes_and_reads_by_links(here: Here) -> None:
    run, _ = new_run(here)
    for root in (f"history/v1.0{here.workspace.id}/experiments/1/runs/{run}", f"artifact/v2.0{here.workspace.id}"):
        root = f"/{root}/artifacts" + ("/LocalUpload/a" if root.startswith("artifact/") else "")
        assert here.call("GET", root).json["value"] == []
        asked_for = {"paths": [{"path": "model/MLmodel"}, {"path": "a b.txt"}]}
        links = here.call("POST", f"{root}/batch/metadata", asked_for).json["artifactContentInformation"]
        for path, link in links.items():
            BlobClient.from_blob_url(link["contentUri"]).upload_blob(path.encode())
        assert [each["path"] for each in here.call("GET", root).json["value"]] == ["a b.txt", "model/MLmodel"]
        found = here.call("GET", f"{root}/contentinfo", path="model/MLmodel").json["contentUri"]
        real = f"https://{ACCOUNT}.blob.core.windows.net"
        assert found.startswith(f"{real}/azureml/")
        link = found.replace(real, here.workspace.account.address)
        assert BlobClient.from_blob_url(link).download_blob().readall() == b"model/MLmodel"
        assert refusal(here.call("GET", f"{root}/contentinfo", path="none"))[0] == 404
        for wrong in ("../other/a", "", "user_logs/std_log.txt"):
            refused = here.call("POST", f"{root}/batch/metadata", {"paths": [{"path": wrong}]})
            assert refusal(refused)[0] == 400, wrong
