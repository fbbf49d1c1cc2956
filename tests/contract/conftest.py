"""Each suite runs against the fake that the unit tests use, and against real storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import BlobClient, BlobLeaseClient

from local.azurite import Azurite
from shared.adapters.storage.accounts import BlobStore, open_store
from shared.adapters.storage.data import BlobTrainingData
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.models import BlobModels
from shared.base.settings import Settings
from shared.domain.ports import Documents, Models, TrainingData
from tests.support.fakes import Clock, FakeData, FakeDocuments, FakeModels
from tests.support.waiting import until


@dataclass(frozen=True)
class DocumentStore:
    documents: Documents
    break_lease: Callable[[str], None]
    expire: Callable[[str], None]  #: let the time of its holder be over


@dataclass(frozen=True)
class Data:
    data: TrainingData
    drop: Callable[[str, bytes], Any]


@pytest.fixture(params=["fake", "azurite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def azure(kind: str, request: pytest.FixtureRequest) -> BlobStore | None:
    if kind == "fake":
        return None
    azurite: Azurite = request.getfixturevalue("azurite")
    return open_store(Settings({"X": azurite.connection_string}), "X")


@pytest.fixture
def store(azure: BlobStore | None) -> DocumentStore:
    if azure is None:
        fake = FakeDocuments()
        return DocumentStore(fake, fake.break_lease, fake.expire)
    client = azure.client
    return DocumentStore(
        BlobDocuments(azure, "retraining"),
        lambda name: BlobLeaseClient(client.get_blob_client("retraining", name)).break_lease(0),
        lambda name: until(lambda: state_of(client.get_blob_client("retraining", name)) == "expired", name, 60),
    )


def state_of(blob: BlobClient) -> str:
    return str(blob.get_blob_properties().lease.state)


@pytest.fixture
def models(azure: BlobStore | None) -> Models:
    return FakeModels(Clock()) if azure is None else BlobModels(azure, "models")


@pytest.fixture
def dropped(azure: BlobStore | None) -> Data:
    if azure is None:
        fake = FakeData()
        return Data(fake, fake.put)
    container = azure.client.create_container("training-data")
    return Data(
        BlobTrainingData(azure, "training-data", azure),
        lambda path, content: container.upload_blob(path, content, overwrite=True),
    )
