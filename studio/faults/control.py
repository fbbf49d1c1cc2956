"""The control of the faults, on a loopback port of its own, and only where it was asked for.

GET /faults lists the orders, POST /faults gives one, DELETE /faults lifts all, DELETE /faults/{id} lifts one.
"""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.guard import BodyTooLarge, read_at_most
from studio.errors import StudioError, bad_argument
from studio.faults.orders import Fault, Faults

_MOST = 64 << 10  #: bytes of an order


def build_control(faults: Faults) -> Starlette:
    """Return the control's server."""

    async def listed(_: Request) -> Response:
        return JSONResponse([msgspec.to_builtins(fault) for fault in faults.orders()])

    async def ordered(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            # A page of another site in the same browser could send anything else without being asked first.
            wrong = bad_argument("RequestBodyInvalid", "Send the fault as application/json.", "Content-Type")
            return JSONResponse(wrong.body, 400)
        try:
            fault = msgspec.json.decode(await read_at_most(request, _MOST), type=Fault)
            return JSONResponse(msgspec.to_builtins(faults.order(fault)), 201)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            wrong = bad_argument("RequestBodyInvalid", f"This is not a fault: {error}")
            return JSONResponse(wrong.body, 400)
        except BodyTooLarge as error:
            wrong = StudioError("MemoryQuotaViolation", "OutOfMemoryLimit", str(error))
            return JSONResponse(wrong.body, wrong.status)
        except StudioError as error:
            return JSONResponse(error.body, error.status)

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
