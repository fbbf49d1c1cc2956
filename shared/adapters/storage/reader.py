"""Reads the blobs that a service names, and only where the configuration allows it.

Those are the app's own storage, and the addresses in a pipeline's `training.results`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote

import requests
from azure.core.exceptions import ResourceNotFoundError

from shared.adapters.http import download
from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.base.errors import BadConfiguration, ServiceRefused
from shared.domain.ports import BlobReference


class ConfiguredBlobReader:
    def __init__(self, session: requests.Session, own: Sequence[BlobStore], others: Sequence[str]) -> None:
        self._session, self._own = session, own
        self._allowed = [*(store.address for store in own), *(f"{address}/" for address in others)]

    def read(self, reference: BlobReference) -> Iterator[bytes]:
        """Yield the blob's content: by its SAS, or by the app's own right to its own storage."""
        address = reference.address
        # ".." would lead out of an allowed folder after it was compared.
        climbs = ".." in unquote(address).replace("\\", "/").split("/")
        if climbs or not any(address.startswith(allowed) for allowed in self._allowed):
            raise BadConfiguration(
                f"The service names the blob {address}, which is at no address that the configuration allows; if it is "
                "the service's own storage, add the address to training.results"
            )
        if sas := reference.sas:
            return download(self._session, f"{quote(address, safe='/:%')}?{sas.reveal().lstrip('?')}")
        for store in self._own:
            if address.startswith(store.address):
                return self._read_own(store, address)
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
