"""Where a blob reference may lead: to this machine, or to the Studio's own storage, however the address is written."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands import Stopped
from shared.domain.blob_pattern import fault_of
from studio.cli.place import open_new
from studio.errors import StudioError
from studio.state.blobs import Blobs, parts
from studio.state.places import NoPlace, Places, read_accounts
from studio.state.records import Reference

OWN = "http://127.0.0.1:21000/own"
KEY = "AccountName=a;AccountKey=Zm9v"
STORAGE = f"BlobEndpoint={OWN};AccountName=own;AccountKey=Zm9v"
PLACES = Places(OWN, "own", {"mine": "http://127.0.0.1:22000/mine"})


def by_base(address: str, sas: str | None = "?sig=1") -> Reference:
    return Reference(base_location=address, relative_location="data/x.csv", sas_blob_token=sas)


def by_string(connection: str) -> Reference:
    return Reference(connection_string=connection, relative_location="data/x.csv")


FOREIGN = [
    "http://127.0.0.2:80/a",
    "http://store.example/a",
    "http://127.0.0.2:80\\@127.0.0.1:21000/own",
    "http://127.0.0.1:21000\\@127.0.0.2/own",
    "http://127.0.0.1:21000@127.0.0.2/own",
    "http://user@127.0.0.1:21000/own",
    "http://127.0.0.2#@127.0.0.1:21000/own",
    "http://127.0.0.2?@127.0.0.1:21000/own",
    "http://127.0.0.2/127.0.0.1:21000/own",
    "http:\\\\127.0.0.2\\own",
    "//127.0.0.1/own",
    "127.0.0.1/own",
    "ftp://127.0.0.1/own",
    "file:///etc/passwd",
    "http://127.1/own",
    "http://2130706433/own",
    "http://0x7f.0.0.1/own",
    "http://0177.0.0.1/own",
    "http://0.0.0.0/own",
    "http://[::]/own",
    "http://[::ffff:127.0.0.1]/own",
    "http://[::ffff:7f00:1]/own",
    "http://[::1%25eth0]/own",
    "http://[fe80::1]/own",
    "http://127.0.0.1.store.example/own",
    "http://localhost.store.example/own",
    "http://127%2e0.0.1/own",
    "http://%31%32%37.0.0.1/own",
    "http://127.0.0.1:21000/own/../other",
    "http://127.0.0.1:21000/own/%2e%2e/other",
    "http://127.0.0.1:21000/own/./other",
    "http://127.0.0.1:21000/own?x=1",
    "http://127.0.0.1:21000/own\r\nX-Evil: 1",
    "http://127.0.0.1:21000 /own",
    " http://127.0.0.1:21000/own",
    "http://１２７.0.0.1/own",
    "http://localhoſt/own",
    "https://elsewhere.blob.core.windows.net/",
    "http://169.254.169.254/latest",
    "",
]


@pytest.mark.parametrize("address", FOREIGN)
def test_an_address_that_is_not_plainly_this_machine_is_refused(address: str) -> None:
    # In a connection string, spaces around a value are passed over, and an empty one is as if it were not there.
    said = [by_string(f"BlobEndpoint={address};{KEY}")] if address.strip() == address != "" else []
    for reference in (by_base(address), by_base(address, None), *said):
        with pytest.raises(NoPlace):
            PLACES.of(reference)


@pytest.mark.parametrize(
    ("address", "called"),
    [
        (OWN, OWN),
        (f"{OWN}/", OWN),
        ("HTTP://LOCALHOST:5/a/", "http://localhost:5/a"),
        ("https://[::1]:5/a", "https://[::1]:5/a"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("https://own.blob.core.windows.net/", OWN),
        ("https://OWN.blob.core.usgovcloudapi.net", OWN),
        ("https://mine.blob.core.windows.net/", "http://127.0.0.1:22000/mine"),
    ],
)
def test_the_address_that_is_called_is_built_from_its_checked_parts(address: str, called: str) -> None:
    assert PLACES.of(by_base(address)).address == called
    assert PLACES.of(by_string(f"{KEY};BlobEndpoint={address}")).address == called


@pytest.mark.parametrize(
    ("connection", "called"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=own;AccountKey=Zm9v", OWN),
        ("DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=Zm9v;", "http://127.0.0.1:22000/mine"),
        ("AccountName=own;AccountKey=Zm9v;EndpointSuffix=core.windows.net", OWN),
        ("accountname=own;accountkey=Zm9v;blobendpoint=", OWN),
        ("AccountName=own;SharedAccessSignature=sv=1&sig=a", OWN),
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        (f"BlobEndpoint={OWN};BlobSecondaryEndpoint=http://store.example/b;{KEY}", OWN),
    ],
)
def test_an_account_without_an_endpoint_means_its_address_on_this_machine(connection: str, called: str) -> None:
    assert PLACES.of(by_string(connection)).address == called


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        ("AccountName=other;AccountKey=Zm9v", "the account 'other' is not on this machine: .* STUDIO_ACCOUNTS"),
        ("AccountName=127.0.0.1:80/\\;AccountKey=Zm9v", "is not on this machine"),
        ("AccountName=own", "neither an AccountKey nor a SharedAccessSignature"),
        ("AccountKey=Zm9v", "neither an AccountName nor a BlobEndpoint"),
        ("AccountName=own;AccountKey=not base64", "AccountKey is not base64"),
        ("nonsense", "neither an AccountName"),
    ],
)
def test_a_connection_string_that_leads_nowhere_says_why_and_shows_no_key(connection: str, why: str) -> None:
    with pytest.raises(NoPlace, match=why) as error:
        PLACES.of(by_string(connection))
    assert "Zm9v" not in str(error.value)


@pytest.mark.parametrize("sas", ["?sig=1 HTTP/1.1\r\nX-Evil: 1\r\n", "sig=\x00", "sig=ü", "sig=a b"])
def test_a_token_with_a_character_that_no_token_has_is_refused(sas: str) -> None:
    with pytest.raises(NoPlace, match="SasBlobToken"):
        PLACES.of(by_base(OWN, sas))


@pytest.mark.parametrize(
    "name", ["../d/x.csv", "./x.csv", "a/..", "..\\d\\x.csv", "x\r\n.csv", "x\x00.csv", "\u202ex.csv"]
)
def test_a_blob_whose_name_could_leave_its_container_is_refused(name: str) -> None:
    reference = Reference(connection_string=STORAGE, relative_location=f"data/{name}")
    with pytest.raises(StudioError) as error:
        Blobs(STORAGE).read(reference, "input1")
    assert (error.value.status, error.value.detail) == (400, "InputBlobRelativeLocationInvalid")
    assert fault_of(name) is not None


@pytest.mark.parametrize("name", ["a\u00a0b.csv", "11.12\u202fPM.csv", "%2e%2e/#?.csv", "\u0645.csv"])
def test_a_blob_may_have_every_name_that_the_app_takes(name: str) -> None:
    assert fault_of(name) is None
    reference = Reference(connection_string=STORAGE, relative_location=f"data/{name}")
    assert parts(reference, None) == ("data", name)


def test_the_address_that_is_meant_is_kept_with_a_job() -> None:
    blobs = Blobs(STORAGE, {"mine": "http://127.0.0.1:22000/mine"})
    hosted = by_string("DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=Zm9v")
    assert blobs.resolved(hosted, "input1").connection_string == (
        "BlobEndpoint=http://127.0.0.1:22000/mine;AccountName=mine;AccountKey=Zm9v"
    )
    base = by_base("https://mine.blob.core.windows.net/")
    assert blobs.resolved(base, "input1").base_location == "http://127.0.0.1:22000/mine"
    for kept in (hosted, base):  # what a job's process reads, which knows of no accounts
        assert Blobs(STORAGE)._places.of(blobs.resolved(kept, "input1")).address == "http://127.0.0.1:22000/mine"


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("mine", "not name=address"),
        ("Mine=http://127.0.0.1:1/mine", "not name=address"),
        ("mine=http://store.example/mine", "calls no storage on 'store.example'"),
        ("mine=https://other.blob.core.windows.net", "the account 'other' is not on this machine"),
    ],
)
def test_the_setting_of_accounts_is_checked_at_the_start(
    setting: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoPlace, match=why):
        read_accounts(setting)
    monkeypatch.setenv("STUDIO_ACCOUNTS", setting)
    monkeypatch.setenv("STUDIO_STORAGE", STORAGE)
    with pytest.raises(Stopped, match=f"STUDIO_ACCOUNTS cannot be used: .*{why}"):
        open_new(tmp_path / "data")


def test_the_setting_names_several_accounts() -> None:
    given = "mine=http://127.0.0.1:1/mine  yours=http://localhost:2/yours"
    assert read_accounts(given) == {"mine": "http://127.0.0.1:1/mine", "yours": "http://localhost:2/yours"}


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, location: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.location, self.asked = location, 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.asked += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(307 if server.location else 200)
        if server.location:
            self.send_header("Location", server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[_Server, _Server]]:
    """A server that answers, and one that leads on to it."""
    there = _Server(None)
    near = _Server(f"{there.address}/elsewhere")
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in (there, near)]
    for thread in threads:
        thread.start()
    yield there, near
    for server in (there, near):
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("by", ["a key", "a token"])
def test_a_storage_that_leads_on_to_another_address_is_not_followed(servers: tuple[_Server, _Server], by: str) -> None:
    there, near = servers
    base = f"{near.address}/a"
    reference = by_string(f"BlobEndpoint={base};{KEY}") if by == "a key" else by_base(base)
    blobs = Blobs(STORAGE)
    for call in (
        lambda: blobs.read(reference, "input1"),
        lambda: blobs.check(reference, "input1"),
        lambda: blobs.write(reference, b"x", "output1"),
    ):
        with pytest.raises(StudioError) as error:
            call()
        assert error.value.status == 400
    assert near.asked >= 3
    assert there.asked == 0


def test_a_proxy_of_the_environment_is_not_asked(
    servers: tuple[_Server, _Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, near = servers
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, there.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(StudioError):
        Blobs(STORAGE).check(by_base(f"{near.address}/a"), "input1")
    assert (there.asked, near.asked >= 1) == (0, True)
