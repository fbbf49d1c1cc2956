"""Connections to storage: a string, or an identity; what is missing is named."""

from __future__ import annotations

import pytest

from shared.adapters.http import origin, retry_after
from shared.adapters.storage.accounts import open_store
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from tests.support.wire import scripted_service

STRING = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.windows.net"
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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "Missing setting: X .a connection string. or X__blobServiceUri"),
        ({"X": "nonsense"}, "Setting X is no storage connection string"),
        ({"X__blobServiceUri": "http://acct.blob.core.windows.net"}, "must begin with https://"),
    ],
)
def test_what_is_missing_or_wrong_is_named(settings: dict[str, str], told: str) -> None:
    with pytest.raises(BadConfiguration, match=told):
        open_store(Settings(settings), "X")


def test_a_link_names_one_blob_and_may_only_read_it() -> None:
    link = open_store(Settings({"X": STRING}), "X").link("models", "a.ilearner", 3600)
    assert (link.base, link.relative) == (ADDRESS, "models/a.ilearner")
    assert link.sas is not None
    assert "sp=r&" in link.sas.reveal() + "&"
    assert "sr=b" in link.sas.reveal()
    assert "sig" not in repr(link)


def test_no_proxy_of_the_machine_comes_between_a_key_and_its_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_service() as storage, scripted_service() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("no_proxy", "")
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;BlobEndpoint={storage.address}/acct"
        )
        storage.answer(202)
        proxy.answer(202)
        open_store(Settings({"X": connection}), "X").client.delete_container("models")
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
