"""The storage account by its real name: calls of a client's storage library go on to the workspace's own storage.

A caller with a token for storage is let in with the server's own key. A signature in the address (SAS) or a shared key
is the storage's own matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import requests
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from aml.errors import ArmError, unauthorized
from aml.identity import tokens
from aml.state.records import Datastore
from aml.state.workspace import Workspace
from aml.storage.blobs import container_of
from service.keys import carried

STORAGE = frozenset({"https://storage.azure.com"})
_IN_MEMORY = 8 << 20  #: bytes of a body; a longer one waits in a file
_PART = 256 << 10
#: headers that belong to one connection
_OF_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host", "expect", "accept-encoding"}
)


class StoragePlane:
    """The server's application `app`, with the storage account's host before it."""

    def __init__(self, app: ASGIApp, workspace: Workspace) -> None:
        self._app, self._workspace = app, workspace
        account = workspace.account
        self._host = f"{account.name}.blob.{account.suffix}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or Request(scope).headers.get("host", "").partition(":")[0].lower() != self._host:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as body:
            try:
                secret = self._secret(request)
                length = 0
                async for part in request.stream():
                    length += len(part)
                    await run_in_threadpool(body.write, part)
                response = await run_in_threadpool(self._led_on, request, body, length, secret)
            except ArmError as error:
                response = _refused(error.status, error.code)
            except requests.RequestException:
                response = _refused(503, "ServerBusy")
            await response(scope, receive, send)

    def _secret(self, request: Request) -> str:
        """Return what is added to the query for a caller with a token; raise for one with nothing."""
        token = carried(request.headers.get("authorization"))
        if token:
            tokens.check(self._workspace.identity, token, STORAGE)
            return self._account_sas()
        if request.headers.get("authorization") or "sig" in request.query_params:
            return ""
        raise unauthorized("The storage needs a token, a shared key or a signature.")

    def _account_sas(self) -> str:
        account = self._workspace.account
        return generate_account_sas(
            account_name=account.name,
            account_key=account.key,
            resource_types=ResourceTypes(service=True, container=True, object=True),
            permission=AccountSasPermissions(
                read=True,
                write=True,
                delete=True,
                list=True,
                add=True,
                create=True,
                update=True,
                process=True,
                tag=True,
            ),
            expiry=datetime.now(UTC) + timedelta(minutes=10),
        )

    def _led_on(self, request: Request, body: IO[bytes], length: int, secret: str) -> Response:
        """Return the storage's answer. A container of the workspace is made when it is written to and not there."""
        answer = self._asked(request, body, length, secret)
        container = request.url.path.lstrip("/").partition("/")[0]
        if answer.headers.get("x-ms-error-code") == "ContainerNotFound" and container in self._own_containers():
            answer.close()
            container_of(self._workspace.account, container)
            answer = self._asked(request, body, length, secret)
        given = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_CONNECTION}
        return StreamingResponse(_parts(answer), answer.status_code, given)

    def _asked(self, request: Request, body: IO[bytes], length: int, secret: str) -> requests.Response:
        query = "&".join(filter(None, [request.scope["query_string"].decode("latin-1"), secret]))
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        headers = {name: value for name, value in request.headers.items() if name not in _OF_CONNECTION}
        if secret:
            headers.pop("authorization")
        body.seek(0)
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment leads back here
            return session.request(
                request.method,
                f"{self._workspace.account.address}{path}?{query}",
                headers={"Accept-Encoding": "identity", **headers, "Content-Length": str(length)},
                data=body.read() if length < _IN_MEMORY else body,
                stream=True,
                allow_redirects=False,
                timeout=(5, 600),
            )

    def _own_containers(self) -> set[str]:
        stores = self._workspace.records.all(Datastore, "datastores")
        return {str(store.properties["containerName"]) for store in stores}


def _parts(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.raw.stream(_PART, decode_content=False)


def _refused(status: int, code: str) -> Response:
    """Return a refusal in the form of the storage."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    headers: dict[str, Any] = {"x-ms-error-code": code}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body, status, headers, "application/xml")
