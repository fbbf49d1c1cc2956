"""The blob service of one connection setting, and its failures classified.

Setting `X` is a connection string, or the identity form that the Functions host reads too: `X__blobServiceUri` (or
`X__accountName`), with `X__credential=managedidentity` and `X__clientId` for a user-assigned identity.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceModifiedError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import HttpRequest, RequestsTransport
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas

from shared.adapters.session import DirectSession
from shared.base.errors import (
    AccessRefused,
    BadConfiguration,
    Busy,
    NotYetReadable,
    RecordChanged,
    RetrainingError,
    ServiceRefused,
    ServiceUnavailable,
)
from shared.base.secret import Secret
from shared.base.settings import Settings
from shared.domain.ports import BlobReference
from shared.domain.values import LOOPBACK

_LINK_STARTS = timedelta(minutes=5)  #: before now, for clocks that differ
_LINK_BY_IDENTITY = timedelta(days=6, hours=23)  #: a user delegation key lives 7 days at most
_KEY_USED = timedelta(hours=1)  #: before another key is asked for: somebody may revoke them
_PIECE = 1 << 20  #: bytes that are in memory at once when a blob is read as a stream
_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 1, "increment_base": 1}
#: what the client gives a transport that it makes itself: seconds, and bytes that are read from a connection at once
_TRANSPORT: dict[str, Any] = {"connection_timeout": 20, "read_timeout": 60, "connection_data_block_size": 256 << 10}
#: neither a proxy nor a .netrc may come between the keys and their service; to look for them takes a fifth of a call
_DIRECT: dict[str, Any] = {"use_env_settings": False, "permit_redirects": False}
_PIECES: dict[str, Any] = {"max_single_get_size": _PIECE, "max_chunk_get_size": _PIECE}
_LEASED = "Lease"  #: how the codes begin which say that another run has the lease, or had it since ours ran out
#: why this one blob cannot be read, whoever asks
_UNREADABLE = {
    "BlobArchived": "it is in the Archive tier; set its tier to Hot or Cool, which takes up to 15 hours",
    "BlobBeingRehydrated": "it is on its way out of the Archive tier, which takes up to 15 hours",
    "BlobUsesCustomerSpecifiedEncryption": "its writer encrypted it with their own key; upload it without one",
}


@dataclass(frozen=True)
class _Delegation:
    key: UserDelegationKey = field(repr=False)
    since: datetime
    until: datetime


class BlobStore:
    """The blob service that a setting names."""

    def __init__(self, client: BlobServiceClient, key: str | None) -> None:
        self.client, self._key = client, key
        self._delegation: _Delegation | None = None
        self._asking = Lock()

    @property
    def address(self) -> str:
        """The service's address, with a final slash."""
        return str(self.client.url).rstrip("/") + "/"

    def link(self, container: str, name: str, seconds: float) -> BlobReference:
        """Return a reference with which this one blob can be read, for that long from when its SAS is read."""
        return BlobReference(self.address, f"{container}/{name}", lambda: self._signed(container, name, seconds))

    def _signed(self, container: str, name: str, seconds: float) -> Secret:
        now = datetime.now(UTC)
        expiry = now + timedelta(seconds=seconds)
        by_identity: dict[str, Any] = {}
        if self._key is None:
            delegation = self._delegated(now)
            expiry = min(expiry, delegation.until)
            by_identity = {"user_delegation_key": delegation.key}
        sas = generate_blob_sas(
            account_name=str(self.client.account_name),
            container_name=container,
            blob_name=name,
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            start=now - _LINK_STARTS,
            expiry=expiry,
            **by_identity,
        )
        return Secret(f"?{sas}")

    def _delegated(self, now: datetime) -> _Delegation:
        """Return a user delegation key that was asked for a short time ago: many links are made with one."""
        with self._asking:
            known = self._delegation
            if known is None or not timedelta() <= now - known.since < _KEY_USED:
                until = now + _LINK_BY_IDENTITY
                with storage_errors("asking for a user delegation key"):
                    key = self.client.get_user_delegation_key(now - _LINK_STARTS, until)
                known = self._delegation = _Delegation(key, now, until)
            return known


def open_store(settings: Settings, name: str) -> BlobStore:
    """Return the store that the setting names; nothing is called yet."""
    client: BlobServiceClient = open_service(BlobServiceClient, settings, name, "blob", **_RETRIES, **_PIECES)
    return BlobStore(client, getattr(client.credential, "account_key", None))


def open_account(address: str, credential: TokenCredential) -> BlobStore:
    """Return the store at an address that `training.results` allows; nothing is called yet."""
    transport = _NamingTransport("training.results")
    client = BlobServiceClient(address, credential, transport=transport, **_DIRECT, **_RETRIES, **_PIECES)
    return BlobStore(client, None)


