"""Tokens of the app's identity, which keeps each until it expires."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError

from shared.base.errors import AccessRefused, ServiceUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

T = TypeVar("T")

MANAGEMENT = "https://management.azure.com/.default"
MACHINE_LEARNING = "https://ml.azure.com/.default"


class Tokens:
    """`credential` makes the identity. Threads share this."""

    def __init__(self, credential: Callable[[], TokenCredential]) -> None:
        self._make, self._lock = credential, Lock()
        self._credential: TokenCredential | None = None

    def token(self, scope: str) -> str:
        """Return a token for the scope."""
        try:
            return str(self._current().get_token(scope).token)
        except ClientAuthenticationError as error:
            raise AccessRefused(
                f"The app's identity gets no token for {scope}: {error.message}; check that the app has an identity, "
                "and the client id in RETRAINING_STORE__clientId"
            ) from None
        except AzureError as error:
            raise ServiceUnavailable(f"Asking for a token for {scope} failed ({type(error).__name__})") from None

    def renewing(self, call: Callable[[], T]) -> T:
        """Return what the call gives. When its token is refused, make the call once more with a new token."""
        used = self._current()
        try:
            return call()
        except AccessRefused as error:
            if error.status != 401:
                raise
        with self._lock:
            if self._credential is used:  # no other thread has renewed it meanwhile
                self._credential = None
        return call()

    def _current(self) -> TokenCredential:
        with self._lock:
            self._credential = self._credential or self._make()
            return self._credential
