"""Blobs that the protocols name: read, written, and linked to. `places` says which storage may be called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
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
from studio.state.places import Elsewhere, NoPlace, Place, Places
from studio.state.records import Reference

#: The window of a result's SAS: 24 h 05 min, from 5 minutes before the job is read.
BEFORE, AFTER = timedelta(minutes=5), timedelta(hours=24)
_CONTAINER = re.compile(r"\$root|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 1024  #: characters of a blob's name


def _options() -> dict[str, Any]:
    """Return the options of every storage client: quick, and calling the address that it is given, nothing else."""
    # A client waits for the answer: the storage library would try again for half a minute.
    retries = ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2, random_jitter_range=0)
    quick: dict[str, Any] = {"retry_policy": retries, "connection_timeout": 5, "read_timeout": 60}
    # A redirect and a proxy of the environment would both lead to a machine that nobody named.
    return {**quick, "permit_redirects": False, "use_env_settings": False}


class Blobs:
    """`storage` is the connection string of the workspace's own storage account.

    `accounts` gives the addresses of other accounts of this machine, by their names.
    """

    def __init__(self, storage: str, accounts: Mapping[str, str] | None = None) -> None:
        self._storage = storage
        self._own = BlobServiceClient.from_connection_string(storage, **_options())
        self._places = Places(self.address, self.account, accounts or {})

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

    def resolved(self, reference: Reference, target: str) -> Reference:
        """Return the reference with the address that is meant: it may name an account only."""
        if reference.connection_string == self._storage:
            return reference
        place = self._place(reference, target)
        if not reference.connection_string:
            return msgspec.structs.replace(reference, base_location=place.address)
        opened = f"AccountKey={place.key}" if place.key else f"SharedAccessSignature={place.sas}"
        meant = f"BlobEndpoint={place.address};AccountName={place.account};{opened}"
        return msgspec.structs.replace(reference, connection_string=meant)

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
        relative = self._places.relative(uri)
        if relative is None:
            raise StudioError(
                "BadRequest",
                "InvalidAssetLocation",
                f"The asset's blob {uri!r} is not in the storage {self.account!r}.",
            )
        return self.own(unquote(relative))

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
        place = self._place(reference, target)
        if self._is_own(place):
            return self._own.get_blob_client(container, name)
        return BlobClient(_with_sas(place), container, name, credential=_credential(place), **_options())

    def _place(self, reference: Reference, target: str | None) -> Place:
        if reference.connection_string == self._storage:
            return Place(self._places.own)
        try:
            return self._places.of(reference)
        except NoPlace as error:
            if reference.connection_string and not isinstance(error, Elsewhere):
                raise _bad_connection_string(str(error), target) from None
            raise bad_argument("InvalidBlob", f"Invalid blob specification: {error}.", target) from None

    def _is_own(self, place: Place) -> bool:
        """Return whether the Studio's own key opens the place: nothing else was given for its own storage."""
        return place.address == self._places.own and not (place.key or place.sas)

    def _make_container(self, reference: Reference, container: str) -> None:
        place = self._place(reference, None)
        own = self._is_own(place)
        client = self._own if own else BlobServiceClient(place.address, credential=_credential(place), **_options())
        try:
            client.create_container(container)
        except ResourceExistsError:
            return
        except AzureError as error:
            message = f"Blob container validation failed with this error: {type(error).__name__}."
            raise bad_argument("ContainerValidationFailed", message, container) from None


def _credential(place: Place) -> Any:
    return {"account_name": place.account, "account_key": place.key} if place.key else None


def _with_sas(place: Place) -> str:
    return f"{place.address}?{place.sas}" if place.sas else place.address


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
    if _CONTROL.search(name) or {".", ".."} & set(re.split(r"[/\\]", name)):  # storage takes \ for /
        message = f"The blob's name {name[:80]!r} has a part . or .., or a control character."
        raise bad_argument("InputBlobRelativeLocationInvalid", message, target)
    if len(name) > _LONGEST:
        message = f"The blob's name has {len(name)} characters; it can have {_LONGEST}."
        raise bad_argument("BlobNameTooLong", message, target)
    return container, name


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
