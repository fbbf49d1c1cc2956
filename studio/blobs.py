"""Blobs that the protocols name: read, written, and linked to. Only this machine and the Studio's own storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobSasPermissions, BlobServiceClient, generate_blob_sas

from studio.errors import StudioError, bad_argument
from studio.records import Reference

#: The window of a result's SAS: 24 h 05 min, from 5 minutes before the job is read.
BEFORE, AFTER = timedelta(minutes=5), timedelta(hours=24)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_QUICK: dict[str, Any] = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 60}


class Blobs:
    """`storage` is the connection string of the workspace's own storage account."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._own = BlobServiceClient.from_connection_string(storage, **_QUICK)

    @property
    def account(self) -> str:
        return str(self._own.account_name)

    @property
    def address(self) -> str:
        """The storage's address, with a final slash."""
        return str(self._own.url).rstrip("/") + "/"

    def read(self, reference: Reference, target: str | None = None) -> bytes:
        """Return the content, or raise the catalogue's error; `target` is the port or resource it is for."""
        try:
            return bytes(self._client(reference, target).download_blob().readall())
        except ResourceNotFoundError:
            raise _not_there(reference, target) from None
        except AzureError as error:
            raise _unreadable(error, reference, target) from None

    def check(self, reference: Reference, target: str) -> None:
        """Raise unless the blob is there and may be read."""
        try:
            if not self._client(reference, target).exists():
                raise _not_there(reference, target)
        except AzureError as error:
            raise _unreadable(error, reference, target) from None

    def check_place(self, reference: Reference, target: str) -> None:
        """Raise unless the reference names a place that this Studio may write to."""
        self._client(reference, target)

    def write(self, reference: Reference, content: bytes, target: str | None = None) -> None:
        """Write the content; the container is made if it is not there."""
        client = self._client(reference, target)
        try:
            try:
                client.upload_blob(content, overwrite=True)
            except ResourceNotFoundError:
                self._make_container(reference, client.container_name)
                client.upload_blob(content, overwrite=True)
        except AzureError as error:
            raise _broken(error, target) from None

    def own(self, relative: str) -> Reference:
        """Return a reference to a blob of the workspace's own storage."""
        return Reference(base_location=self.address, relative_location=relative)

    def named(self, uri: str) -> Reference:
        """Return the reference of an address without a SAS, which only the own storage can give."""
        if not uri.startswith(self.address):
            raise StudioError(
                "BadRequest",
                "InvalidAssetLocation",
                f"The asset's blob {uri!r} is not in the storage {self.account!r}.",
            )
        return self.own(unquote(uri.removeprefix(self.address)))

    def result(self, reference: Reference, expired: bool = False) -> Reference:
        """Return a result as a job's reader gets it: base, relative and a SAS minted now, or long ago."""
        client = self._client(reference, None)
        now = datetime.now(UTC).replace(microsecond=0) - (2 * AFTER if expired else timedelta())
        sas = generate_blob_sas(
            account_name=str(client.account_name),
            container_name=client.container_name,
            blob_name=client.blob_name,
            account_key=getattr(client.credential, "account_key", None),
            permission=BlobSasPermissions(read=True),
            start=now - BEFORE,
            expiry=now + AFTER,
        )
        base = client.url.split(f"/{client.container_name}/")[0] + "/"
        return Reference(
            base_location=base,
            relative_location=f"{client.container_name}/{client.blob_name}",
            sas_blob_token=f"?{sas}",
        )

    def _client(self, reference: Reference, target: str | None) -> BlobClient:
        container, _, name = (reference.relative_location or "").lstrip("/").partition("/")
        if not container or not name:
            raise bad_argument(
                "InputBlobRelativeLocationInvalid",
                f"The relative location {reference.relative_location!r} is invalid.",
                target,
            )
        try:
            client = self._opened(reference, container, name)
        except ValueError:
            raise bad_argument(
                "InvalidBlobConnectionString", "The blob's connection string is invalid.", target
            ) from None
        host = urlsplit(client.url).hostname
        if host not in _LOOPBACK and host != urlsplit(self.address).hostname:
            raise bad_argument(
                "InvalidBlob", f"This Studio calls no storage on {host!r}, only on this machine.", target
            )
        return client

    def _opened(self, reference: Reference, container: str, name: str) -> BlobClient:
        if reference.connection_string:
            return BlobClient.from_connection_string(reference.connection_string, container, name, **_QUICK)
        base = (reference.base_location or "").rstrip("/")
        if reference.sas_blob_token:
            return BlobClient(base, container, name, credential=reference.sas_blob_token.lstrip("?"), **_QUICK)
        if f"{base}/" == self.address:
            return self._own.get_blob_client(container, name)
        return BlobClient(base, container, name, **_QUICK)

    def _make_container(self, reference: Reference, container: str) -> None:
        own = reference.connection_string in (None, self._storage)
        client = self._own if own else BlobServiceClient.from_connection_string(str(reference.connection_string))
        try:
            client.create_container(container)
        except ResourceExistsError:
            return


def _not_there(reference: Reference, target: str | None) -> StudioError:
    return bad_argument(
        "BlobNotFound", f"Unable to retrieve the blob {reference.relative_location!r}: not found.", target
    )


def _unreadable(error: AzureError, reference: Reference, target: str | None) -> StudioError:
    if not isinstance(error, HttpResponseError) or error.status_code not in (401, 403):
        return _broken(error, target)
    until = parse_qs((reference.sas_blob_token or "").lstrip("?")).get("se", [""])[0]
    try:
        expired = datetime.fromisoformat(until) < datetime.now(UTC)
    except (ValueError, TypeError):
        expired = False
    if expired:
        message = f"The shared access signature's expiry time {until} is in the past."
        return bad_argument("ExpiryTimeInThePast", message, target)
    return bad_argument("InvalidBlob", f"The blob {reference.relative_location!r} may not be read.", target)


def _broken(error: AzureError, target: str | None) -> StudioError:
    return bad_argument("InvalidBlob", f"The storage could not be used ({type(error).__name__}).", target)
