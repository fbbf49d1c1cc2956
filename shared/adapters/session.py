"""A session of `requests` that sends a call as it is given: without a proxy, a .netrc, a cookie or a redirect.

None of these may come between a key and its service. What a session of `requests` does about them takes a fifth of the
processor time of a small call, and threads cannot share its cookies.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.hooks import dispatch_hook


class DirectSession(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

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
        prepared = requests.PreparedRequest()
        given: dict[str, Any] = {**self.headers, **(headers or {})}
        prepared.prepare(method=method, url=url, headers=given, params=params, data=data, json=json)
        trusted: Any = self.verify if verify is None else verify
        adapter = self.get_adapter(str(prepared.url))
        answer = adapter.send(prepared, stream=stream, timeout=timeout, verify=trusted, cert=cert)
        observed: requests.Response = dispatch_hook("response", self.hooks, answer)  # type: ignore[no-untyped-call]
        if not stream:
            _ = observed.content  # so that its connection is free
        return observed
