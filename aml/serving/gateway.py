"""The scoring gateway: leads a call to one of an endpoint's deployments, and its answer back.

It stands before everything else of the server, reads no body that it leads on, and asks no record.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aml.context import Context
from aml.errors import ArmError, unauthorized
from aml.identity import tokens
from aml.identity.names import endpoint_of_host
from aml.identity.senders import check_sender
from aml.serving.backend import Broken, Gone, Reply, TimedOut, TooManyPending
from aml.serving.routes import Live, Route
from service.faults.calls import misbehave
from service.faults.orders import Fault
from service.guard import BodyTooLarge, read_at_most
from service.keys import carried, is_one_of, new_id

log = logging.getLogger("aml.serving")

PATH = "/score/"
#: what is called at the host of an endpoint, and where that is at this server's host
_OF_HOSTS = {"/score": PATH + "{}", "/jobs": "/batch/{}/jobs"}
MOST = 16 << 20  #: bytes of a body
DEPLOYMENT = "azureml-model-deployment"
STATUS, REASON = "ms-azureml-model-error-statuscode", "ms-azureml-model-error-reason"

Answer = tuple[int, bytes, dict[str, str]]


class Gateway:
    """The server's application `app`, with the addresses below `/score/` before it."""

    def __init__(self, app: ASGIApp, context: Context, names: Collection[str]) -> None:
        self._app, self._names = app, names
        self._workspace = context.workspace
        self._serving, self._faults, self._identity = context.serving, context.faults, context.workspace.identity
        self._mirrored: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names:
            scope = self._of_host(scope)
        if scope["type"] != "http" or not scope["path"].lower().startswith(PATH):
            await self._app(scope, receive, send)
            return
        if self._faults.any:
            request = Request(scope, receive)
            names = (scope["path"][len(PATH) :], request.headers.get(DEPLOYMENT, ""))
            response = await misbehave(
                request, self._faults, (names, ("score",)), _refused, partial(self._respond, request)
            )
            await response(scope, receive, send)
            return
        # As what `Response` does, in fewer steps: a call takes little more time than its model.
        status, body, headers = await self._safely_answered(Request(scope, receive))
        head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": [*head, *_head(body)]})
        await send({"type": "http.response.body", "body": body})

    def _of_host(self, scope: Scope) -> Scope:
        """Return the call of an endpoint's own host, which has the endpoint alone, as one of this server's host."""
        name = endpoint_of_host(self._workspace, Headers(scope=scope).get("host", ""))
        if not name:
            return scope
        called = scope["path"]
        path = _OF_HOSTS[called].format(name) if called in _OF_HOSTS else f"{PATH}{name}{called}"
        return {**scope, "path": path, "raw_path": path.encode()}

    async def _respond(self, request: Request) -> Response:
        status, body, headers = await self._safely_answered(request)
        return Response(body, status, headers, "application/json")

    async def _safely_answered(self, request: Request) -> Answer:
        try:
            status, body, headers = await self._answer(request)
        except ArmError as error:
            status, body, headers = error.status, json.dumps(error.body).encode(), error.headers
        except Exception as error:  # a fault of this program; the log has the traceback
            log.error("A call of an endpoint failed: %s", type(error).__name__, exc_info=error)
            status, body, headers = 500, _error("InternalServerError", "The server's output has the error."), {}
        return status, body, {"x-request-id": new_id(), **headers}

    async def _answer(self, request: Request) -> Answer:
        scope = request.scope
        check_sender(request, self._names)
        name = scope["path"][len(PATH) :].lower()
        route = self._serving.routes.get(name)
        if route is None:
            raise ArmError(404, "NotFound", f"No endpoint has the address {scope['path'][:120]!r}.")
        self._check(route, carried(request.headers.get("authorization")))
        if scope["method"] != "POST":
            raise ArmError(405, "MethodNotAllowed", "An endpoint is scored by POST.")
        try:
            body = await read_at_most(request, MOST)
        except BodyTooLarge as error:
            raise ArmError(413, "RequestEntityTooLarge", str(error)) from None
        return await self._scored(name, request.headers, body)

    def _check(self, route: Route, given: str) -> None:
        """Raise unless the key or token opens the endpoint."""
        endpoint = route.endpoint
        mode = endpoint.properties["authMode"]
        if mode == "Key":
            if not is_one_of(given, endpoint.primary, endpoint.secondary):
                raise unauthorized("The key is missing or wrong.")
            return
        if mode == "AADToken":
            tokens.check(self._identity, given, tokens.MACHINE_LEARNING)
            return
        known = {audience_of(each.endpoint.id) for each in list(self._serving.routes.values())}
        content = tokens.check(self._identity, given, known)
        if content["aud"] != audience_of(endpoint.id):
            raise ArmError(403, "Forbidden", "The token is for another endpoint.")

    async def _scored(self, name: str, headers: Headers, body: bytes) -> Answer:
        if self._faults.strike("dropped traffic", (name,)):
            await run_in_threadpool(self._serving.overwrite, name, {})
        while True:
            route = self._serving.routes.get(name)  # as it is now: the body may have taken its time
            if route is None:
                raise ArmError(404, "NotFound", "The endpoint was deleted.")
            chosen, live = choose(route, headers.get(DEPLOYMENT))
            if not headers.get(DEPLOYMENT):
                self._mirror(route, body)
            given = {DEPLOYMENT: chosen}
            backend = live.backend if live else None
            if backend is None:
                return failed(given, 503, "model_not_ready", "The container is not ready.")
            if self._faults.strike("model error", (name, chosen)):
                return answered(given, Reply(500, 0.0, _error("ModelError", "The container failed on order.")))
            try:
                return answered(given, await backend.ask(body))
            except Gone:
                continue  # another process has taken over between the choice and the call
            except TooManyPending:
                message = "Too many requests are pending for the deployment; try again later."
                return (429, _error("TooManyRequests", message), {**given, "retry-after": "1"})
            except TimedOut:
                message = f"The deployment took longer than its request timeout of {backend.limits.seconds:g} s."
                return (408, _error("RequestTimeout", message), given)
            except Broken:
                return failed(given, 502, "model_not_ready", "The container ended while it worked on the request.")

    def _mirror(self, route: Route, body: bytes) -> None:
        """Send a copy to the deployment with mirrored traffic, if it is its turn. Nobody waits for its answer."""
        name = route.mirror.next()
        live = route.deployments.get(name.lower(), ("", None))[1] if name else None
        if live and live.backend:
            task = asyncio.get_running_loop().create_task(_copy(live, body))
            self._mirrored.add(task)
            task.add_done_callback(self._mirrored.discard)


