"""Documents as blobs of one container: conditional by ETag, held by a blob lease."""

import base64
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobProperties, ContainerClient

from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.base.errors import BadConfiguration, RetrainingError
from shared.domain.ports import SHOWN_AT_MOST, Document, Lease

LEASE_SECONDS = 60
AT_MOST = 256 << 20  #: bytes of a record
_CLIENTS = 128  #: of single blobs that are kept
_SHOWN = "relearn_content"  #: the metadata that has a small content too
log = logging.getLogger("relearn.storage")


class BlobDocuments:
    def __init__(self, store: BlobStore, container: str) -> None:
        self._container = store.client.get_container_client(container)
        # To make a client takes as long as to sign a call, and what is written is soon written again.
        self._blob = lru_cache(_CLIENTS)(self._container.get_blob_client)

    def read(self, name: str) -> Document | None:
        with storage_errors(f"reading {name}"), suppress(ResourceNotFoundError):
            download = self._blob(name).download_blob(decompress=False)
            properties = download.properties
            if download.size > AT_MOST:
                raise BadConfiguration(f"The record {name} has {download.size} bytes, and {AT_MOST} at most are read")
            return Document(download.readall(), properties.etag, properties.lease.state != "available")
        return None

    def create(self, name: str, content: bytes, *, shown: bool = False) -> str | None:
        metadata = {_SHOWN: base64.b64encode(content).decode()} if shown and len(content) <= SHOWN_AT_MOST else None
        with storage_errors(f"creating {name}"), suppress(ResourceExistsError):
            return upload(self._container, self._blob(name), content, overwrite=False, metadata=metadata)
        return None

    def replace(self, name: str, content: bytes, etag: str, lease: Lease | None = None) -> str:
        held: Any = {"lease": lease.id} if lease else {}
        with storage_errors(f"writing {name}"):
            written = self._blob(name).upload_blob(content, overwrite=True, **_only(etag), **held)
            return str(written["etag"])

    def delete(self, name: str, etag: str | None = None) -> None:
        with storage_errors(f"deleting {name}"), suppress(ResourceNotFoundError):
            self._blob(name).delete_blob(**_only(etag))

    def names(self, prefix: str) -> Iterator[str]:
        with storage_errors(f"listing {prefix}"), suppress(ResourceNotFoundError):
            yield from self._container.list_blob_names(name_starts_with=prefix)

    def shown(self, prefix: str) -> Iterator[tuple[str, bytes | None]]:
        return ((blob.name, _shown(blob.metadata or {})) for blob in self._listed(prefix, include=["metadata"]))

    def latest(self, prefix: str) -> list[tuple[str, datetime]]:
        found = [(each.name, each.last_modified) for each in self._listed(prefix)]
        return sorted(found, key=lambda each: each[1], reverse=True)

    def _listed(self, prefix: str, **options: Any) -> Iterator[BlobProperties]:
        with storage_errors(f"listing {prefix}"), suppress(ResourceNotFoundError):
            yield from self._container.list_blobs(prefix, **options)

    @contextmanager
    def lease(self, name: str, etag: str | None = None) -> Iterator[Lease]:
        held = _BlobLease(self._blob(name), name)
        held.acquire(etag)
        try:
            yield held
        finally:
            held.release()


class _BlobLease:
    def __init__(self, blob: BlobClient, name: str) -> None:
        self.id = str(uuid4())
        self._name = name
        self._client = BlobLeaseClient(blob, lease_id=self.id)

    def acquire(self, etag: str | None) -> None:
        # With its own id given, an acquisition whose answer was lost can be asked for again.
        with storage_errors(f"leasing {self._name}"):
            self._client.acquire(LEASE_SECONDS, **_only(etag))

    def renew(self) -> None:
        with storage_errors(f"renewing the lease of {self._name}"):
            self._client.renew()

    def release(self) -> None:
        try:
            with storage_errors(f"releasing {self._name}"):
                self._client.release()
        except RetrainingError as error:
            log.warning("%s; it ends by itself within %d s", error, LEASE_SECONDS)


def upload(
    container: ContainerClient,
    blob: BlobClient,
    content: bytes,
    *,
    overwrite: bool,
    metadata: dict[str, str] | None = None,
) -> str:
    """Write the blob, in a container that is made if it is missing; return the new etag."""
    try:
        return str(blob.upload_blob(content, overwrite=overwrite, metadata=metadata)["etag"])
    except ResourceNotFoundError:
        create_container(container)
        return str(blob.upload_blob(content, overwrite=overwrite, metadata=metadata)["etag"])


def _shown(metadata: Mapping[str, str]) -> bytes | None:
    try:
        return base64.b64decode(metadata[_SHOWN], validate=True)
    except (KeyError, ValueError):  # binascii's error is a ValueError
        return None


def _only(etag: str | None) -> dict[str, Any]:
    """Return the condition that the document still has this etag, if one is given."""
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}


def create_container(container: ContainerClient) -> None:
    """Create the container unless it is there."""
    with suppress(ResourceExistsError):
        container.create_container()
