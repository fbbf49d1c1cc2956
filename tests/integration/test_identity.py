"""The app with an identity instead of keys: real tokens, Azurite with HTTPS and OAuth, links by a delegation key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs

import pytest
import requests.adapters
from azure.storage.blob import _shared_access_signature as signatures
from azure.storage.blob._shared import sign_string

from local.azurite import azurite
from local.children import ROOT
from local.datasets import as_csv
from local.studio import running_studio
from local.workplace import Workplace, publish
from shared.app import App
from shared.base.errors import AccessRefused
from shared.base.settings import Settings
from shared.cli.doctor import storage
from shared.cli.doctor.finding import Health
from shared.domain.jobs import JobState
from studio.state.records import Job
from tests.support.certificates import self_signed
from tests.support.flow import Flow
from tests.support.identity import Endpoint, identity_endpoint

#: Azurite 3.35 checks signatures up to this version; the library's own has two more fields, which are empty here
SAS_VERSION = "2025-07-05"
NEWER_FIELDS = slice(21, 23)
CLIENT = "00000000-0000-0000-0000-000000000003"
STORAGE = ("AzureWebJobsStorage", "TRAINING_DATA", "RETRAINING_STORE", "PROMOTIONS")


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workplace, dict[str, str], Endpoint]]:
    """A workplace, the settings that name its storage without a key, and the endpoint of the identity."""
    folder = tmp_path_factory.mktemp("identity")
    certificate = self_signed(folder)
    with pytest.MonkeyPatch.context() as patch, identity_endpoint() as endpoint:
        patch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(certificate[0]))
        for name in ("TRUSTED_CERTIFICATE", "REQUESTS_CA_BUNDLE"):
            patch.setenv(name, str(certificate[0]))
        patch.setenv("PYTHONPATH", str(ROOT / "tests" / "support" / "trusting"))
        patch.setattr(signatures, "X_MS_VERSION", SAS_VERSION)
        patch.setattr(signatures, "sign_string", signed_as_azurite_checks)
        for name, value in endpoint.settings.items():
            patch.setenv(name, value)
        with (
            azurite(certificate=certificate) as running,
            running_studio(folder / "studio", running.connection_string) as studio,
        ):
            place = publish(running, studio, "")
            settings = {name: value for name, value in place.settings.items() if name not in STORAGE}
            for name in STORAGE:
                settings |= {
                    f"{name}__credential": "managedidentity",
                    f"{name}__clientId": CLIENT,
                    f"{name}__blobServiceUri": running.blob_address,
                    f"{name}__queueServiceUri": running.queue_address,
                }
            yield place, settings, endpoint


def signed_as_azurite_checks(key: str, text: str) -> str:
    lines = text.split("\n")
    assert lines[NEWER_FIELDS] == ["", ""]
    del lines[NEWER_FIELDS]
    return sign_string(key, "\n".join(lines))


def test_with_an_identity_alone_data_is_read_through_a_link_trained_on_and_promoted(
    keyless: tuple[Workplace, dict[str, str], Endpoint],
) -> None:
    place, settings, endpoint = keyless
    flow = Flow(place, {})
    flow.app = App(Settings(settings), flow)
    job = flow.finish(flow.drop("new.csv", as_csv(place.header, place.rows[:400])))
    assert job.state is JobState.PROMOTED, job.reason
    assert set(endpoint.asked) == {(CLIENT, "https://storage.azure.com")}
    [trained] = [each for each in place.studio.studio.records.all(Job) if each.inputs]
    signature = parse_qs((trained.inputs["input1"].sas_blob_token or "").lstrip("?"))
    assert {"skoid", "sktid", "ske"} <= set(signature)  # signed with a user delegation key
    assert signature["sp"] == ["r"]
    assert signature["sr"] == ["b"]
    begin, end = (datetime.fromisoformat(signature[each][0]) for each in ("st", "se"))
    assert begin < end <= datetime.fromisoformat(signature["ske"][0])


def test_the_doctor_finds_storage_well_by_identity(keyless: tuple[Workplace, dict[str, str], Endpoint]) -> None:
    place, settings, _ = keyless
    found = {each.what: each.health for each in storage.look(Settings(settings), place.container)}
    wanted = {"storage TRAINING_DATA", "storage RETRAINING_STORE", "rights on RETRAINING_STORE"}
    assert {found.pop(what) for what in wanted} == {Health.OK}
    assert Health.WRONG not in found.values()
    assert "queue webjobs-blobtrigger-poison" in found


def test_an_identity_that_the_storage_refuses_is_reported_with_what_to_look_at(
    keyless: tuple[Workplace, dict[str, str], Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, settings, _ = keyless
    monkeypatch.setattr("tests.support.identity.ISSUER", "https://elsewhere.example/")
    with pytest.raises(AccessRefused, match="roles of the app's identity"):
        App(Settings(settings)).records.jobs.active()
    found = {each.what: each for each in storage.look(Settings(settings), place.container)}
    for what in ("storage TRAINING_DATA", "storage RETRAINING_STORE", "queue webjobs-blobtrigger-poison"):
        assert found[what].health is Health.WRONG
        assert "roles of the app's identity" in str(found[what])
