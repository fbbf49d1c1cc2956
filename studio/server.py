"""The addresses of the local Studio, and what answers at each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.api import arm, bes, classic, rrs
from studio.api.context import Call, Context
from studio.errors import StudioError, not_found
from studio.keys import new_id

Handler = Callable[[Context, Call], Response]

_DATA = ("/workspaces/{workspace}/services/{endpoint}", "/subscriptions/{subscription}/services/{endpoint}")
_CLASSIC = "/workspaces/{workspace}/webservices"
_SUBSCRIPTION = "/subscriptions/{subscription}"
_PROVIDER = "/providers/Microsoft.MachineLearning"
_ARM = f"{_SUBSCRIPTION}/resourceGroups/{{group}}{_PROVIDER}/webServices"

ADDRESSES: list[tuple[str, str, Handler]] = [
    *((f"{base}/execute", "POST", rrs.execute) for base in _DATA),
    *((f"{base}/swagger.json", "GET", rrs.swagger) for base in _DATA),
    *((f"{base}/jobs", "POST", bes.create) for base in _DATA),
    *((f"{base}/jobs/{{job}}/start", "POST", bes.start) for base in _DATA),
    *((f"{base}/jobs/{{job}}", "GET", bes.read) for base in _DATA),
    *((f"{base}/jobs/{{job}}", "DELETE", bes.cancel) for base in _DATA),
    (_CLASSIC, "GET", classic.list_services),
    (f"{_CLASSIC}/{{service}}", "GET", classic.read_service),
    (f"{_CLASSIC}/{{service}}/endpoints", "GET", classic.list_endpoints),
    (f"{_CLASSIC}/{{service}}/endpoints/{{name}}", "GET", classic.read),
    (f"{_CLASSIC}/{{service}}/endpoints/{{name}}", "PUT", classic.create),
    (f"{_CLASSIC}/{{service}}/endpoints/{{name}}", "PATCH", classic.update),
    (f"{_CLASSIC}/{{service}}/endpoints/{{name}}", "DELETE", classic.delete),
    (_ARM, "GET", arm.list_all),
    (f"{_SUBSCRIPTION}{_PROVIDER}/webServices", "GET", arm.list_all),
    (f"{_ARM}/{{name}}", "GET", arm.read),
    (f"{_ARM}/{{name}}", "PUT", arm.replace),
    (f"{_ARM}/{{name}}", "PATCH", arm.patch),
    (f"{_ARM}/{{name}}/listKeys", "GET", arm.list_keys),
    (
        f"{_SUBSCRIPTION}{_PROVIDER}/locations/{{location}}/operationsStatus/{{operation}}",
        "GET",
        arm.operation,
    ),
]


def build(context: Context) -> Starlette:
    """Return the server; its jobs run as long as it does."""

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        context.jobs.start()
        try:
            yield
        finally:
            await run_in_threadpool(context.jobs.stop)

    routes = [Route(path, _answering(context, handler), methods=[method]) for path, method, handler in ADDRESSES]
    return Starlette(
        routes=routes,
        lifespan=running,
        exception_handlers={StudioError: _refused, 404: _unknown, 405: _unknown, 500: _broken},
    )


def _answering(context: Context, handler: Handler) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        call = Call(
            base=str(request.base_url).rstrip("/"),
            path=request.url.path,
            names=request.path_params,
            query=request.query_params,
            authorization=request.headers.get("authorization"),
            body=await request.body(),
        )
        response = await run_in_threadpool(handler, context, call)
        response.headers["x-ms-request-id"] = new_id()
        return response

    return answer


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, StudioError)
    return JSONResponse(error.body, error.status, headers={"x-ms-request-id": new_id()})


async def _unknown(request: Request, _: Exception) -> Response:
    error = not_found("WebServiceNotFound", f"Nothing answers {request.method} {request.url.path} here.")
    return JSONResponse(error.body, error.status)


async def _broken(_: Request, error: Exception) -> Response:
    body = StudioError("InternalError", type(error).__name__, "An unexpected error; the server's output has it.").body
    return JSONResponse(body, 500)
