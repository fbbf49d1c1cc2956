"""The dropped data sets: looked up, read, joined, linked to, and copied aside by the storage service itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties

from shared.adapters.blob_documents import create_container
from shared.adapters.storage import BlobStore, storage_errors
from shared.errors import DataChanged, ServiceUnavailable
from shared.jobs import Dataset
from shared.joining import joined
from shared.ports import BlobReference

_COPY_LINK = 86400.0  #: seconds the storage service has for copying a data set
_PUT_BACK = "relearn_put_back"  #: metadata of what was put back: the digest of the request, so that it is done once


class BlobTrainingData:
    """`store` and `container` have what was dropped; `own` takes the quarantine and the joined batches."""

    def __init__(self, store: BlobStore, container: str, own: BlobStore) -> None:
        self._store, self._container, self._own = store, container, own
        self._quarantine = own.client.get_container_client("quarantine")
        self._batches = own.client.get_container_client("batches")

    def find(self, path: str) -> Dataset | None:
        with storage_errors(f"looking up {path}"):
            try:
                blob = self._blob(path).get_blob_properties()
            except ResourceNotFoundError:
                return None
        if blob.metadata.get("hdi_isfolder") == "true":
            return None
        return _dataset(blob)

    def listed(self, prefix: str = "") -> Iterator[Dataset]:
        with storage_errors(f"listing {self._container}/{prefix}"):
            container = self._store.client.get_container_client(self._container)
            for blob in container.list_blobs(name_starts_with=prefix or None, results_per_page=5000):
                if blob.size or not (blob.metadata or {}).get("hdi_isfolder"):
                    yield _dataset(blob)

    def read(self, dataset: Dataset) -> Iterator[bytes]:
        """Every piece is asked for under the same ETag, so that no two versions are mixed."""
        with storage_errors(f"reading {dataset.path}"):
            if dataset.size == 0:
                if self.find(dataset.path) != dataset:
                    raise DataChanged(f"{dataset.path} was overwritten or deleted while it was read")
                return
            try:
                download = self._blob(dataset.path).download_blob(
                    etag=f'"{dataset.etag}"', match_condition=MatchConditions.IfNotModified
                )
                yield from download.chunks()
            except (ResourceModifiedError, ResourceNotFoundError):
                raise DataChanged(f"{dataset.path} was overwritten or deleted while it was read") from None

    def join(self, name: str, parts: Sequence[Dataset], after: str | None) -> None:
        with storage_errors(f"joining {name}"):
            target = self._batches.get_blob_client(name)
            if target.exists():
                return  # a blob is there only once all of it is
            former = [self._former(after)] if after else []
            content = joined([*former, *((part.path, self.read(part)) for part in parts)])
            try:
                target.upload_blob(content, overwrite=False)
            except ResourceNotFoundError:
                create_container(self._batches)
                self.join(name, parts, after)
            except ResourceExistsError:
                return

    def put(self, name: str, content: bytes) -> None:
        with storage_errors(f"writing {name}"):
            try:
                self._batches.upload_blob(name, content, overwrite=True)
            except ResourceNotFoundError:
                create_container(self._batches)
                self._batches.upload_blob(name, content, overwrite=True)

    def link_joined(self, name: str, seconds: float) -> BlobReference:
        return self._own.link(self._batches.container_name, name, seconds)

    def _former(self, name: str) -> tuple[str, Iterator[bytes]]:
        return name, self._batches.get_blob_client(name).download_blob().chunks()

    def link(self, dataset: Dataset, seconds: float) -> BlobReference:
        return self._store.link(self._container, dataset.path, seconds)

    def set_aside(self, dataset: Dataset, folder: str, report: bytes, reason: bytes) -> str:
        target = self._aside(dataset.path, folder)
        with storage_errors(f"setting {dataset.path} aside"):
            if not self._quarantine.exists():
                create_container(self._quarantine)
            state = _copied(target)
            if state is None:
                try:
                    state = _copy(
                        self.link(dataset, _COPY_LINK),
                        target,
                        source_etag=f'"{dataset.etag}"',
                        source_match_condition=MatchConditions.IfNotModified,
                    )
                except HttpResponseError:
                    # That the source is another now has no error code of its own.
                    if self.find(dataset.path) == dataset:
                        raise
                    raise DataChanged(f"{dataset.path} was overwritten or deleted before it was set aside") from None
            if state != "success":
                raise ServiceUnavailable(f"{dataset.path} is still being copied into quarantine")
            self._quarantine.upload_blob(f"{folder}/reason.json", report, overwrite=True)
            self._quarantine.upload_blob(f"{folder}/reason.txt", reason, overwrite=True)
        return f"{self._quarantine.container_name}/{target.blob_name}"

    def delete(self, dataset: Dataset) -> None:
        with storage_errors(f"deleting {dataset.path}"):
            try:
                self._blob(dataset.path).delete_blob(
                    etag=f'"{dataset.etag}"', match_condition=MatchConditions.IfNotModified
                )
            except HttpResponseError:
                if self.find(dataset.path) == dataset:
                    raise  # a lease, a snapshot or a policy holds it

    def put_back(self, path: str, folder: str, request: str) -> Dataset:
        aside, target = self._aside(path, folder), self._blob(path)
        mark = hashlib.sha256(request.encode()).hexdigest()
        with storage_errors(f"putting {path} back"):
            try:
                metadata = {**aside.get_blob_properties().metadata, _PUT_BACK: mark}
                link = self._own.link(self._quarantine.container_name, aside.blob_name, _COPY_LINK)
                _copy(link, target, metadata=metadata, match_condition=MatchConditions.IfMissing)
            except ResourceNotFoundError:
                raise DataChanged(f"{aside.blob_name}, which was {path}, is not in quarantine any more") from None
            except HttpResponseError as error:
                if error.status_code not in (409, 412):
                    raise
                # Something is there: by an earlier try, or by somebody else.
            there = target.get_blob_properties()
            if there.metadata.get(_PUT_BACK) != mark:
                told = f"{self._quarantine.container_name}/{aside.blob_name}, which was there before"
                raise DataChanged(
                    f"Something newer is at {path}; to have {told}, taken up, upload it under another name"
                )
            if there.copy.status == "pending":
                raise ServiceUnavailable(f"{path} is still being copied back from quarantine")
            if there.copy.status != "success":
                self.delete(_dataset(there))
                raise ServiceUnavailable(f"{path} could not be copied back: {there.copy.status_description}")
        return _dataset(there)

    def _aside(self, path: str, folder: str) -> BlobClient:
        return self._quarantine.get_blob_client(f"{folder}/{PurePosixPath(path).name}")

    def _blob(self, path: str) -> BlobClient:
        return self._store.client.get_blob_client(self._container, path)


def _dataset(blob: BlobProperties) -> Dataset:
    return Dataset(path=blob.name, etag=blob.etag.strip('"'), modified=blob.last_modified, size=blob.size)


def _copy(source: BlobReference, target: BlobClient, **conditions: Any) -> str:
    """Have the storage service begin a copy; return its state."""
    address = f"{source.address}{source.sas.reveal() if source.sas else ''}"
    return str(target.start_copy_from_url(address, **conditions)["copy_status"])


def _copied(target: BlobClient) -> str | None:
    """Return the state of a copy that an earlier try began, or None when there is none to build on."""
    try:
        status = target.get_blob_properties().copy.status
    except ResourceNotFoundError:
        return None
    return status if status in ("success", "pending") else None
