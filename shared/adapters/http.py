"""HTTP to services that the configuration names: no other host, no redirects, every failure classified.

An answer has a limit of size, of depth and of time, whatever the service sends.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from shared.base.decoding import from_json
from shared.base.errors import AccessRefused, ServiceRefused, ServiceUnavailable, UnexpectedAnswer
from shared.base.retry import asked_again

T = TypeVar("T")

TIMEOUTS = (5.0, 30.0)  #: seconds to connect, and between two bytes
CHUNK = 1 << 20
LATER = frozenset({408, 425, 429})
_READ_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Limits:
    """What one answer may have: bytes once it is uncompressed, and seconds from the call to its last byte."""

    size: int
    seconds: float


OF_AN_ANSWER = Limits(64 << 20, 120.0)
OF_A_DOWNLOAD = Limits(4 << 30, 300.0)


@dataclass(frozen=True)
class Answer:
    """A 2xx answer. The names in `headers` may be written in any case."""

    asked: str
    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        try:
            return from_json(self.content, object)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer(
                f"{self.asked} answered {self.status} with a body that is not JSON: {error}"
            ) from None

    def read(self, reading: Callable[[Any], T], what: str) -> T:
        """Return what `reading` finds in the JSON; a body of another shape is an unexpected answer."""
        with understood(f"{self.asked} answered no {what}"):
            return reading(self.json())


class Service:
    """One service at one base address. `authorization` gives the header's value, asked for at each call."""

    def __init__(
        self, session: requests.Session, name: str, base: str, authorization: Callable[[], str], **headers: str
    ) -> None:
        self._session, self._name, self._base = session, name, base.rstrip("/")
        self._authorization, self._headers = authorization, headers

    def having(self, **headers: str) -> Service:
        """Return this service, called with these headers too."""
        return Service(self._session, self._name, self._base, self._authorization, **{**self._headers, **headers})

    def call(self, method: str, path: str, *, body: Any = None, **parameters: str) -> Answer:
        """Return the answer, or raise by what to do next: try later, never again, or ask a human.

        A short `Retry-After` is waited for here: every call of these services may be made twice.
        `path` hangs under the base; a whole address is taken only if it is of the same origin as the base.
        """
        return asked_again(lambda: self._call(method, self._url(path), body, parameters))

    def _call(self, method: str, url: str, body: Any, parameters: Mapping[str, str]) -> Answer:
        asked = f"{self._name}: {method} {urlsplit(url).path}"
        headers = {"Authorization": self._authorization(), "Accept": "application/json", **self._headers}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", msgspec.json.encode(body)
        answer, begun = _begun(self._session, asked, method, url, params=parameters, data=data, headers=headers)
        with answer:
            content = b"".join(_content(answer, asked, OF_AN_ANSWER, begun))
        if answer.status_code >= 300:
            raise failure(asked, answer.status_code, answer.headers, content)
        return Answer(asked, answer.status_code, answer.headers, content)

    def _url(self, path: str) -> str:
        if "://" not in path:
            return f"{self._base}/{path.lstrip('/')}" if path else self._base
        try:
            there, parts = origin(path), urlsplit(path)
        except ValueError:
            raise UnexpectedAnswer(f"{self._name} points to {path[:80]!r}, which is not an address") from None
        if there != origin(self._base):
            raise UnexpectedAnswer(f"{self._name} points to {there}, which the configuration does not name")
        # Not every library finds the same host in an odd address, so the host is taken from the configuration.
        return f"{origin(self._base)}/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")


