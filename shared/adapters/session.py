"""A session of `requests` that sends a call as it is given: without a proxy, a .netrc, a cookie or a redirect.

None of these may come between a key and its service, and to look for them takes a fifth of the processor time of a
small call. So does what `requests` looks up again at each call: how an address is written, and the connections to its
host. `send` stays the method of `requests`, because OpenTelemetry hooks in there.
"""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CONNECTIONS = 32  #: to one host that are kept: several functions may run at once, each with threads that help it
_HOSTS = 64  #: whose connections are found at once
_BLOCK = 32 << 10  #: bytes of a file that are sent at once, as the storage client has it
_WITH_HEADERS = 64 << 10  #: bytes of a body that go out in one write with the headers
#: an address that stays as it is: no other spelling of its host, its path or its percent signs is the usual one
_USUAL = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?"
    r"(?:(?:/(?!\.)(?:[A-Za-z0-9._~-]|%2F)+)+/?|/)"
    r"(?:\?(?:[A-Za-z0-9._~=&-]|%(?:2[0-9A-CF]|3[A-F]))+)?"
)


class _NoCookies(RequestsCookieJar):
    """Takes no cookie and gives none."""

    def extract_cookies(self, *_: Any) -> None: ...

    def add_cookie_header(self, *_: Any) -> None: ...


class _AsGiven(requests.PreparedRequest):
    """Has no cookies, and no login but the one in its headers."""

    def prepare_url(self, url: Any, params: Any) -> None:  # `params`: texts by name, or none
        """Take an address that is written as usual as it is."""
        whole = f"{url}?{urlencode(params)}" if params else url
        if _USUAL.fullmatch(whole):
            self.url = whole
        else:
            super().prepare_url(url, params)

    def prepare_cookies(self, *_: Any) -> None:
        self._cookies = _NoCookies()  # `send` prepares the call that a redirect asks for, and never makes it

    def prepare_auth(self, *_: Any) -> None: ...


class _InOneWrite(HTTPConnection):
    """Sends a small body together with its headers: one write, and the service wakes up once."""

    _held: bytearray | None = None  #: what is not sent yet of a request that is being written

    def request(self, *arguments: Any, **options: Any) -> None:
        self._held = bytearray()
        try:
            super().request(*arguments, **options)
            self._let_go()
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        if self._held is not None and isinstance(data, bytes) and len(data) <= _WITH_HEADERS:
            self._held += data
            if len(self._held) > _WITH_HEADERS:
                self._let_go()
        else:
            self._let_go()
            super().send(data)

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, bytearray()
            super().send(held)


class _InOneSecureWrite(_InOneWrite, HTTPSConnection): ...


class _Connections(HTTPConnectionPool):
    ConnectionCls = _InOneWrite


class _SecureConnections(HTTPSConnectionPool):
    ConnectionCls = _InOneSecureWrite


class _Adapter(HTTPAdapter):
    """Keeps as many connections as may be in use at once (another is closed with a warning), and finds them quickly."""

    def __init__(self, max_retries: Any = 0) -> None:
        self._found = lru_cache(_HOSTS)(self._looked_up)
        super().__init__(pool_maxsize=_CONNECTIONS, max_retries=max_retries)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, blocksize=_BLOCK)
        self.poolmanager.pool_classes_by_scheme = {"http": _Connections, "https": _SecureConnections}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._found("/".join(str(request.url).split("/", 3)[:3]), verify, cert)

    def _looked_up(self, origin: str, verify: Any, cert: Any) -> Any:
        request = requests.PreparedRequest()
        request.prepare("GET", origin)
        return super().get_connection_with_tls_context(request, verify, None, cert)

    def close(self) -> None:
        self._found.cache_clear()
        super().close()


class DirectSession(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # Threads share the session, and only its cookies are not safe for that.
        self.cookies = _NoCookies()
        self.keep_connections()

    def keep_connections(self) -> None:
        """Put this session's own adapters in the place of those that it has, with the same retries."""
        for prefix, adapter in [*self.adapters.items()]:
            if isinstance(adapter, HTTPAdapter):
                self.mount(prefix, _Adapter(adapter.max_retries))

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: Any = None,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        timeout: Any = None,
        stream: bool = False,
        verify: Any = None,
        cert: Any = None,
        **_nothing: Any,  # `proxies`, `allow_redirects` and `files` as the storage client gives them: nothing, or no
    ) -> requests.Response:
        prepared = _AsGiven()
        given: dict[str, Any] = {**self.headers, **(headers or {})}
        prepared.prepare(method=method, url=url, headers=given, params=params, data=data, json=json)
        prepared.hooks = self.hooks
        return self.send(
            prepared,
            stream=stream,
            timeout=timeout,
            verify=self.verify if verify is None else verify,
            cert=cert,
            proxies={},
            allow_redirects=False,
        )