def open_service(kind: Any, settings: Settings, name: str, service: str, **options: Any) -> Any:
    """Return a client, of this kind, of the setting's `blob` or `queue` service; nothing is called yet."""
    options = {**_DIRECT, "transport": _NamingTransport(name), **options}
    if connection := connection_string(settings, name):
        try:
            return kind.from_connection_string(connection, **options)
        except ValueError:  # its text has the whole string, key and all
            raise BadConfiguration(f"Setting {name} is not a storage connection string") from None
    credential = identity(settings.get(f"{name}__clientId"))
    return kind(service_address(settings, name, service), credential=credential, **options)


def connection_string(settings: Settings, name: str) -> str | None:
    """Return the setting's connection string if it has one; raise `BadConfiguration` unless it has the account's key.

    A signature alone is not enough: it allows no links to single blobs, and the host's blob trigger refuses it.
    """
    connection = settings.get(name)
    if connection is None:
        return None
    parts = (part.partition("=") for part in connection.split(";"))
    members = {key.strip().lower(): value.strip() for key, _, value in parts}
    if "usedevelopmentstorage" in members:
        raise BadConfiguration(
            f"Setting {name} is UseDevelopmentStorage=true, which is not read; write the whole connection string of "
            "Azurite (python3 run.py up writes it to .relearn/local.settings.json)"
        )
    if "sharedaccesssignature" in members:
        raise BadConfiguration(
            f"Setting {name} has a shared access signature, which is not enough for the app and the host's triggers; "
            f"use a connection string with AccountKey, or an identity ({name}__blobServiceUri)"
        )
    try:
        known = base64.b64decode(members.get("accountkey", ""), validate=True)
    except ValueError:
        known = b""
    if not known:
        raise BadConfiguration(
            f"Setting {name} is not a storage connection string: it has no AccountKey, or not the whole key"
        )
    return connection


def service_address(settings: Settings, name: str, service: str) -> str:
    """Return the address of the account's `blob` or `queue` service, for an identity."""
    account = settings.get(f"{name}__accountName")
    address = settings.get(f"{name}__{service}ServiceUri") or settings.get(f"{name}__serviceUri")
    address = address or (f"https://{account}.{service}.core.windows.net" if account else None)
    if address is None:
        raise BadConfiguration(
            f"Missing setting: {name} (a connection string) or {name}__{service}ServiceUri (an identity)"
        )
    if not address.startswith("https://") or "?" in address:
        raise BadConfiguration(f"Setting {name}__{service}ServiceUri must begin with https:// and have no signature")
    return address


def identity(client_id: str | None) -> TokenCredential:
    """Return the app's identity; imported only where one is used."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


class _NamingTransport(RequestsTransport):  # type: ignore[misc]
    """Has a call that gets no answer carry the setting and the address that it was made for."""

    def __init__(self, setting: str) -> None:
        session = DirectSession()
        super().__init__(session=session, **_TRANSPORT)
        self._init_session(session)
        session.keep_connections()  # in place of the adapters that this transport has given it
        self._setting = setting

    def send(self, request: HttpRequest, **options: Any) -> Any:
        try:
            return super().send(request, **options)
        except (ServiceRequestError, ServiceResponseError) as error:
            parts = urlsplit(request.url)
            address = f"{parts.scheme}://{parts.netloc}"
            hint = "is it running?" if parts.hostname in LOOPBACK else "check the address and the network"
            error.whence = f" from {address}, which setting {self._setting} names; {hint}"  # type: ignore[union-attr]
            raise


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the storage client's errors into those that say what to do next."""
    try:
        yield
    except AzureError as error:
        # Its own text may hold an address with a signature, or the request's headers.
        raise _classified(what, error) from None


def _classified(what: str, error: AzureError) -> RetrainingError:
    if isinstance(error, (ServiceRequestError, ServiceResponseError)) or not isinstance(error, HttpResponseError):
        whence = getattr(error, "whence", "")
        return ServiceUnavailable(f"Storage, {what}: no answer ({type(error).__name__}){whence}")
    status, code = error.status_code or 0, _code(error)
    text = f"Storage, {what}: {status} {code}"
    if code in _UNREADABLE:
        text = f"{text}: {_UNREADABLE[code]}"
        return NotYetReadable(text) if code == "BlobBeingRehydrated" else ServiceRefused(text, status, [code])
    if code.startswith(_LEASED):
        return Busy(f"{text}: another run holds the lease")
    if isinstance(error, ResourceModifiedError) or status == 412:
        return RecordChanged(text)
    if status in (401, 403):
        return AccessRefused(f"{text}; check the connection string, or the roles of the app's identity")
    if status in (408, 429) or status >= 500:
        return ServiceUnavailable(text)
    return ServiceRefused(text, status, [code])


def _code(error: HttpResponseError) -> str:
    """Return the service's own code; some calls of its library give a member of an enumeration, others the text."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or type(error).__name__)
