"""The workspace's storage account, given by a connection string. Nothing that a request names leads elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from azure.storage.blob import BlobServiceClient, ExponentialRetry

SUFFIX = "core.windows.net"  #: of the names of storage accounts, as a client sees them


def _options() -> dict[str, Any]:
    retries = ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2, random_jitter_range=0)
    quick: dict[str, Any] = {"retry_policy": retries, "connection_timeout": 5, "read_timeout": 60}
    # A redirect and a proxy of the environment would both lead to a machine that nobody named.
    return {**quick, "permit_redirects": False, "use_env_settings": False}


class Account:
    """Raises `ValueError` for a text that is not a connection string with an account's name."""

    suffix = SUFFIX

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        if not self.client.account_name:
            raise ValueError("the connection string names no account")
        _ = self.key

    @cached_property
    def client(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self._connection_string, **_options())

    @property
    def name(self) -> str:
        return str(self.client.account_name)

    @property
    def key(self) -> str:
        """The account's key, which signs; raises for a connection string without one."""
        key = getattr(self.client.credential, "account_key", None)
        if not key:
            raise ValueError("the connection string has no AccountKey")
        return str(key)

    @property
    def address(self) -> str:
        """The account's address, without a final slash."""
        return str(self.client.url).rstrip("/")
