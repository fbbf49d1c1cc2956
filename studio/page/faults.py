"""The page of the faults on order. Orders are given and lifted here only where the server runs with --control.

GET /apihelp/faults                            the orders, and the form of a new one; `endpoint` fills in a name
POST /apihelp/faults                           give an order
POST /apihelp/faults/lift                      lift the order of that `id`, or all
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service.faults.orders import MEMBERS, STATES, WrongOrder, read_order
from service.page.frame import Form
from studio.api.context import Context
from studio.page import views
from studio.page.frame import FRAME

PLACE = f"{views.HELP}/faults"


def routes(context: Context) -> list[BaseRoute]:
    page = _Faults(context)
    return [
        Route(PLACE, FRAME.shown(page.listed), methods=["GET"]),
        Route(PLACE, FRAME.submitted(page.ordered), methods=["POST"]),
        Route(f"{PLACE}/lift", FRAME.submitted(page.lifted), methods=["POST"]),
    ]


class _Faults:
    def __init__(self, context: Context) -> None:
        self._faults, self._control = context.faults, context.control

    def listed(self, request: Request) -> Response:
        return self._page(request.query_params)

    def ordered(self, _: Request, form: Form) -> Response:
        if not self._control:
            return _no_control()
        given = {name: value.strip() for name, value in form if value.strip()}
        try:
            self._faults.order(read_order(given))
        except WrongOrder as error:
            return self._page(given, error)
        return RedirectResponse(PLACE, 303)

    def lifted(self, _: Request, form: Form) -> Response:
        if not self._control:
            return _no_control()
        self._faults.lift(dict(form).get("id"))
        return RedirectResponse(PLACE, 303)

    def _page(self, given: Mapping[str, str], error: WrongOrder | None = None) -> Response:
        choices: dict[str, Any] = {"operation": sorted(self._faults.operations), "state": STATES}
        return FRAME.answer(
            "faults.html",
            400 if error else 200,
            place=PLACE,
            control=self._control,
            orders=[views.view_fault(fault) for fault in self._faults.orders()],
            kinds=self._faults.KINDS,
            members={name: what for name, (_, what) in MEMBERS.items()},
            choices=choices,
            given=given,
            error=error,
        )


def _no_control() -> Response:
    return FRAME.refused("This server takes no orders for faults. Start it with --control, or run.py up --faults.")
