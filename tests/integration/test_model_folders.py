"""Models that are folders, in real storage: what a run that died leaves, and what the app reads of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.storage.blob import ContainerClient

from local.azurite import Azurite
from shared.adapters.storage.accounts import BlobStore, open_store
from shared.adapters.storage.models import BlobModels
from shared.adapters.storage.reader import ConfiguredBlobReader
from shared.base.errors import BadConfiguration, ServiceRefused
from shared.base.settings import Settings
from shared.domain.folders import Files
from shared.domain.ports import BlobReference

LATER = datetime.now(UTC) + timedelta(days=2)
LARGE = bytes(range(256)) * 40_000  #: more than what is in memory at once, and than one piece


@pytest.fixture
def store(azurite: Azurite) -> BlobStore:
    return open_store(Settings({"X": azurite.connection_string}), "X")


@pytest.fixture
def container(store: BlobStore) -> ContainerClient:
    return store.client.get_container_client("models")


def files() -> Files:
    return [("MLmodel", iter([b"flavors"])), ("data/model.skops", iter([LARGE[:1000], LARGE[1000:]]))]


def names(container: ContainerClient) -> list[str]:
    return sorted(blob.name for blob in container.list_blobs())


def test_the_manifest_of_a_folder_is_written_last(store: BlobStore, container: ContainerClient) -> None:
    models, written = BlobModels(store, "models"), list[str]()

    def dying() -> Iterator[bytes]:
        written.extend(names(container) if container.exists() else [])
        yield LARGE

    model = models.keep_folder([("MLmodel", iter([b"flavors"])), ("data/model.skops", dying())])
    assert written == []  # what is read is checked before anything is written
    sha256 = model.sha256
    assert names(container) == [f"{sha256}.json", f"{sha256}/MLmodel", f"{sha256}/data/model.skops"]
    assert container.download_blob(f"{sha256}/data/model.skops").readall() == LARGE
    times = {blob.name: blob.last_modified for blob in container.list_blobs()}
    assert times[f"{sha256}.json"] == max(times.values())


def test_a_folder_without_its_manifest_is_written_again(store: BlobStore, container: ContainerClient) -> None:
    models = BlobModels(store, "models")
    model = models.keep_folder(files())
    container.delete_blob(f"{model.sha256}.json")
    container.upload_blob(f"{model.sha256}/MLmodel", b"half", overwrite=True)
    assert ([*models.listed()], models.find(model.sha256), models.touch(model)) == ([], [], False)
    assert models.keep_folder(files()) == model
    assert models.find(model.sha256) == [model]
    assert container.download_blob(f"{model.sha256}/MLmodel").readall() == b"flavors"


def test_an_old_folder_without_a_manifest_is_removed_and_no_other_is(
    store: BlobStore, container: ContainerClient
) -> None:
    models = BlobModels(store, "models")
    models.remove_unfinished(LATER)  # the container does not exist yet
    kept, one = models.keep_folder(files()), models.keep(iter([b"ilearner"]))
    left = f"{'0' * 64}/"
    for name in (f"{left}MLmodel", f"{left}data/model.skops", "notes/a.txt"):
        container.upload_blob(name, b"x")
    models.remove_unfinished(datetime.now(UTC) - timedelta(days=1))
    assert len(names(container)) == 7
    models.remove_unfinished(LATER)
    assert {name for name in names(container) if kept.sha256 not in name} == {one.name, "notes/a.txt"}
    assert models.find(kept.sha256) == [kept]


def test_a_folder_that_is_kept_while_it_is_removed_stays_whole(
    store: BlobStore, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = BlobModels(store, "models")
    model = models.keep_folder(files())
    [kept] = models.listed()
    remove = models._remove

    def removing(name: str, etag: str) -> bool:
        removed = remove(name, etag)
        if name.endswith(".json"):
            assert BlobModels(store, "models").keep_folder(files()) == model
        return removed

    monkeypatch.setattr(models, "_remove", removing)
    assert models.remove(kept)
    assert models.find(model.sha256) == [model]
    assert len(names(container)) == 3


def test_a_folder_that_a_service_names_is_read_file_by_file(store: BlobStore, container: ContainerClient) -> None:
    reader = ConfiguredBlobReader(requests.Session(), [store], [])
    container.create_container()
    contents = {"jobs/1/model/MLmodel": b"flavors", "jobs/1/model/data/a b+c": b"", "jobs/1/models/other": b"other"}
    for name, content in contents.items():
        container.upload_blob(name, content)
    container.upload_blob("jobs/1/model/data", b"", metadata={"hdi_isfolder": "true"})

    def read(relative: str) -> dict[str, bytes]:
        reference = BlobReference(store.address, relative)
        return {path: b"".join(chunks) for path, chunks in reader.files(reference)}

    assert read("models/jobs/1/model/") == {"MLmodel": b"flavors", "data/a b+c": b""}
    assert read("models/jobs/1/model/MLmodel") == {"MLmodel": b"flavors"}
    assert read("models/jobs/1/models/other/") == {"other": b"other"}  # the output is a file, not a folder
    for missing in ("models/jobs/2/", "nowhere/jobs/", "models/jobs/2"):
        with pytest.raises(ServiceRefused, match="does not exist"):
            read(missing)
    for strange in (BlobReference("https://other.example/", "a/"), BlobReference(store.address, "models/../secrets/")):
        with pytest.raises(BadConfiguration, match="at no address that the configuration allows"):
            next(iter(reader.files(strange)))


def test_a_folder_at_another_allowed_account_is_read_by_the_app_s_identity(
    store: BlobStore, container: ContainerClient
) -> None:
    container.create_container()
    container.upload_blob("live/MLmodel", b"flavors")
    opened: list[str] = []

    def by_identity(address: str) -> BlobStore:
        opened.append(address)
        return store

    allowed = f"{store.address}models"
    reader = ConfiguredBlobReader(requests.Session(), [], [allowed], by_identity)
    found = {path: b"".join(chunks) for path, chunks in reader.files(BlobReference(store.address, "models/live/"))}
    assert found == {"MLmodel": b"flavors"}
    assert opened == [store.address.rpartition("/devstoreaccount1")[0]]
    with pytest.raises(BadConfiguration, match="at no address that the configuration allows"):
        next(iter(reader.files(BlobReference(store.address, "retraining/live/"))))
    assert len(opened) == 1
    with pytest.raises(BadConfiguration, match="without a SAS, and it is not in the app's storage"):
        next(
            iter(
                ConfiguredBlobReader(requests.Session(), [], [allowed]).files(BlobReference(store.address, "models/a/"))
            )
        )
