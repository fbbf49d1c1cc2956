"""Reads the blobs that a service names, and only where the configuration allows it.

Those are the app's own storage, and the addresses in a pipeline's `training.results`. What is at one of these and has
no SAS is read by the app's identity, where a pipeline's services are opened by that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

import requests
from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties

from shared.adapters.http import download
from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.adapters.storage.versions import is_folder
from shared.base.errors import BadConfiguration, ServiceRefused
from shared.domain.folders import Files
from shared.domain.ports import BlobReference


class ConfiguredBlobReader:
    def __init__(
        self,
        session: requests.Session,
        own: Sequence[BlobStore],
        others: Sequence[str],
        by_identity: Callable[[str], BlobStore] | None = None,
    ) -> None:
        """`by_identity` opens the storage account at an address."""
        self._session, self._own, self._by_identity = session, own, by_identity
        self._allowed = [*(store.address for store in own), *(f"{address}/" for address in others)]

    def read(self, reference: BlobReference) -> Iterator[bytes]:
        """Yield the blob's content: by its SAS, or by the app's own right to its own storage."""
        address = self._allowed_address(reference)
        if sas := reference.sas:
            return download(self._session, f"{quote(address, safe='/:%')}?{sas.reveal().lstrip('?')}")
        return self._read_own(self._store_of(address), address)

    def files(self, reference: BlobReference) -> Files:
        address = self._allowed_address(reference)
        store = self._store_of(address)
        container, _, name = address.removeprefix(store.address).partition("/")
        blobs: Iterator[BlobProperties] = iter(())
        if reference.is_folder:
            client = store.client.get_container_client(container)
            # The metadata distinguishes a folder from an empty blob.
            blobs = client.list_blobs(name_starts_with=name, include=["metadata"])
        found = False
        with storage_errors(f"listing {container}/{name}"):
            try:
                for blob in blobs:
                    if not is_folder(blob):
                        found = True
                        yield blob.name.removeprefix(name), _read_listed(store, container, blob)
            except ResourceNotFoundError:
                raise ServiceRefused(f"The container {container} of {address} does not exist", 404) from None
            if found:
                return
            # What should be a folder may be one file.
            one = name.rstrip("/")
            try:
                properties = store.client.get_blob_client(container, one).get_blob_properties()
            except ResourceNotFoundError:
                empty = ", or has no file" if reference.is_folder else ""
                raise ServiceRefused(f"{address} does not exist{empty}", 404) from None
            yield one.rpartition("/")[2], _read_listed(store, container, properties)

    def _allowed_address(self, reference: BlobReference) -> str:
        address = reference.address
        # ".." would lead out of an allowed folder after it was compared.
        climbs = ".." in unquote(address).replace("\\", "/").split("/")
        if climbs or not any(address.startswith(allowed) for allowed in self._allowed):
            raise BadConfiguration(
                f"The service names the blob {address}, which is at no address that the configuration allows; if it is "
                "the service's own storage, add the address to training.results"
            )
        return address

    def _store_of(self, address: str) -> BlobStore:
        for store in self._own:
            if address.startswith(store.address):
                return store
        if self._by_identity:
            return self._by_identity("/".join(address.split("/", 3)[:3]))
        raise BadConfiguration(
            f"The service names the blob {address} without a SAS, and it is not in the app's storage"
        )

    @staticmethod
    def _read_own(store: BlobStore, address: str) -> Iterator[bytes]:
        container, _, name = address.removeprefix(store.address).partition("/")
        with storage_errors(f"reading {container}/{name}"):
            try:
                yield from store.client.get_blob_client(container, name).download_blob(decompress=False).chunks()
            except ResourceNotFoundError:
                raise ServiceRefused(f"The blob {address} does not exist", 404) from None


def _read_listed(store: BlobStore, container: str, blob: BlobProperties) -> Iterator[bytes]:
    """Yield the content that the blob had when it was listed; raise `RecordChanged` when it was written again."""
    if blob.size:
        only: Any = {"etag": blob.etag, "match_condition": MatchConditions.IfNotModified}
        with storage_errors(f"reading {container}/{blob.name}"):
            download = store.client.get_blob_client(container, blob.name).download_blob(decompress=False, **only)
            yield from download.chunks()
