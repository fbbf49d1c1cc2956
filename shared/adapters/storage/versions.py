"""Versions of the blobs of one container: found, listed, read under their ETag, and linked to."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties

from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.base.errors import DataChanged
from shared.domain.jobs import Dataset
from shared.domain.ports import BlobReference

_CLIENTS = 128  #: of single blobs that are kept
_CONFLICT = 409
_COPY_LINK = 86400.0  #: seconds the storage service has for copying a blob


class BlobVersions:
    def __init__(self, store: BlobStore, container: str) -> None:
        self._store, self._container = store, container
        # To make a client takes as long as to sign a call, and what is found is soon read.
        self.blob = lru_cache(_CLIENTS)(store.client.get_container_client(container).get_blob_client)

    def find(self, path: str) -> Dataset | None:
        with storage_errors(f"looking up {path}"):
            try:
                blob = self.blob(path).get_blob_properties()
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code != _CONFLICT:
                    raise
                # A blob under a key of its writer shows its properties to nobody else; the listing has them.
                return next((each for each in self.listed(path) if each.path == path), None)
        return None if is_folder(blob) else dataset_of(blob)

    def listed(self, prefix: str = "") -> Iterator[Dataset]:
        with storage_errors(f"listing {self._container}/{prefix}"):
            container = self._store.client.get_container_client(self._container)
            blobs = container.list_blobs(
                name_starts_with=prefix or None,
                include=["metadata"],  # it distinguishes a folder from an empty blob
                results_per_page=5000,
            )
            yield from (dataset_of(blob) for blob in blobs if not is_folder(blob))

    def read(self, dataset: Dataset) -> Iterator[bytes]:
        """Every piece is asked for under the same ETag, so that no two versions are mixed."""
        with storage_errors(f"reading {dataset.path}"):
            if dataset.size == 0:
                if self.find(dataset.path) != dataset:
                    raise DataChanged(f"{dataset.path} was overwritten or deleted while it was read")
                return
            try:
                yield from self.blob(dataset.path).download_blob(**_only(dataset), decompress=False).chunks()
            except (ResourceModifiedError, ResourceNotFoundError):
                raise DataChanged(f"{dataset.path} was overwritten or deleted while it was read") from None

    def delete(self, dataset: Dataset) -> None:
        with storage_errors(f"deleting {dataset.path}"):
            try:
                self.blob(dataset.path).delete_blob(**_only(dataset))
            except HttpResponseError:
                if self.find(dataset.path) == dataset:
                    raise  # a lease, a snapshot or a policy holds it

    def link(self, path: str, seconds: float) -> BlobReference:
        return self._store.link(self._container, path, seconds)

    def source(self, path: str) -> str:
        """Return the blob's address with a signature, as the storage service reads it to copy the blob."""
        sas = self.link(path, _COPY_LINK).sas
        return f"{self.blob(path).url}{sas.reveal() if sas else ''}"


def is_folder(blob: BlobProperties) -> bool:
    """Return whether the blob only says that there is a folder, as storage with a hierarchical namespace has it."""
    metadata = {str(name).lower(): str(value).lower() for name, value in (blob.metadata or {}).items()}
    return not blob.size and metadata.get("hdi_isfolder") == "true"


def _only(dataset: Dataset) -> dict[str, Any]:
    """Return the condition that the blob still has this version."""
    return {"etag": f'"{dataset.etag}"', "match_condition": MatchConditions.IfNotModified}


def dataset_of(blob: BlobProperties) -> Dataset:
    return Dataset(path=blob.name, etag=blob.etag.strip('"'), modified=blob.last_modified, size=blob.size)
