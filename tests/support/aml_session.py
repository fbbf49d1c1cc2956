"""An adapter's session led to a local workspace in this process: its calls are kept, and judged by the types."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from azure.core.credentials import AccessToken
from requests.adapters import BaseAdapter

from aml.identity import tokens
from shared.adapters.azureml.workspace import Workspace
from shared.adapters.identity import Tokens
from shared.app import App
from shared.base.settings import Settings
from tests.support.aml import ADDRESS, PORT, Here
from tests.support.asgi import Answer, ask
from tests.support.fakes import FakeDocuments


@dataclass(frozen=True)
class Sent:
    method: str
    path: str  #: below the workspace, or the whole path of another place
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = None


class Wire(BaseAdapter):
    """Leads calls to the workspace. The answer of the next call that has `lost` in it does not arrive."""

    def __init__(self, here: Here) -> None:
        super().__init__()
        self.here, self.calls, self.lost = here, list[Sent](), ""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        place = f"{parts.path}?{parts.query}" if parts.query else parts.path
        method, given = str(request.method), request.body or b""
        content = given if isinstance(given, bytes) else str(given).encode()
        headers = {name: str(value) for name, value in request.headers.items()}
        below = parts.path.removeprefix(f"{self.here.workspace.id}").removeprefix("/")
        sent = Sent(method, below, parts.query, headers, json.loads(content) if content else None)
        self.calls.append(sent)
        answer = ask(self.here.app, method, place, headers, [content] if content else [], PORT)
        self.here.judge(method, place, answer, sent.body)
        if self.lost and self.lost in f"{method} {below}":
            self.lost = ""
            raise requests.ConnectionError("the answer was lost")
        return _response(request, answer)

    def close(self) -> None:
        pass


class Answering(BaseAdapter):
    """Answers every call with one body."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.body, self.asked = body, list[str]()

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.asked.append(str(request.url))
        response = requests.Response()
        response.status_code = 200
        response.raw = urllib3.HTTPResponse(io.BytesIO(self.body.encode()), preload_content=False)
        return response

    def close(self) -> None:
        pass


class Credential:
    """The identity of the workspace. It keeps a token for ever, as a credential does until the token expires."""

    def __init__(self, here: Here) -> None:
        self._here, self._kept = here, dict[str, AccessToken]()

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        audience = scopes[0].removesuffix("/.default")
        if audience not in self._kept:
            self._kept[audience] = AccessToken(
                tokens.issue(self._here.workspace.identity, audience)[0], int(time.time()) + 3600
            )
        return self._kept[audience]


def workspace_of(here: Here) -> tuple[Workspace, Wire]:
    """Return the adapter's workspace, and the wire between the two."""
    wire, session = Wire(here), requests.Session()
    session.trust_env = False
    session.mount(ADDRESS, wire)
    return Workspace(session, Tokens(lambda: Credential(here)), ADDRESS, here.workspace.id), wire


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = answer.status, request, str(request.url)
    response.headers.update(answer.headers)
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(answer.body), answer.headers, answer.status, preload_content=False, request_method=request.method
    )
    return response


class LedApp(App):
    """The app with its calls of the workspace led to the one here, by an identity of it, and with records in memory."""

    def __init__(self, settings: Settings, here: Here) -> None:
        super().__init__(settings)
        self.here, self.wire = here, Wire(here)

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount(ADDRESS, self.wire)
        return session

    @cached_property
    def documents(self) -> Any:
        return FakeDocuments()

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(lambda: Credential(self.here))
