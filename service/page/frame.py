"""How a page of a local service answers: its templates, its headers, and who is answered at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from service.guard import BodyTooLarge, is_for_this_machine, is_from_this_page, read_at_most

#: The page may load its own style sheet, icon and script, and nothing else from anywhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With less of a referrer a browser would hide the origin of a form too.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HERE = Path(__file__).parent
_MOST = 16 << 20  #: bytes of a form

Form = list[tuple[str, str]]  #: names and values, in the order of the form


@dataclass(frozen=True)
class Frame:
    """The frame of one service's pages.

    `folder` has its `templates` and its `static/icon.svg`, which are read below the path `place`. `error` is what its
    handlers raise: it has a `status`, a `code` and a `message`. `values` are for every template.
    """

    product: str
    folder: Path
    place: str
    error: type[Exception]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the files that every page loads."""
        icon = self.folder / "static" / "icon.svg"
        return [
            Route(f"{self.place}/static/icon.svg", lambda _: FileResponse(icon), methods=["GET"]),
            Mount(f"{self.place}/static", StaticFiles(directory=_HERE / "static")),
        ]

    def shown(self, handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
        """Return the handler of a page that anyone on this machine may read."""

        async def answered(request: Request) -> Response:
            return _with_headers(self._stranger(request) or await self._handled(handler, request))

        return answered

    def submitted(self, handler: Callable[[Request, Form], Response]) -> Callable[[Request], Any]:
        """Return the handler of a form, which only the service's own page may send."""

        async def answered(request: Request) -> Response:
            refusal = self._stranger(request) or self._foreign(request)
            return _with_headers(refusal or await self._read(handler, request))

        return answered

    def answer(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def nothing(self, reason: str) -> Response:
        return self._refused(404, "Not found", reason)

    def refused(self, reason: str) -> Response:
        return self._refused(403, "Refused", reason)

    def _refused(self, status: int, title: str, reason: str) -> Response:
        return self.answer("refused.html", status, title=title, reason=reason)

    async def _read(self, handler: Callable[[Request, Form], Response], request: Request) -> Response:
        try:
            body = await read_at_most(request, _MOST)
        except BodyTooLarge as error:
            return self._refused(413, "Too large", str(error))
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return await self._handled(handler, request, form)

    async def _handled(self, handler: Callable[..., Response], *given: Any) -> Response:
        try:
            return await run_in_threadpool(handler, *given)
        except self.error as raised:  # a record may go while its page is made
            error: Any = raised
            return self._refused(error.status, error.code, error.message)

    def _stranger(self, request: Request) -> Response | None:
        """Return the refusal of a call by another host's name."""
        if is_for_this_machine(request.headers.get("host", "")):
            return None
        server = request.scope.get("server")
        own = f"{request.url.scheme}://127.0.0.1:{server[1] if server and server[1] else 80}/"
        return self.refused(f"The page is only for this machine, by its own address: open {own} instead.")

    def _foreign(self, request: Request) -> Response | None:
        """Return the refusal of a form of another site's page, or of a program."""
        if is_from_this_page(request.headers, own_address(request)):
            return None
        reason = f"Only the own page of this {self.product} may send this form; open the page and send it there."
        return self.refused(reason)

    @cached_property
    def _templates(self) -> Environment:
        templates = Environment(
            loader=FileSystemLoader([self.folder / "templates", _HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters["moment"] = _moment
        templates.globals |= {"product": self.product, "static": f"{self.place}/static", **self.values}
        return templates


def own_address(request: Request) -> str:
    """Return the service's address as the browser has it."""
    return str(request.base_url).rstrip("/")


def _with_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
