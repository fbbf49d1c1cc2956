"""Lists, page by page: `nextLink` leads to the next page with a `$skip` that only this server reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.state.records import Resource, tag_mark

PAGE = 100  #: resources of an answer, at most
MOST_TAGS = 50  #: of a list, as a resource has
_VIEWS = {"activeonly": (False,), "archivedonly": (True,), "all": (False, True)}

R = TypeVar("R", bound=Resource)


def listed(
    context: Context,
    call: Call,
    kind: type[R],
    parent: str,
    show: Callable[[R], dict[str, Any]],
    wanted: Callable[[R], bool] = lambda _: True,
    marks: Sequence[str] = (),
) -> Response:
    """Answer a page of the resources in the collection `parent`, the newest first.

    With `marks`, only resources that have each of them are read.
    """
    view = _view(call)
    size = call.number("$top", PAGE) or call.number("count", PAGE) or PAGE
    found, after = context.workspace.records.page(
        kind, parent.lower(), lambda each: view(each) and wanted(each), _position(call), size, True, marks
    )
    body: dict[str, Any] = {"value": [show(each) for each in found]}
    # `$top` is how many are wanted in all, `count` how many on a page.
    if after is not None and "$top" not in call.query:
        query = {**call.query, "$skip": str(after)}
        body["nextLink"] = f"{call.base}{quote(call.path)}?{urlencode(query)}"
    return scope.answer(body)


def has_tags(text: str) -> Callable[[Resource], bool]:
    """Return whether a resource has the tags: `name` or `name=value`, with commas between.

    It is for endpoints: there are few, so each is read.
    """
    asked = [tuple(each.split("=", 1)) for each in _tags(text)]

    def wanted(resource: Resource) -> bool:
        tags = resource.labels
        return all(each[0] in tags and (len(each) == 1 or tags[each[0]] == each[1]) for each in asked)

    return wanted


def marks_of_tags(text: str) -> list[str]:
    """Return the marks of what has the tags."""
    return [tag_mark(each) for each in _tags(text)]


def _tags(text: str) -> list[str]:
    tags = list(dict.fromkeys(each for each in text.split(",") if each))
    if len(tags) > MOST_TAGS:
        raise bad_request(f"The call names {len(tags)} tags; a list takes {MOST_TAGS} at most.", "tags")
    return tags


def _view(call: Call) -> Callable[[Resource], bool]:
    given = call.query.get("listViewType") or "ActiveOnly"
    if given.lower() not in _VIEWS:
        raise bad_request(f"listViewType is {given[:40]!r}; it can be ActiveOnly, ArchivedOnly, All.", "listViewType")
    shown = _VIEWS[given.lower()]
    return lambda resource: bool(resource.properties.get("isArchived")) in shown


def _position(call: Call) -> int:
    given = call.query.get("$skip") or "0"
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise bad_request(f"$skip {given[:40]!r} did not come from a nextLink.", "$skip")
    return int(given)
