"""A session of `requests` that sends a call as it is given: without a proxy, a .netrc, a cookie or a redirect.

None of these may come between a key and its service, and to look for them takes a fifth of the processor time of a
small call. `send` stays the method of `requests`, because OpenTelemetry hooks in there.
"""

from typing import Any

import requests
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from requests.cookies import RequestsCookieJar

_CONNECTIONS = 32  #: to one host that are kept: several functions may run at once, each with threads that help it


class _NoCookies(RequestsCookieJar):
    """Takes no cookie and gives none."""

    def extract_cookies(self, *_: Any) -> None: ...

    def add_cookie_header(self, *_: Any) -> None: ...


class _AsGiven(requests.PreparedRequest):
    """Has no cookies, and no login but the one in its headers."""

    def prepare_cookies(self, *_: Any) -> None:
        self._cookies = _NoCookies()  # `send` prepares the call that a redirect asks for, and never makes it

    def prepare_auth(self, *_: Any) -> None: ...


class DirectSession(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # Threads share the session, and only its cookies are not safe for that.
        self.cookies = _NoCookies()
        self.keep_connections()

    def keep_connections(self) -> None:
        """Have each adapter keep as many connections as may be in use at once: another is closed with a warning."""
        for adapter in self.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                adapter.init_poolmanager(DEFAULT_POOLSIZE, _CONNECTIONS)

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
