"""Lists of a resource group and of a subscription, page by page."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

from starlette.responses import Response

from service.database import Record
from studio.api.arm import scope
from studio.api.arm.operations import VERSIONS
from studio.api.arm.views import shown
from studio.api.context import Call, Context
from studio.errors import bad_argument
from studio.state.records import WebService

PAGE = 100  #: resources

T = TypeVar("T", bound=Record)


def list_services(context: Context, call: Call) -> Response:
    """Answer the services without their payload."""
    version = scope.enter(context, call, *VERSIONS)
    services, link = page(context, call, WebService, "webServices")
    value = [shown(context, call, version, each.definition, each.endpoint, whole=False) for each in services]
    return scope.answer({"value": value, **link})


def page(context: Context, call: Call, kind: type[T], name: str) -> tuple[list[T], dict[str, Any]]:
    """Return the page that `$skiptoken` asks for, and `nextLink` if there is another."""
    token = call.query.get("$skiptoken") or call.query.get("$skipToken") or "0"
    if not (token.isascii() and token.isdigit() and len(token) < 19):
        raise bad_argument("InvalidQueryParameter", f"$skiptoken {token!r} did not come from a nextLink.", "$skiptoken")
    under = f"{scope.place(call)}/{name}/" if "group" in call.names else ""
    subscription = context.studio.identity.subscription
    found, after = context.studio.records.page(
        kind, subscription, lambda each: each.id.startswith(under.lower()), int(token), PAGE
    )
    if after is None:
        return found, {}
    here = f"{call.base}{quote(scope.place(call))}/{name}"
    return found, {"nextLink": f"{here}?api-version={call.query['api-version']}&$skiptoken={after}"}


ADDRESSES = [
    ("arm.list", "GET", f"{scope.GROUP}/webServices", list_services),
    ("arm.list", "GET", f"{scope.SUBSCRIPTION}/webServices", list_services),
]
