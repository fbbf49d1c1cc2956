"""Where a blob reference leads: to this machine, or to the Studio's own storage. No other address is ever called.

The called address is built from the parts that are checked here: nothing reads the received text a second time, and
could find another host. An account name without an address means this machine only where the setting says so.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from studio.state.records import Reference

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?P<port>:[0-9]{1,5})?(?P<path>(/[a-z0-9][\w.-]*)*)/?",
    re.IGNORECASE | re.ASCII,
)
_HOSTED = re.compile(r"(?P<account>[a-z0-9]{3,24})\.blob\.[a-z0-9.-]+", re.IGNORECASE)
_SAS = re.compile(r"[!-~]*")
_EMULATED = "devstoreaccount1"
_EMULATED_ADDRESS = f"http://127.0.0.1:10000/{_EMULATED}"
#: the key of that account, which every emulator has and the documentation prints
_EMULATED_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Place:
    """A storage account that may be called: its address, without a final slash, and what opens it."""

    address: str
    account: str | None = None
    key: str | None = field(default=None, repr=False)
    sas: str = field(default="", repr=False)


class NoPlace(ValueError):
    """The reference cannot be read; the message has nothing secret."""


class Elsewhere(NoPlace):
    """The reference leads to another machine."""


class Places:
    """`own` is the address of the Studio's own storage and `account` its account.

    `mapped` gives the addresses of other accounts of this machine, by their names.
    """

    def __init__(self, own: str, account: str, mapped: Mapping[str, str]) -> None:
        self.own = own.rstrip("/")
        self._accounts: dict[str, str] = {}
        self._accounts = {**{name: self._checked(address) for name, address in mapped.items()}, account: self.own}

    def of(self, reference: Reference) -> Place:
        """Return the account that the reference names. Raises `NoPlace`."""
        if reference.connection_string:
            return self._of_connection_string(reference.connection_string)
        address = self._checked(reference.base_location or "")
        sas = (reference.sas_blob_token or "").lstrip("?")
        if not _SAS.fullmatch(sas):
            raise NoPlace("its SasBlobToken has a character that no token has")
        return Place(address, sas=sas)

    def relative(self, uri: str) -> str | None:
        """Return the path of a blob's address in the own storage; None for an address elsewhere."""
        parts = urlsplit(uri)
        hosted = _HOSTED.fullmatch(parts.netloc)
        if hosted and self._accounts.get(hosted["account"].lower()) == self.own:
            return parts.path.removeprefix("/")
        return uri.removeprefix(f"{self.own}/") if uri.startswith(f"{self.own}/") else None

    def _of_connection_string(self, given: str) -> Place:
        parts = [part.partition("=") for part in given.split(";") if part.strip()]
        members = {name.strip().lower(): value.strip() for name, _, value in parts}
        account, key = members.get("accountname"), members.get("accountkey")
        if members.get("usedevelopmentstorage", "").lower() == "true":
            return Place(self._accounts.get(_EMULATED, _EMULATED_ADDRESS), _EMULATED, _EMULATED_KEY)
        if endpoint := members.get("blobendpoint"):
            address = self._checked(endpoint)
        elif account:
            address = self._of_account(account)
        else:
            raise NoPlace("it has neither an AccountName nor a BlobEndpoint")
        sas = members.get("sharedaccesssignature", "").lstrip("?")
        if key:
            _check_key(key)
        elif not sas:
            raise NoPlace("it has neither an AccountKey nor a SharedAccessSignature")
        return Place(address, account or address.rpartition("/")[2], key, "" if key else sas)

    def _of_account(self, account: str) -> str:
        address = self._accounts.get(account.lower())
        if address is None:
            raise Elsewhere(
                f"the account {account[:24]!r} is not on this machine: add its BlobEndpoint, or name it in the setting "
                "STUDIO_ACCOUNTS"
            )
        return address

    def _checked(self, given: str) -> str:
        """Return the address that the text means, if it is one of this machine or the own storage."""
        if given.rstrip("/") == self.own:
            return self.own
        found = _ADDRESS.fullmatch(given)
        if not found:
            raise NoPlace("its address is not one of a storage account")
        host = found["host"].lower()
        if hosted := _HOSTED.fullmatch(host):
            return self._of_account(hosted["account"])
        if host not in _LOOPBACK:
            raise Elsewhere(f"this Studio calls no storage on {host!r}, only on this machine")
        return f"{found['scheme'].lower()}://{host}{found['port'] or ''}{found['path']}"


def read_accounts(setting: str) -> dict[str, str]:
    """Return the addresses of the setting STUDIO_ACCOUNTS: `name=address`, with spaces between. Raises `NoPlace`."""
    accounts = {}
    for each in setting.split():
        name, separator, address = each.partition("=")
        if not separator or not re.fullmatch(r"[a-z0-9]{3,24}", name):
            raise NoPlace(f"{each[:60]!r} is not name=address with the name of a storage account")
        accounts[name] = address
    Places("", "", accounts)
    return accounts


def _check_key(key: str) -> None:
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise NoPlace("its AccountKey is not base64") from None
