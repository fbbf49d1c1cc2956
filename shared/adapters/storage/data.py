"""The dropped data sets: looked up, read, linked to, and brought together or copied aside, by the storage itself."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties

from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.adapters.storage.documents import create_container, upload
from shared.adapters.storage.versions import BlobVersions, dataset_of
from shared.base.errors import AskHuman, DataChanged, RecordChanged, ServiceRefused, ServiceUnavailable
from shared.domain.jobs import Dataset
from shared.domain.joining import check_headers, joined, name_in_folder
from shared.domain.ports import BlobReference

_BATCHES = "batches"
_QUARANTINE = "quarantine"
_PUT_BACK = "relearn_put_back"  #: metadata of what was put back: the digest of the request, so that it is done once

Version = tuple[BlobVersions, Dataset]  #: a blob's version, and where it is


class BlobTrainingData(BlobVersions):
    """`store` and `container` have what was dropped; `own` takes the quarantine and the batches."""

    def __init__(self, store: BlobStore, container: str, own: BlobStore) -> None:
        super().__init__(store, container)
        self._kept, self._set_aside = BlobVersions(own, _BATCHES), BlobVersions(own, _QUARANTINE)
        self._quarantine = own.client.get_container_client(_QUARANTINE)
        self._batches = own.client.get_container_client(_BATCHES)

    def join(self, name: str, parts: Sequence[Dataset], after: str | None) -> None:
        if len(parts) == 1 and after is None:
            self._copy_one(name, parts[0])
            return
        with storage_errors(f"joining {name}"):
            target = self._batches.get_blob_client(name)
            if target.exists():
                return  # a blob is there only once all of it is
            versions = self._versions(parts, after)
            try:
                target.upload_blob(joined(_contents(versions)), overwrite=False)
            except ResourceNotFoundError:
                create_container(self._batches)
                self.join(name, parts, after)
            except ResourceExistsError:
                return

    def batched(self, prefix: str) -> Iterator[Dataset]:
        try:
            yield from self._kept.listed(prefix)
        except ServiceRefused as error:
            if error.status != 404:  # the container does not exist yet
                raise

    def delete_batched(self, dataset: Dataset) -> None:
        self._kept.delete(dataset)

    def _copy_one(self, name: str, dataset: Dataset) -> None:
        with storage_errors(f"copying to {_BATCHES}/{name}"):
            before = self._copies(name).get(name)
            if not _is_whole(before, dataset) and not self._bring(name, before, self, dataset):
                raise ServiceUnavailable(f"{dataset.path} is still being copied to {_BATCHES}/{name}")

    def put(self, name: str, content: bytes) -> None:
        with storage_errors(f"writing {name}"):
            upload(self._batches, self._batches.get_blob_client(name), content, overwrite=True)

    def link_joined(self, name: str, seconds: float) -> BlobReference:
        return self._kept.link(name, seconds)

    def gather(self, folder: str, parts: Sequence[Dataset], after: str | None) -> str:
        with storage_errors(f"copying into {_BATCHES}/{folder}"):
            there = self._copies(folder)
            versions = self._versions(parts, after)
            wanted = {
                f"{folder}{name_in_folder(number, dataset.path)}": (place, dataset)
                for number, (place, dataset) in enumerate(versions, 1)
            }
            if strangers := sorted(there.keys() - wanted.keys()):
                raise AskHuman(
                    f"{_BATCHES}/{strangers[0]} is not one of the job's files, and would be trained on; delete it"
                )
            missing = [name for name, (_, dataset) in wanted.items() if not _is_whole(there.get(name), dataset)]
            if missing:
                check_headers(_contents(versions))
            pending = [name for name in missing if not self._bring(name, there.get(name), *wanted[name])]
            if pending:
                raise ServiceUnavailable(f"{len(pending)} of {len(wanted)} files are still being copied")
        return f"{_BATCHES}/{folder}*"

    def _copies(self, folder: str) -> dict[str, BlobProperties]:
        try:
            return {blob.name: blob for blob in self._batches.list_blobs(name_starts_with=folder, include=["copy"])}
        except ResourceNotFoundError:
            create_container(self._batches)
            return {}

    def _versions(self, parts: Sequence[Dataset], after: str | None) -> list[Version]:
        """Return the files of a batch, those of the former one first."""
        former: list[Dataset | None] = []
        if after:
            former = [*self._kept.listed(after)] if after.endswith("/") else [self._kept.find(after)]
        if not all(former) or (after and not former):
            raise DataChanged(f"{_BATCHES}/{after} has the data of the model that is live, and was deleted")
        return [*((self._kept, dataset) for dataset in former if dataset), *((self, dataset) for dataset in parts)]

    def _bring(self, name: str, before: BlobProperties | None, place: BlobVersions, dataset: Dataset) -> bool:
        """Have one version copied; return whether it is there. `before` is what an earlier try left."""
        if before and before.copy.status == "pending":
            return False
        target = self._batches.get_blob_client(name)
        # What another run copies meanwhile is not begun again: a training may already read it.
        unless_copied: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if before:
            unless_copied = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
        try:
            if place.blob(dataset.path).get_blob_properties().blob_type == "BlockBlob":
                return _start_copy(target, place, dataset, **unless_copied) == "success"
            # A copy of an append blob is one, and Import Data reads block blobs only.
            target.upload_blob(place.read(dataset), overwrite=True, **unless_copied)
            return True
        except (ResourceModifiedError, ResourceNotFoundError, ResourceExistsError) as error:
            if place.find(dataset.path) != dataset:
                raise DataChanged(f"{dataset.path} was overwritten or deleted before it was copied") from None
            raise RecordChanged(f"{_BATCHES}/{name} is copied by another run ({type(error).__name__})") from None

    def set_aside(self, dataset: Dataset, folder: str, report: bytes, reason: bytes, *, copy: bool = True) -> str:
        target = self._aside(dataset.path, folder)
        with storage_errors(f"setting {dataset.path} aside"):
            if not self._quarantine.exists():
                create_container(self._quarantine)
            if copy:
                self._copy_aside(dataset, target)
            self._quarantine.upload_blob(f"{folder}/reason.json", report, overwrite=True)
            self._quarantine.upload_blob(f"{folder}/reason.txt", reason, overwrite=True)
        return f"{self._quarantine.container_name}/{target.blob_name}"

    def read_set_aside(self, path: str, folder: str) -> Iterator[bytes]:
        name = str(self._aside(path, folder).blob_name)
        dataset = self._set_aside.find(name)
        if dataset is None:
            raise DataChanged(f"{_QUARANTINE}/{name} was deleted")
        return self._set_aside.read(dataset)

    def _copy_aside(self, dataset: Dataset, target: BlobClient) -> None:
        state = _copied(target)
        if state is None:
            try:
                state = _start_copy(target, self, dataset)
            except HttpResponseError:
                # That the source is another now has no error code of its own.
                if self.find(dataset.path) == dataset:
                    raise
                raise DataChanged(f"{dataset.path} was overwritten or deleted before it was set aside") from None
        if state != "success":
            raise ServiceUnavailable(f"{dataset.path} is still being copied into quarantine")

    def put_back(self, path: str, folder: str, request_id: str) -> Dataset:
        aside, target = self._aside(path, folder), self.blob(path)
        mark = hashlib.sha256(request_id.encode()).hexdigest()
        with storage_errors(f"putting {path} back"):
            try:
                metadata = {**aside.get_blob_properties().metadata, _PUT_BACK: mark}
                source = self._set_aside.source(aside.blob_name)
                target.start_copy_from_url(source, metadata=metadata, match_condition=MatchConditions.IfMissing)
            except ResourceNotFoundError:
                raise DataChanged(f"{aside.blob_name}, which was {path}, is not in quarantine any more") from None
            except HttpResponseError as error:
                if error.status_code not in (409, 412):
                    raise
                # Something is there: by an earlier try, or by somebody else.
            there = target.get_blob_properties()
            if there.metadata.get(_PUT_BACK) != mark:
                aside_at = f"{self._quarantine.container_name}/{aside.blob_name}, which was there before"
                raise DataChanged(
                    f"Something newer is at {path}; to have {aside_at}, taken up, upload it under another name"
                )
            if there.copy.status == "pending":
                raise ServiceUnavailable(f"{path} is still being copied back from quarantine")
            if there.copy.status != "success":
                self.delete(dataset_of(there))
                raise ServiceUnavailable(f"{path} could not be copied back: {there.copy.status_description}")
        return dataset_of(there)

    def _aside(self, path: str, folder: str) -> BlobClient:
        return self._quarantine.get_blob_client(f"{folder}/{PurePosixPath(path).name}")


def _contents(versions: Sequence[Version]) -> list[tuple[str, Iterator[bytes]]]:
    return [(dataset.path, place.read(dataset)) for place, dataset in versions]


def _is_whole(copy: BlobProperties | None, dataset: Dataset) -> bool:
    """Return whether an earlier try has copied it: the folder's files, and so their versions, never change."""
    return copy is not None and copy.copy.status in (None, "success") and copy.size == dataset.size


def _start_copy(target: BlobClient, place: BlobVersions, dataset: Dataset, **condition: Any) -> str:
    copy = target.start_copy_from_url(
        place.source(dataset.path),
        source_etag=f'"{dataset.etag}"',
        source_match_condition=MatchConditions.IfNotModified,
        **condition,
    )
    return str(copy["copy_status"])


def _copied(target: BlobClient) -> str | None:
    """Return the state of a copy that an earlier try began, or None if none can be continued."""
    with suppress(ResourceNotFoundError):
        status = target.get_blob_properties().copy.status
        return status if status in ("success", "pending") else None
    return None
