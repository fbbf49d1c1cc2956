"""The service's real host names lead to the local workspace, the storage account's too, and no other name does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from tests.support.processes import HAS_PROC, NO_PROC, lives
from tests.support.running_aml import RunningAml, command, running_aml
from tests.support.waiting import PATIENCE, until

ACCOUNT = "https://devstoreaccount1.blob.core.windows.net"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxy") / "aml"


@pytest.fixture(scope="module")
def here(folder: Path, one_azurite: Azurite) -> Iterator[RunningAml]:
    with running_aml(folder, one_azurite.connection_string, "--proxy") as running:
        yield running


@pytest.fixture(scope="module")
def values(here: RunningAml, folder: Path) -> dict[str, str]:
    """The variables of `aml env --proxy`."""
    assert here.address
    return dict(json.loads(command(folder, "env", "--proxy", "--shell", "json").stdout))


@pytest.fixture
def led(here: RunningAml, values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> RunningAml:
    """Have this process be led as a program is."""
    for name in ("HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, values[name])
    return here


class Token:
    """A credential of the workspace's identity for storage, or one that nobody gave."""

    def __init__(self, here: RunningAml | None) -> None:
        self._here = here

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._here.token("https://storage.azure.com") if self._here else "a.b.c", 1 << 40)


def test_the_real_names_of_the_service_lead_here(led: RunningAml) -> None:
    headers = {"Authorization": f"Bearer {led.token()}"}
    place = f"https://management.azure.com{led.workspace}?api-version=2025-12-01"
    workspace = requests.get(place, headers=headers, timeout=PATIENCE).json()
    assert workspace["properties"]["mlFlowTrackingUri"].startswith("azureml://westeurope.api.azureml.ms/mlflow/v1.0/")
    planes = requests.get(workspace["properties"]["discoveryUrl"], timeout=PATIENCE).json()
    answer = requests.post(
        f"{planes['api']}/mlflow/v2.0{led.workspace}/api/2.0/mlflow/experiments/search",
        headers=headers,
        json={},
        timeout=PATIENCE,
    )
    assert answer.json() == {"experiments": []}


def test_an_endpoint_is_called_by_its_own_name_and_by_no_name_of_another_region(led: RunningAml) -> None:
    headers = {"Authorization": f"Bearer {led.token()}"}
    place = f"https://management.azure.com{led.workspace}"
    body = {"identity": {"type": "SystemAssigned"}, "properties": {"authMode": "AADToken"}}
    for kind, path in (("onlineEndpoints", "score"), ("batchEndpoints", "jobs")):
        name = f"of-{path}"
        made = requests.put(
            f"{place}/{kind}/{name}?api-version=2025-12-01", json=body, headers=headers, timeout=PATIENCE
        )
        uri = made.json()["properties"]["scoringUri"]
        assert uri == f"https://{name}.westeurope.inference.ml.azure.com/{path}"
        token = {"Authorization": f"Bearer {led.token('https://ml.azure.com')}"}
        answers = {}

        def called(uri: str = uri, token: dict[str, str] = token, answers: dict[str, Any] = answers) -> bool:
            answers["last"] = requests.post(uri, json={}, headers=token, timeout=PATIENCE)
            return bool(answers["last"].status_code != 404 or "NoTraffic" in answers["last"].text)

        until(called, lambda answers=answers: answers["last"].text)
        assert requests.post(uri, json={}, timeout=PATIENCE).status_code == 401
        assert requests.post(f"{uri}/other", json={}, headers=token, timeout=PATIENCE).status_code == 404
        with pytest.raises(requests.exceptions.ProxyError, match="403"):
            requests.post(uri.replace("westeurope", "northeurope"), timeout=PATIENCE)


@pytest.mark.usefixtures("led")
def test_any_other_name_leads_nowhere() -> None:
    for host in ("example.com", "127.0.0.1.example.com", "other.blob.core.windows.net", "inference.ml.azure.com"):
        with pytest.raises(requests.exceptions.ProxyError, match="403"):
            requests.get(f"https://{host}/", timeout=PATIENCE)


