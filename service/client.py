"""How a command calls a running service: refusals have the service's own reason, operations are followed to the end."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests

from service.commands import Failed, Stopped

_SECONDS = 120.0  #: that an operation may take, unless the caller says otherwise
_PATIENCE = 8  #: how often a throttled call is repeated
_LONGEST = 30.0  #: seconds that a service may ask a command to wait


class Refused(Failed):
    """The service answered with an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Calls with one token. `verify` is the file of the certificate to trust, or True for those of the system."""

    def __init__(self, token: str, verify: str | bool = True) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy
        self._session.verify = verify
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, url: str, **options: Any) -> requests.Response:
        """Return the answer. Raises `Refused` with the service's reason, `Stopped` where nothing answers."""
        for _ in range(_PATIENCE):
            try:
                answer = self._session.request(method, url, timeout=60, **options)
            except requests.RequestException as error:
                problem = f"got no answer ({type(error).__name__}); is the server running?"
                raise Stopped(f"{method} {url.partition('?')[0]} {problem}") from None
            if answer.status_code != 429:
                break
            time.sleep(_wait_of(answer))  # as the service asks
        if not answer.ok:
            message = f"{method} {_brief(url)} answered {answer.status_code}: {_reason_of(answer)}"
            raise Refused(message, answer.status_code)
        return answer

    def follow(self, begun: requests.Response, seconds: float = _SECONDS) -> None:
        """Return when the operation that the call began succeeded, as acceptance says nothing yet."""
        operation = begun.headers.get("Azure-AsyncOperation")
        deadline = time.monotonic() + seconds
        while operation:
            answer = self.call("GET", operation)
            status = answer.json()
            match status.get("status"):
                case "Succeeded":
                    return
                case "Failed" | "Canceled" as ended:
                    raise Failed(f"the operation was accepted and is {ended}: {_reason(status)}")
            if time.monotonic() > deadline:
                raise Failed(f"the operation is still {status.get('status')} after {seconds:.0f} s: {operation}")
            time.sleep(_wait_of(answer))


def _brief(url: str) -> str:
    """Return the path that is meant, without what is the same for all."""
    path = urlsplit(url).path
    return path.partition("/providers/")[2].partition("/")[2] or path


def _wait_of(answer: requests.Response) -> float:
    """Return the seconds for which the service asks to wait."""
    try:
        return min(float(answer.headers.get("Retry-After", 1)), _LONGEST)
    except ValueError:  # a date, which neither service sends
        return 1.0


def _reason_of(answer: requests.Response) -> str:
    try:
        return _reason(answer.json())
    except ValueError:
        return answer.text[:300]


def _reason(body: Any) -> str:
    """Return what an error says, its details before the sentence that every error of its kind has."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "no reason was given"
    details = [f"{each.get('code')}: {each.get('message')}" for each in error.get("details") or []]
    return "; ".join(details) or f"{error.get('code')}: {error.get('message')}"
