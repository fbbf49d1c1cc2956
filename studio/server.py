"""The addresses of the local Studio, what answers at each, and how a call is answered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.faults.calls import misbehave
from service.faults.orders import Fault
from service.keys import new_id
from studio import page
from studio.api import arm, bes, classic, rrs, workspace
from studio.api.context import Call, Context
from studio.entrance import check_sender, with_body
from studio.errors import StudioError, body_invalid, not_found
from studio.state.records import Endpoint

Handler = Callable[[Context, Call], Response]

_DATA = ("/workspaces/{workspace}/services/{endpoint}", "/subscriptions/{subscription}/services/{endpoint}")

#: operation, method, address, handler
ADDRESSES: list[tuple[str, str, str, Handler]] = [
    *(
        (operation, method, f"{base}{path}", handler)
        for base in _DATA
        for operation, method, path, handler in (*rrs.ADDRESSES, *bes.ADDRESSES)
    ),
    *classic.ADDRESSES,
    *workspace.ADDRESSES,
    *arm.ADDRESSES,
]
#: bytes of a request that is scored at once: to hand a few rows over to another thread takes longer than to score them.
#: The first call waits for the libraries in another thread, so that no other call waits with it.
QUICK = 16 << 10
OPERATIONS = frozenset(operation for operation, *_ in ADDRESSES)


def build(context: Context, names: Collection[str] = ()) -> Starlette:
    """Return the server; its jobs run as long as it does. `names` are hosts by which programs call it too."""

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        context.jobs.start()
        try:
            yield
        finally:
            await run_in_threadpool(context.jobs.stop)

    answering = _Answering(context, frozenset(name.lower() for name in names))
    routes = [_route(path, method, answering.by(operation, handler)) for operation, method, path, handler in ADDRESSES]
    return Starlette(
        routes=[*routes, *page.routes(context)],
        lifespan=running,
        exception_handlers={404: _unknown, 405: _unknown, 500: _broken},
    )


def _route(path: str, method: str, answer: Callable[[Request], object]) -> Route:
    route = Route(path, answer, methods=[method])
    if "/providers/" in path:
        # The resource manager reads its ids in any case.
        route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)
    return route


class _Answering:
    """Answers calls in threads, with the faults on order that strike any call."""

    def __init__(self, context: Context, names: Collection[str]) -> None:
        self._context, self._names = context, names
        self._at_once: Counter[str] = Counter()

    def by(self, operation: str, handler: Handler) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            # Polls of jobs take nothing away from the endpoint's scoring, so each operation is counted apart.
            counted = f"{operation} {request.path_params.get('endpoint', '')}"
            self._at_once[counted] += 1
            answered = partial(self._answer, request, operation, handler, self._at_once[counted])
            try:
                if not self._context.faults.any:
                    return await answered()
                called = self._called(request.path_params), (operation,)
                return await misbehave(request, self._context.faults, called, _refused, answered)
            finally:
                self._at_once[counted] -= 1
                if not self._at_once[counted]:
                    del self._at_once[counted]

        return answer

    async def _answer(self, request: Request, operation: str, handler: Handler, at_once: int) -> Response:
        call = Call(
            base=str(request.base_url).rstrip("/"),
            path=request.url.path,
            names=request.path_params,
            query=request.query_params,
            authorization=_authorization(request),
            body=b"",
            at_once=at_once,
        )
        try:
            check_sender(request, self._names)
            call = await with_body(self._context, request, operation, call)
            if operation == "rrs.execute" and len(call.body) <= QUICK and self._context.studio.models.ready:
                response = handler(self._context, call)
            else:
                response = await run_in_threadpool(handler, self._context, call)
        except StudioError as error:
            response = JSONResponse(error.body, error.status)
        except RecursionError:
            # A body that is just not too deep to be read can be too deep to be kept.
            response = JSONResponse(body_invalid().body, 400)
        response.headers["x-ms-request-id"] = new_id()
        return response

    def _called(self, names: Mapping[str, str]) -> set[str]:
        """Return what the endpoint of an address may be called in an order: its id, its name."""
        found = {names[key] for key in ("endpoint", "name") if key in names}
        if endpoint := self._context.studio.records.find(Endpoint, names.get("endpoint", "")):
            found.add(endpoint.name)
        return found


def _authorization(request: Request) -> str | None:
    """Return the key that the caller carries; clients of the Studio API have a separate header for it."""
    token = request.headers.get("x-ms-metaanalytics-authorizationtoken")
    return request.headers.get("authorization") or (f"Bearer {token}" if token else None)


_REFUSALS = {
    "unavailable": StudioError("ServiceUnavailable", "NoMoreResources", "No resources are available for the request."),
    "throttled": StudioError("TooManyRequests", "RequestThrottled", "The request was throttled; try again later."),
}


def _refused(kind: str, _: Fault) -> Response:
    return JSONResponse(_REFUSALS[kind].body, _REFUSALS[kind].status)


async def _unknown(request: Request, _: Exception) -> Response:
    error = not_found("WebServiceNotFound", f"Nothing answers {request.method} {request.url.path} here.")
    return JSONResponse(error.body, error.status)


async def _broken(_: Request, error: Exception) -> Response:
    body = StudioError("InternalError", type(error).__name__, "An unexpected error; the server's output has it.").body
    return JSONResponse(body, 500)
