"""The addresses of the local workspace, what answers at each, and how a call is answered."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aml import page
from aml.addresses import Address, Handler
from aml.api import (
    assets,
    batch_deployments,
    batch_endpoints,
    batch_jobs,
    doors,
    jobs,
    online_deployments,
    online_endpoints,
    operations,
    quota,
    scope,
    stores,
    uploads,
    workspaces,
)
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError
from aml.identity.senders import check_sender
from aml.runs import (
    artifacts,
    experiments,
    forwarding,
    history,
    links,
    logged_models,
    outputs,
    protocol,
    registry,
    tracking,
    versions,
)
from aml.serving.gateway import Gateway
from aml.storage.plane import StoragePlane
from aml.throttling import LIMITS, kind_of
from service.faults.calls import misbehave
from service.faults.orders import Fault
from service.guard import BodyTooLarge, read_at_most

log = logging.getLogger("aml.server")

MOST = 16 << 20  #: bytes of a body
ARTIFACT = 256 << 20  #: bytes of an artifact
_LARGE = frozenset({"mlflow.artifacts", "mlflow.forward"})
#: how calls are refused on order
ON_ORDER: Mapping[str, ArmError] = {
    "throttled": ArmError(429, "ResourceRequestsThrottled", "The request was throttled on order. Please try later."),
    "unavailable": ArmError(503, "ServiceUnavailable", "The service is unavailable on order. Please try later."),
    "expired token": ArmError(401, "ExpiredAuthenticationToken", "The access token has expired on order."),
}

ADDRESSES: list[Address] = [
    *doors.ADDRESSES,
    *workspaces.ADDRESSES,
    *operations.ADDRESSES,
    *quota.ADDRESSES,
    *assets.ADDRESSES,
    *stores.ADDRESSES,
    *uploads.ADDRESSES,
    *jobs.ADDRESSES,
    *experiments.ADDRESSES,
    *tracking.ADDRESSES,
    *logged_models.ADDRESSES,
    *registry.ADDRESSES,
    *versions.ADDRESSES,
    *artifacts.ADDRESSES,
    *history.ADDRESSES,
    *links.ADDRESSES,
    *outputs.ADDRESSES,
    *protocol.ADDRESSES,  # after all others of MLflow
    *online_endpoints.ADDRESSES,
    *online_deployments.ADDRESSES,
    *batch_endpoints.ADDRESSES,
    *batch_deployments.ADDRESSES,
    *batch_jobs.ADDRESSES,
]
#: what an order for a fault may name: an operation, or all calls of one bucket
OPERATIONS = frozenset(
    [operation for operation, *_ in [*ADDRESSES, *forwarding.ADDRESSES]] + [f"arm.{kind}" for kind in LIMITS]
)
#: by plane: what raises unless the caller may make the call
CHECKS: Mapping[str, Callable[[Context, Call], None]] = {
    "arm": scope.enter,
    "mlflow": scope.enter_data,
    "history": scope.enter_data,
    "batch": batch_jobs.enter,
    "public": lambda *_: None,
}
#: by plane: the form of its errors, where it is not the resource manager's
REFUSALS: Mapping[str, Callable[[ArmError], Response]] = {"mlflow": protocol.refused}


def build(context: Context, names: Collection[str] = ()) -> ASGIApp:
    """Return the server; jobs run and deployments answer as long as it does. `names` are hosts that lead here too."""
    hosts = frozenset(name.lower() for name in names)
    answering = _Answering(context, hosts)
    addresses = [*(forwarding.ADDRESSES if context.mlflow else []), *ADDRESSES]
    routes = [_route(path, method, answering.by(operation, handler)) for operation, method, path, handler in addresses]

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        if context.mlflow:
            context.mlflow.start()
        await run_in_threadpool(context.serving.start)
        context.jobs.start()
        try:
            yield
        finally:
            if context.mlflow:  # a job may wait for it
                await run_in_threadpool(context.mlflow.stop)
            await run_in_threadpool(context.jobs.stop)
            await run_in_threadpool(context.serving.stop)

    handlers = {404: _unknown, 405: _unknown, 500: _broken}
    storage = Middleware(StoragePlane, workspace=context.workspace)
    app = Starlette(
        routes=[*routes, *page.routes(context)],
        middleware=[storage],
        lifespan=running,
        exception_handlers=handlers,
    )
    return Gateway(app, context, hosts)


def _route(path: str, method: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
    route = Route(path, answer, methods=[method])
    route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)  # ids are read in any case
    return route


class _Answering:
    """Answers calls in threads."""

    def __init__(self, context: Context, names: Collection[str]) -> None:
        self._context, self._names = context, names

    def by(self, operation: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        plane = operation.partition(".")[0]
        check, refused = CHECKS[plane], REFUSALS.get(plane, scope.refused)

        def on_order(kind: str, _: Fault) -> Response:
            return scope.numbered(refused(ON_ORDER[kind]))

        async def misbehaving(request: Request) -> Response:
            if not self._context.faults.any:
                return await answer(request)
            bucket = f"{plane}.{kind_of(request.method)}"
            called = list(map(str, request.path_params.values())), (operation, bucket)
            return await misbehave(request, self._context.faults, called, on_order, partial(answer, request))

        async def answer(request: Request) -> Response:
            call = Call(
                base=str(request.base_url).rstrip("/"),
                path=request.url.path,
                names=request.path_params,
                query=request.query_params,
                headers=request.headers,
            )
            left: dict[str, str] = {}
            try:
                check_sender(request, self._names)
                check(self._context, call)
                if operation.startswith("arm."):
                    left = self._context.buckets.take(request.method)
                call = replace(call, body=await read_at_most(request, ARTIFACT if operation in _LARGE else MOST))
                response = await run_in_threadpool(handler, self._context, call)
            except ArmError as error:
                response = refused(error)
            except BodyTooLarge as error:
                response = refused(ArmError(413, "RequestEntityTooLarge", str(error)))
            except RecursionError:
                message = "The request body is too deeply nested."
                response = refused(ArmError(400, "InvalidRequestContent", message))
            response.headers.update(left)
            return scope.numbered(response)

        return misbehaving


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    where = f"{request.method} {request.url.path[:300]}"
    if status == 405:
        refused = ArmError(405, "MethodNotAllowed", f"The method of {where} is not allowed there.")
    else:
        refused = ArmError(404, "InvalidResourceType", f"Nothing answers {where} in this local workspace.")
    return scope.numbered(scope.refused(refused))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("%s %s failed: %s", request.method, request.url.path[:300], type(error).__name__, exc_info=error)
    message = "An unexpected error; the server's output has it."
    return scope.numbered(scope.refused(ArmError(500, "InternalServerError", message)))
