"""Connections to storage: a string, or an identity; what is missing is named."""

from __future__ import annotations

import gzip
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import BlobServiceClient, UserDelegationKey

from local.children import ROOT
from shared.adapters.http import origin, retry_after
from shared.adapters.storage import accounts
from shared.adapters.storage.accounts import BlobStore, open_store, storage_errors
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.queue import open_queues, waiting
from shared.adapters.storage.versions import BlobVersions
from shared.base.errors import (
    BadConfiguration,
    NotYetReadable,
    RetrainingError,
    ServiceRefused,
    ServiceUnavailable,
)
from shared.base.settings import Settings
from shared.domain.jobs import Dataset
from tests.support.wire import Scripted, scripted_service

STRING = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.windows.net"
SAS = "sv=2024-05-04&sig=S3CRET"
ADDRESS = "https://acct.blob.core.windows.net/"


@pytest.mark.parametrize(
    "settings",
    [
        {"X": STRING},
        {"X__blobServiceUri": "https://acct.blob.core.windows.net", "X__credential": "managedidentity"},
        {"X__accountName": "acct", "X__clientId": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_a_connection_is_a_string_or_an_identity(settings: dict[str, str]) -> None:
    assert open_store(Settings(settings), "X").address == ADDRESS


def test_a_connection_is_read_as_the_storage_client_reads_its_own() -> None:
    ours = open_store(Settings({"X": STRING}), "X").client
    client = BlobServiceClient.from_connection_string(STRING)
    here, there = (vars(each._pipeline._transport.connection_config) for each in (ours, client))
    assert here == there


def test_every_storage_of_the_sample_of_settings_can_be_opened() -> None:
    sample = Settings(json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"])
    assert open_store(sample, "TRAINING_DATA").address == open_store(sample, "RETRAINING_STORE").address
    assert open_queues(sample, "PROMOTIONS").url.startswith("http://127.0.0.1:")


def test_a_storage_that_does_not_answer_is_named_by_setting_and_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    text = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint={address}/a;"
    container = open_store(Settings({"STORE": text}), "STORE").client.get_container_client("x")
    said = f"no answer .* from {address}, which setting STORE names; is it running.$"
    with pytest.raises(ServiceUnavailable, match=said), storage_errors("looking at x"):
        container.get_container_properties(retry_total=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Missing setting: X .a connection string. or X__blobServiceUri"),
        ({"X": "nonsense"}, "Setting X is not a storage connection string"),
        ({"X": STRING.replace("AccountName", "Account")}, "Setting X is not a storage connection string"),
        ({"X": STRING.replace("a2V5", "key!")}, "Setting X is not a storage connection string"),
        ({"X": "UseDevelopmentStorage=true"}, "write the whole connection string of Azurite"),
        (
            {"X": f"BlobEndpoint={ADDRESS};SharedAccessSignature={SAS}"},
            "use a connection string with AccountKey, or an",
        ),
        (
            {"X": f"BlobEndpoint={ADDRESS};sharedaccesssignature=?{SAS}"},
            "use a connection string with AccountKey, or an",
        ),
        ({"X": f"{STRING};SharedAccessSignature={SAS}"}, "use a connection string with AccountKey, or an"),
        ({"X": f"BlobEndpoint={ADDRESS}"}, "it has no AccountKey"),
        ({"X__accountName": "acct", "X__serviceUri": "http://acct.blob.core.windows.net"}, "must begin with https://"),
        ({"X__serviceUri": f"{ADDRESS}?{SAS}"}, "have no signature"),
    ],
)
def test_what_is_missing_or_wrong_is_named(settings: dict[str, str], said: str) -> None:
    for opened in (open_store, open_queues):
        said = said if opened is open_store else said.replace("blobService", "queueService")
        with pytest.raises(BadConfiguration, match=said) as raised:
            opened(Settings(settings), "X")
        assert "S3CRET" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_storage_client_follows_a_redirect(status: int) -> None:
    with scripted_service() as storage, scripted_service() as other:
        other.answer(200, b"{}")
        storage.answer(status, b"", Location=f"{other.address}/acct/stolen")
        settings = Settings({"X": f"{STRING};BlobEndpoint={storage.address}/acct;QueueEndpoint={storage.address}/acct"})
        with pytest.raises(RetrainingError):
            BlobDocuments(open_store(settings, "X"), "retraining").read("jobs/a.json")
        with pytest.raises(RetrainingError):
            waiting(open_queues(settings, "X"), "promotions")
        assert other.asked == []


def test_a_blob_that_is_stored_compressed_is_read_as_it_is_stored() -> None:
    stored = gzip.compress(b"age\n39\n")
    with scripted_service() as storage:
        facts = {
            "ETag": '"1"',
            "Content-Range": f"bytes 0-{len(stored) - 1}/{len(stored)}",
            "x-ms-blob-type": "BlockBlob",
        }
        facts["Last-Modified"] = "Tue, 24 Nov 2026 03:00:00 GMT"
        storage.answers = [(206, stored, {**facts, "Content-Encoding": "gzip"})]
        store = open_store(Settings({"X": f"{STRING};BlobEndpoint={storage.address}/acct"}), "X")
        dataset = Dataset(path="a.csv", etag="1", modified=datetime(2026, 11, 24, 3, tzinfo=UTC), size=len(stored))
        assert b"".join(BlobVersions(store, "training-data").read(dataset)) == stored


def test_a_link_names_one_blob_and_may_only_read_it() -> None:
    link = open_store(Settings({"X": STRING}), "X").link("models", "a.ilearner", 3600)
    assert (link.base, link.relative) == (ADDRESS, "models/a.ilearner")
    assert link.sas is not None
    assert "sp=r&" in link.sas.reveal() + "&"
    assert "sr=b" in link.sas.reveal()
    assert "sig" not in repr(link)


def test_many_links_by_identity_are_made_with_one_key_that_lives_longer_than_they(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[datetime] = []

    class Delegating(BlobServiceClient):
        def get_user_delegation_key(
            self, key_start_time: datetime, key_expiry_time: datetime, **_: Any
        ) -> UserDelegationKey:
            asked.append(key_expiry_time)
            key = UserDelegationKey()
            key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = "oid", "tid", "b", "2024-05-04"
            key.signed_start, key.signed_expiry = key_start_time.isoformat(), key_expiry_time.isoformat()
            key.value = "a2V5"
            return key

    store = BlobStore(Delegating(ADDRESS), None)
    for seconds in (60.0, 86400.0, 30 * 86400.0):
        sas = store.link("models", "a", seconds).sas
        assert sas
        [expiry] = parse_qs(sas.reveal().lstrip("?"))["se"]
        assert datetime.fromisoformat(expiry) <= asked[0]
    assert len(asked) == 1
    assert "a2V5" not in repr(vars(store))
    monkeypatch.setattr(accounts, "_KEY_USED", timedelta())
    link = store.link("models", "a", 60.0)
    assert (link.address, len(asked)) == (f"{store.address}models/a", 1)  # nothing is signed before it is read
    assert "sig=" not in repr(link)
    assert link == store.link("models", "a", 3600.0)
    assert len(asked) == 1
    assert link.sas
    assert len(asked) == 2


def test_no_proxy_of_the_machine_comes_between_a_key_and_its_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_service() as storage, scripted_service() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("no_proxy", "")
        storage.answer(202)
        proxy.answer(202)
        open_store(Settings({"X": connection_to(storage)}), "X").client.delete_container("models")
        assert (len(storage.asked), proxy.asked) == (1, [])


def test_an_origin_has_its_port_and_no_case() -> None:
    assert origin("HTTPS://Studio.Example/a") == origin("https://studio.example:443/b")
    assert origin("https://studio.example@evil.example/") != origin("https://studio.example/")


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("²", None)])
def test_retry_after_is_read_as_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0100"])
def test_retry_after_is_read_as_a_date(zone: str) -> None:
    assert retry_after({"retry-after": f"Wed, 21 Oct 2015 07:28:00 {zone}"}) == 0.0


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("BlobArchived", ServiceRefused, "it is in the Archive tier; set its tier to Hot or Cool"),
        ("BlobBeingRehydrated", NotYetReadable, "it is on its way out of the Archive tier"),
        ("BlobUsesCustomerSpecifiedEncryption", ServiceRefused, "its writer encrypted it with their own key"),
    ],
)
def test_an_unreadable_blob_is_reported_with_what_to_do(code: str, kind: type[Exception], said: str) -> None:
    with scripted_service() as storage:
        storage.answer(409, b"", x_ms_error_code=code)
        dataset = Dataset(path="a.csv", etag="1", modified=datetime(2026, 11, 1, tzinfo=UTC), size=7)
        with pytest.raises(kind, match=f"409 {code}: {said}"):
            list(BlobVersions(open_store(Settings({"X": connection_to(storage)}), "X"), "data").read(dataset))


def test_a_blob_that_hides_its_properties_is_found_in_the_listing() -> None:
    listing = (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="x" ContainerName="data"><Blobs>'
        "<Blob><Name>a.csv</Name><Properties><Last-Modified>Sun, 01 Nov 2026 00:00:00 GMT</Last-Modified>"
        "<Etag>0x1</Etag><Content-Length>7</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        "</Blobs><NextMarker /></EnumerationResults>"
    )
    with scripted_service() as storage:
        storage.answer(409, b"", x_ms_error_code="BlobUsesCustomerSpecifiedEncryption")
        storage.answer(200, listing.encode(), Content_Type="application/xml")
        found = BlobVersions(open_store(Settings({"X": connection_to(storage)}), "X"), "data").find("a.csv")
    modified = datetime(2026, 11, 1, tzinfo=UTC)
    assert found == Dataset(path="a.csv", etag="0x1", modified=modified, size=7)


def connection_to(storage: Scripted) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;BlobEndpoint={storage.address}/acct"