def download(session: requests.Session, url: str, limits: Limits = OF_A_DOWNLOAD) -> Iterator[bytes]:
    """Yield the content at the address, which the caller has checked against the configuration."""
    asked = f"GET {urlsplit(url)._replace(query='').geturl()}"

    def begin() -> tuple[requests.Response, float]:
        answer, begun = _begun(session, asked, "GET", url)
        if answer.status_code == 200:
            return answer, begun
        with answer:
            if answer.status_code == 403:
                # The usual cause is a signature that ran out; the next look gives a fresh one.
                raise ServiceUnavailable(f"{asked} answered 403: its signature may have expired")
            raise failure(asked, answer.status_code, answer.headers, b"")

    answer, begun = asked_again(begin)
    with answer:
        yield from _content(answer, asked, limits, begun)


def _begun(
    session: requests.Session, asked: str, method: str, url: str, **options: Any
) -> tuple[requests.Response, float]:
    """Return an answer whose content is still to come, and when it was asked for."""
    begun = time.monotonic()
    try:
        return session.request(method, url, timeout=TIMEOUTS, allow_redirects=False, stream=True, **options), begun
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # The exception's own text may hold the address with its signature.
        raise ServiceUnavailable(f"{asked} got no answer ({type(error).__name__})") from None


def _content(answer: requests.Response, asked: str, limits: Limits, begun: float) -> Iterator[bytes]:
    """Yield the answer's content, uncompressed, as it comes; it is as long as its Content-Length says."""
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _READ_ENCODINGS:
        raise UnexpectedAnswer(
            f"{asked} answered with the Content-Encoding {encoding[:40]!r}; it can be gzip or deflate"
        )
    got = 0
    try:
        # `read1` gives what has come, so that a service which sends byte after byte is noticed.
        while chunk := answer.raw.read1(CHUNK, decode_content=True):
            got += len(chunk)
            if got > limits.size:
                raise UnexpectedAnswer(f"{asked} answered more than {limits.size} bytes")
            if time.monotonic() - begun > limits.seconds:
                raise ServiceUnavailable(f"{asked} had not answered all after {limits.seconds:.0f} s")
            yield chunk
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ServiceUnavailable(f"{asked} broke off after {got} bytes ({type(error).__name__})") from None


@contextmanager
def understood(message: str) -> Iterator[None]:
    """Make an answer of another shape than what reads it an unexpected answer with this message."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError):
        raise UnexpectedAnswer(message) from None


def origin(address: str) -> str:
    """Return `scheme://host:port` of an address, with the port written out."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}".lower()


def failure(
    asked: str, status: int, headers: Mapping[str, str], content: bytes
) -> AccessRefused | ServiceRefused | ServiceUnavailable | UnexpectedAnswer:
    """Return the exception for an answer that is not a success.

    Error bodies of RRS, BES, Classic management and ARM have one shape:
    `{"error": {"code", "message", "details": [{"code", "message", "target"?}]}}`.
    Those of MLflow are `{"error_code", "message"}`, those of a deployment's container `{"message"}`.
    """
    codes, message = _error_of(content)
    text = f"{asked} answered {status}{message}".rstrip(" .")  # a hint may follow
    if status in LATER or status >= 500:
        return ServiceUnavailable(text, retry_after(headers), status)
    if status in (401, 403):
        hint = "check the key, or the identity's role, that the configuration gives for it"
        return AccessRefused(f"{text}; {hint}", status)
    if status >= 400:
        return ServiceRefused(text, status, codes, headers)
    return UnexpectedAnswer(f"{text}, a redirect, which is not followed")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        # A date in the zone -0000 is read as one without a zone; it is in UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _error_of(content: bytes) -> tuple[list[str], str]:
    try:
        body: Any = from_json(content, object)
        if not {"error", "error_code"} & set(body):
            return [], f": {body['message']}"[:1000]
        error = {**body, "code": body["error_code"]} if "error_code" in body else body["error"]
        details = error.get("details") or []
        codes = [str(error["code"]), *(str(detail["code"]) for detail in details)]
        messages = [str(error["message"]), *(str(detail["message"]) for detail in details)]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return [], ""
    return codes, f" {'/'.join(codes)}: {' '.join(messages)}"[:1000]
