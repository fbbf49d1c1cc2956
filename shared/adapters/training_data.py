"""The dropped data sets: looked up, glanced at, linked to, and copied aside by the storage service itself."""

from __future__ import annotations

from pathlib import PurePosixPath

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContainerClient

from shared.adapters.blob_documents import create_container
from shared.adapters.storage import BlobStore, storage_errors
from shared.errors import ServiceUnavailable
from shared.jobs import Dataset
from shared.ports import BlobReference

_COPY_LINK = 86400.0  #: seconds the storage service has for copying a data set


class BlobTrainingData:
    def __init__(self, store: BlobStore, container: str, quarantine: ContainerClient) -> None:
        self._store, self._container, self._quarantine = store, container, quarantine

    def find(self, path: str) -> Dataset | None:
        with storage_errors(f"looking up {path}"):
            try:
                blob = self._blob(path).get_blob_properties()
            except ResourceNotFoundError:
                return None
        if blob.metadata.get("hdi_isfolder") == "true":
            return None
        return Dataset(path=path, etag=blob.etag.strip('"'), modified=blob.last_modified, size=blob.size)

    def head(self, dataset: Dataset, size: int) -> bytes | None:
        if dataset.size == 0:
            return b"" if self.find(dataset.path) == dataset else None
        with storage_errors(f"reading the head of {dataset.path}"):
            try:
                download = self._blob(dataset.path).download_blob(
                    offset=0,
                    length=min(size, dataset.size),
                    etag=f'"{dataset.etag}"',
                    match_condition=MatchConditions.IfNotModified,
                )
                return download.readall()
            except (ResourceModifiedError, ResourceNotFoundError):
                return None

    def link(self, dataset: Dataset, seconds: float) -> BlobReference:
        return self._store.link(self._container, dataset.path, seconds)

    def set_aside(self, dataset: Dataset, folder: str, reason: bytes) -> str:
        target = self._quarantine.get_blob_client(f"{folder}/{PurePosixPath(dataset.path).name}")
        with storage_errors(f"setting {dataset.path} aside"):
            state = _copied(target)
            if state is None:
                link = self.link(dataset, _COPY_LINK)
                source = f"{link.address}{link.sas.reveal() if link.sas else ''}"
                state = self._copy(target, source, dataset.etag)
            if state == "pending":
                raise ServiceUnavailable(f"{dataset.path} is still being copied into quarantine")
            self._quarantine.upload_blob(f"{folder}/reason.json", reason, overwrite=True)
        return f"{self._quarantine.container_name}/{folder}"

    def _copy(self, target: BlobClient, source: str, etag: str) -> str:
        def start() -> str:
            copy = target.start_copy_from_url(
                source, source_etag=f'"{etag}"', source_match_condition=MatchConditions.IfNotModified
            )
            return str(copy["copy_status"])

        try:
            return start()
        except ResourceNotFoundError:
            create_container(self._quarantine)
            return start()

    def _blob(self, path: str) -> BlobClient:
        return self._store.client.get_blob_client(self._container, path)


def _copied(target: BlobClient) -> str | None:
    """Return the state of a copy that an earlier try began, or None when there is none to build on."""
    try:
        status = target.get_blob_properties().copy.status
    except ResourceNotFoundError:
        return None
    return status if status in ("success", "pending") else None
