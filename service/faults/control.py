"""The control of the faults, on a separate loopback port, and only where it was asked for.

GET /faults lists the orders, POST /faults gives one, DELETE /faults lifts all, DELETE /faults/{id} lifts one.
"""

from __future__ import annotations

import threading
from functools import partial

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.faults.orders import Fault, Faults, WrongOrder
from service.guard import BodyTooLarge, read_at_most
from service.listening import address_of, listen

_MOST = 64 << 10  #: bytes of an order


def run_control(faults: Faults) -> str:
    """Run the control in a thread that ends with the program; return its address."""
    listening = listen(0)
    config = uvicorn.Config(build_control(faults), log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    run = partial(uvicorn.Server(config).run, [listening])
    threading.Thread(target=run, name="control", daemon=True).start()
    return address_of(listening, "http")


def build_control(faults: Faults) -> Starlette:
    """Return the control's server."""

    async def listed(_: Request) -> Response:
        return JSONResponse([msgspec.to_builtins(fault) for fault in faults.orders()])

    async def ordered(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            # A page of another site in the same browser could send anything else without being asked first.
            return _refused("RequestBodyInvalid", "Send the fault as application/json.", "Content-Type")
        try:
            fault = msgspec.json.decode(await read_at_most(request, _MOST), type=Fault)
            return JSONResponse(msgspec.to_builtins(faults.order(fault)), 201)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            return _refused("RequestBodyInvalid", f"This is not a fault: {error}")
        except WrongOrder as error:
            return _refused("BadParameterValue", error.message, error.target)
        except BodyTooLarge as error:
            return _refused("RequestBodyTooLarge", str(error), status=413)

    async def lifted(request: Request) -> Response:
        return JSONResponse({"lifted": faults.lift(request.path_params.get("fault"))})

    return Starlette(
        routes=[
            Route("/faults", listed, methods=["GET"]),
            Route("/faults", ordered, methods=["POST"]),
            Route("/faults", lifted, methods=["DELETE"]),
            Route("/faults/{fault}", lifted, methods=["DELETE"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


def _refused(code: str, message: str, target: str | None = None, status: int = 400) -> Response:
    detail = {"code": code, **({"target": target} if target else {}), "message": message}
    return JSONResponse({"error": {"code": "BadArgument", "message": message, "details": [detail]}}, status)
