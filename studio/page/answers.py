"""How the page answers: its templates, its headers, and who is answered at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service.guard import is_for_this_machine, is_from_this_page
from studio.entrance import MOST, read_body
from studio.errors import StudioError
from studio.page import trying, views

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

Form = list[tuple[str, str]]  #: names and values, in the order of the form


def shown(handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
    """Return the handler of a page that anyone on this machine may read."""

    async def answered(request: Request) -> Response:
        return _with_headers(_stranger(request) or await _handled(handler, request))

    return answered


def submitted(handler: Callable[[Request, Form], Response]) -> Callable[[Request], Any]:
    """Return the handler of a form, which only this Studio's own page may send."""

    async def answered(request: Request) -> Response:
        return _with_headers(_stranger(request) or _foreign(request) or await _read(handler, request))

    return answered


async def _read(handler: Callable[[Request, Form], Response], request: Request) -> Response:
    try:
        body = await read_body(request, MOST)
    except StudioError as error:
        return failed(error)
    form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return await _handled(handler, request, form)


async def _handled(handler: Callable[..., Response], *given: Any) -> Response:
    try:
        return await run_in_threadpool(handler, *given)
    except StudioError as error:  # a record may go while its page is made
        return failed(error)


def _stranger(request: Request) -> Response | None:
    """Return the refusal of a call by another host's name."""
    if is_for_this_machine(request.headers.get("host", "")):
        return None
    server = request.scope.get("server")
    own = f"http://127.0.0.1:{server[1] if server and server[1] else 80}/"
    return refused(f"The page is only for this machine, by its own address: open {own} instead.")


def _foreign(request: Request) -> Response | None:
    """Return the refusal of a form of another site's page, or of a program."""
    if is_from_this_page(request.headers, base(request)):
        return None
    return refused("Only this Studio's own page may send this form; open the page and send it there.")


def base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _with_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def answer(template: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status)


def nothing(reason: str) -> Response:
    return answer("refused.html", 404, title="Not found", reason=reason)


def refused(reason: str) -> Response:
    return answer("refused.html", 403, title="Refused", reason=reason)


def failed(error: StudioError) -> Response:
    return answer("refused.html", error.status, title=error.code, reason=error.message)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["moment"] = _moment
_TEMPLATES.globals["help"] = views.HELP
_TEMPLATES.globals["field"] = trying.field