async def _copy(live: Live, body: bytes) -> None:
    try:
        if live.backend:
            await live.backend.ask(body)
    except (Gone, TooManyPending, TimedOut, Broken):
        pass  # a copy may be lost


def _head(body: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    return (b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")


def audience_of(endpoint_id: str) -> str:
    """Return for what a token is that opens an endpoint alone."""
    return f"https://{endpoint_id}"


def choose(route: Route, asked: str | None) -> tuple[str, Live | None]:
    """Return the name of the deployment that answers, and what does it."""
    if asked:
        found = route.deployments.get(asked.lower())
        if found is None:
            raise ArmError(404, "NotFound", f"The endpoint has no deployment {asked[:80]!r}.")
        return found
    name = route.traffic.next()
    found = route.deployments.get(name.lower()) if name else None
    if found is None:
        message = "No deployment of the endpoint has positive traffic."
        raise ArmError(404, "NoTraffic", message)
    return found


def answered(given: dict[str, str], reply: Reply) -> Answer:
    """Return the container's answer; 424 where it is not 200."""
    headers = {**given, "ms-azureml-model-time": f"{reply.milliseconds:.3f}"}
    if reply.status == 200:
        return 200, reply.body, headers
    return 424, reply.body, {**headers, STATUS: str(reply.status), REASON: "model_error"}


def failed(given: dict[str, str], status: int, reason: str, message: str) -> Answer:
    """Return 424 for a container that did not answer."""
    return 424, _error("FailedDependency", message), {**given, STATUS: str(status), REASON: reason}


_REFUSALS = {
    "throttled": (429, "TooManyRequests"),
    "unavailable": (503, "ServiceUnavailable"),
    "expired token": (401, "InvalidAuthenticationToken"),
}


def _refused(kind: str, _: Fault) -> Response:
    status, code = _REFUSALS[kind]
    return Response(_error(code, "Refused on order; try again later."), status, media_type="application/json")


def _error(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()
