"""Blobs that the protocols name: read, written, and linked to. Only this machine and the Studio's own storage."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import (
    BlobClient,
    BlobProperties,
    BlobSasPermissions,
    BlobServiceClient,
    ExponentialRetry,
    generate_blob_sas,
)

from studio.errors import StudioError, bad_argument
from studio.state.records import Reference

#: The window of a result's SAS: 24 h 05 min, from 5 minutes before the job is read.
BEFORE, AFTER = timedelta(minutes=5), timedelta(hours=24)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CONTAINER = re.compile(r"\$root|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_LONGEST = 1024  #: characters of a blob's name


def _quick() -> dict[str, Any]:
    # A client waits for the answer: the storage library would try again for half a minute.
    retries = ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2, random_jitter_range=0)
    return {"retry_policy": retries, "connection_timeout": 5, "read_timeout": 60}


class Blobs:
    """`storage` is the connection string of the workspace's own storage account."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._own = BlobServiceClient.from_connection_string(storage, **_quick())

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

    def listed(self, container: str, prefix: str) -> Iterator[BlobProperties]:
        """Yield the blobs of the own storage by name; raise `ResourceNotFoundError` when the container is not there."""
        yield from self._own.get_container_client(container).list_blobs(name_starts_with=prefix or None)

    def check(self, reference: Reference, target: str) -> None:
        """Raise unless the blob is there and may be read."""
        try:
            if not self._client(reference, target).exists():
                raise _not_there(reference, target)
        except AzureError as error:
            raise _unreadable(error, reference, target) from None

    def check_place(self, reference: Reference, target: str) -> None:
        """Raise unless the reference names a place that this Studio may write to, and may link to afterwards."""
        if not getattr(self._client(reference, target).credential, "account_key", None):
            raise _bad_connection_string("it has no AccountKey", target)

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
        return Reference(
            base_location=f"{client.scheme}://{client.primary_hostname}/",
            relative_location=f"{client.container_name}/{client.blob_name}",
            sas_blob_token=f"?{sas}",
        )

    def _client(self, reference: Reference, target: str | None) -> BlobClient:
        container, name = parts(reference, target)
        try:
            client = self._opened(reference, container, name)
        except ValueError as error:
            if reference.connection_string:
                raise _bad_connection_string(_what(error), target) from None
            message = f"Invalid blob specification: {reference.base_location!r} is no BaseLocation."
            raise bad_argument("InvalidBlob", message, target) from None
        host = urlsplit(client.url).hostname
        if host not in _LOOPBACK and host != urlsplit(self.address).hostname:
            raise bad_argument(
                "InvalidBlob", f"This Studio calls no storage on {host!r}, only on this machine.", target
            )
        return client

    def _opened(self, reference: Reference, container: str, name: str) -> BlobClient:
        if reference.connection_string:
            client = BlobClient.from_connection_string(reference.connection_string, container, name, **_quick())
            base64.b64decode(getattr(client.credential, "account_key", None) or "", validate=True)
            return client
        base = (reference.base_location or "").rstrip("/")
        if reference.sas_blob_token:
            return BlobClient(base, container, name, credential=reference.sas_blob_token.lstrip("?"), **_quick())
        if f"{base}/" == self.address:
            return self._own.get_blob_client(container, name)
        return BlobClient(base, container, name, **_quick())

    def _make_container(self, reference: Reference, container: str) -> None:
        own = reference.connection_string in (None, self._storage)
        given = str(reference.connection_string)
        client = self._own if own else BlobServiceClient.from_connection_string(given, **_quick())
        try:
            client.create_container(container)
        except ResourceExistsError:
            return
        except AzureError as error:
            message = f"Blob container validation failed with this error: {type(error).__name__}."
            raise bad_argument("ContainerValidationFailed", message, container) from None


def parts(reference: Reference, target: str | None) -> tuple[str, str]:
    """Return the container and the blob's name."""
    if not (reference.relative_location and (reference.connection_string or reference.base_location)):
        raise bad_argument(
            "MissingInputBlobInformation",
            "Missing Azure storage blob information: give ConnectionString and RelativeLocation, or BaseLocation, "
            "RelativeLocation and SasBlobToken.",
            target,
        )
    location = reference.relative_location.lstrip("/")
    container, _, name = location.partition("/")
    if "/" not in location:
        message = f"No Azure storage container name was provided: the relative location is {location!r}."
        raise bad_argument("ContainerIsEmpty", message, target)
    if not name:
        message = f"No Azure storage blob name provided: the relative location is {location!r}."
        raise bad_argument("InputBlobRelativeLocationInvalid", message, target)
    if not _CONTAINER.fullmatch(container):
        raise bad_argument("ContainerSegmentInvalid", f"Invalid container name: {container[:80]!r}.", target)
    if len(name) > _LONGEST:
        message = f"The blob's name has {len(name)} characters; it can have {_LONGEST}."
        raise bad_argument("BlobNameTooLong", message, target)
    return container, name


def _what(error: ValueError) -> str:
    # The library's own words may repeat the key.
    return "its AccountKey is not base64" if isinstance(error, binascii.Error) else "it could not be read"


def _bad_connection_string(what: str, target: str | None) -> StudioError:
    message = f"The connection string specified for one of the input/output blobs is invalid: {what}."
    return bad_argument("InvalidBlobConnectionString", message, target)


def _not_there(reference: Reference, target: str | None) -> StudioError:
    return bad_argument(
        "BlobNotFound",
        f"Unable to access the provided Azure blob - {reference.relative_location}. Azure error message: not found.",
        target,
    )


def _unreadable(error: AzureError, reference: Reference, target: str | None) -> StudioError:
    if not isinstance(error, HttpResponseError) or error.status_code not in (401, 403):
        return _broken(error, target)
    until = parse_qs((reference.sas_blob_token or "").lstrip("?")).get("se", [""])[0]
    if _is_past(until):
        message = f"Expiry time provided is in the past: {until}. Read the job again for a new link."
        return bad_argument("ExpiryTimeInThePast", message, target)
    return bad_argument("InvalidBlob", f"The blob {reference.relative_location!r} may not be read.", target)


def _is_past(time: str) -> bool:
    """Return whether a SAS with this expiry time (UTC, with or without a time of day) has expired."""
    try:
        given = datetime.fromisoformat(time)
    except ValueError:
        return False
    return (given if given.tzinfo else given.replace(tzinfo=UTC)) < datetime.now(UTC)


def _broken(error: AzureError, target: str | None) -> StudioError:
    return bad_argument("InvalidBlob", f"The storage could not be used ({type(error).__name__}).", target)