def test_a_clients_storage_library_reads_and_writes_by_the_accounts_real_name(
    led: RunningAml, one_azurite: Azurite
) -> None:
    store = led.call("GET", "datastores/workspaceblobstore").json()["properties"]["containerName"]
    content = bytes(range(256)) * 40_000  # more than is kept in memory
    with ContainerClient(ACCOUNT, store, credential=Token(led)) as container:
        container.upload_blob("folder/ä b%20.bin", content, metadata={"name": "a"})
        assert container.download_blob("folder/ä b%20.bin").readall() == content
        assert [each.name for each in container.list_blobs()] == ["folder/ä b%20.bin"]
    with BlobServiceClient.from_connection_string(one_azurite.connection_string) as own:
        assert own.get_blob_client(store, "folder/ä b%20.bin").get_blob_properties().metadata == {"name": "a"}


@pytest.mark.usefixtures("led")
def test_the_storage_is_closed_without_a_token_of_this_workspace() -> None:
    with ContainerClient(ACCOUNT, "azureml", credential=Token(None)) as closed, pytest.raises(HttpResponseError):
        list(closed.list_blobs())
    assert requests.get(f"{ACCOUNT}/azureml/blob", timeout=PATIENCE).status_code == 401


def test_the_files_of_an_asset_go_to_a_container_that_its_signature_opens_alone(here: RunningAml) -> None:
    answers = [here.call("POST", "codes/train/versions/1/startPendingUpload", {}).json() for _ in range(2)]
    first, second = (each["blobReferenceForConsumption"] for each in answers)
    assert first["blobUri"] == second["blobUri"]
    with ContainerClient.from_container_url(first["credential"]["sasUri"]) as container:
        container.upload_blob("src/train.py", b"print('trained')")
    other = here.call("POST", "codes/train/versions/2/startPendingUpload", {}).json()["blobReferenceForConsumption"]
    signature = first["credential"]["sasUri"].partition("?")[2]
    wrong = ContainerClient.from_container_url(f"{other['blobUri']}?{signature}")
    with wrong, pytest.raises(HttpResponseError, match="AuthorizationFailure"):
        wrong.upload_blob("a", b"")
    uri = {"properties": {"codeUri": f"{first['blobUri']}/src"}}
    assert here.call("PUT", "codes/train/versions/1", uri).status_code == 201
    here.call("PUT", "environments/python/versions/1", {"properties": {"image": "python"}})
    job = {
        "jobType": "Command",
        "command": "python train.py",
        "environmentId": f"{here.workspace}/environments/python/versions/1",
        "codeId": f"{here.workspace}/codes/train/versions/1",
    }
    assert here.call("PUT", "jobs/one", {"properties": job}).status_code == 201

    def status() -> str:
        return str(here.call("GET", "jobs/one").json()["properties"]["status"])

    until(lambda: status() in ("Completed", "Failed"), status)
    assert status() == "Completed"


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_a_job_ends_when_its_server_is_killed_and_has_failed_when_the_next_one_starts(
    tmp_path: Path, azurite: Azurite
) -> None:
    with running_aml(tmp_path / "aml", azurite.connection_string) as here:
        here.call("PUT", "environments/python/versions/1", {"properties": {"image": "python"}})
        job = {
            "jobType": "Command",
            "command": f"echo $$ > {tmp_path / 'id'}; sleep 900",
            "environmentId": f"{here.workspace}/environments/python/versions/1",
        }
        here.call("PUT", "jobs/one", {"properties": job})
        until(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text().strip() != "", "the job runs")
        process = int((tmp_path / "id").read_text())
        assert lives(process)
        here.child.process.kill()
        here.child.process.wait()
        until(lambda: not lives(process), "the command ends")
    with running_aml(tmp_path / "aml", azurite.connection_string) as again:
        assert again.call("GET", "jobs/one").json()["properties"]["status"] == "Failed"
