"""The records in real storage: what an expired lease and a lost race look like to the flow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import BlobLeaseClient

from local.azurite import Azurite
from shared.adapters.storage.accounts import open_store
from shared.adapters.storage.data import BlobTrainingData
from shared.adapters.storage.documents import BlobDocuments
from shared.base.errors import Busy, RecordChanged
from shared.base.settings import Settings
from shared.store import Records

NAME = "champions/income.json"


def test_a_run_whose_lease_ran_out_fails_and_writes_nothing_more(azurite: Azurite) -> None:
    store = open_store(Settings({"X": azurite.connection_string}), "X")
    documents = BlobDocuments(store, "retraining")
    documents.create(NAME, b"first")
    blob = store.client.get_blob_client("retraining", NAME)
    with documents.lease(NAME) as slow:
        with pytest.raises(Busy, match="LeaseAlreadyPresent"), documents.lease(NAME):
            pass
        etag = documents.replace(NAME, b"second", blob.get_blob_properties().etag, slow)
        BlobLeaseClient(blob).break_lease(0)  # as when its minute is over
        with pytest.raises(Busy):
            slow.renew()
        with pytest.raises(Busy):
            documents.replace(NAME, b"third", etag, slow)
        with documents.lease(NAME) as other:
            with pytest.raises(Busy):
                slow.renew()
            with pytest.raises(Busy, match="LeaseIdMismatchWithBlobOperation"):
                documents.replace(NAME, b"third", etag, slow)
            documents.replace(NAME, b"fourth", etag, other)
        with pytest.raises(RecordChanged, match="412 ConditionNotMet"):
            documents.replace(NAME, b"fifth", etag)
    document = documents.read(NAME)
    assert document is not None
    assert document.content == b"fourth"


@pytest.mark.parametrize("name", ["hdi_isfolder", "Hdi_isfolder"])
def test_the_marker_of_a_folder_is_not_data_and_an_empty_file_is(azurite: Azurite, name: str) -> None:
    store = open_store(Settings({"X": azurite.connection_string}), "X")
    container = store.client.create_container("training-data")
    container.upload_blob("income/a.csv", b"", metadata={name: "true"})
    container.upload_blob("income/empty.csv", b"", metadata={"by": "ann"})
    container.upload_blob("income/full.csv", b"age\n", metadata={name: "true"})
    data = BlobTrainingData(store, "training-data", store)
    assert [each.path for each in data.listed()] == ["income/empty.csv", "income/full.csv"]
    assert [data.find(f"income/{each}.csv") is not None for each in ("a", "empty", "full")] == [False, True, True]


def test_only_notes_older_than_a_moment_are_removed(azurite: Azurite) -> None:
    documents = BlobDocuments(open_store(Settings({"X": azurite.connection_string}), "X"), "retraining")
    documents.create("requests/a.json", b"{}")
    documents.create("jobs/a.json", b"{}")
    now, requests = datetime.now(UTC), Records(documents).requests
    requests.remove_before(now - timedelta(days=1))
    assert list(documents.names("")) == ["jobs/a.json", "requests/a.json"]
    requests.remove_before(now + timedelta(days=1))
    assert list(documents.names("")) == ["jobs/a.json"]
