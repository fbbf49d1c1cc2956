"""What every call of the resource manager has in common: token, version, scope, and the form of the answer."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from service.keys import new_id
from studio.api.casing import cased
from studio.api.context import Call, Context
from studio.definitions.definition import Member
from studio.errors import StudioError, bad_argument, body_invalid, unauthorized

PROVIDER = "Microsoft.MachineLearning"
SUBSCRIPTION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}"
GROUP = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{PROVIDER}"
_NAME = re.compile(r"[^<>%&\\?/#\x00-\x1f\x7f]{0,259}[^<>%&\\?/#\x00-\x1f\x7f. ]")
# What is read, changed and written of a resource is one step: two at a time would overwrite each other.
_LOCKS = [threading.Lock() for _ in range(64)]

T = TypeVar("T", bound=Member)


def enter(context: Context, call: Call, *versions: str) -> str:
    """Return the api-version of a call that may be made."""
    check_token(context, call)
    version = call.check_version(*versions)
    subscription = call.names.get("subscription", context.studio.identity.subscription)
    if subscription.lower() != context.studio.identity.subscription:
        raise not_found("SubscriptionNotFound", f"No subscription has the id {subscription}.")
    return version


def check_token(context: Context, call: Call) -> None:
    if not hmac.compare_digest(call.key.encode(), context.studio.identity.arm_token.encode()):
        raise unauthorized("ManagementRequestUnauthorized")


def place(call: Call) -> str:
    """Return the id under which the call's resources are: its resource group's, or its subscription's."""
    group = f"/resourceGroups/{call.names['group']}" if "group" in call.names else ""
    return f"/subscriptions/{call.names['subscription']}{group}/providers/{PROVIDER}"


def resource_id(call: Call, kind: str) -> str:
    """Return the id of the resource that the call names, in the case it is named in."""
    return f"{place(call)}/{kind}/{call.names['name']}"


def alone(arm_id: str) -> threading.Lock:
    """Return the lock that a change of the resource holds."""
    return _LOCKS[hash(arm_id.lower()) % len(_LOCKS)]


def check_name(call: Call) -> None:
    """Raise unless a resource may have this name."""
    if not _NAME.fullmatch(call.names["name"]):
        message = f"The name {call.names['name']!r} has characters that no resource's name may have."
        raise bad_argument("BadParameterValue", message, "name")


def read_body(call: Call, kind: type[T]) -> T:
    """Return the body, or raise the error that says which member is wrong."""
    return read_members(call.json(), kind)


def read_changes(call: Call, kind: type[T]) -> T:
    """Return the body of a PATCH, which must name something that can be changed."""
    body = read_body(call, kind)
    if _names_nothing(body):
        names = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise body_invalid(f"It changes nothing. It can name: {names}.")
    return body


def _names_nothing(member: Any) -> bool:
    if not isinstance(member, Member):
        return member is None
    return all(_names_nothing(getattr(member, name)) for name in member.__struct_fields__)


def read_members(given: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(cased(given, kind), kind)
    except msgspec.ValidationError as error:
        wrong = body_invalid()
        raise bad_argument(wrong.detail, f"{wrong.message} {error}.") from None


def not_found(detail: str, message: str) -> StudioError:
    """Return the 404 of recorded traffic."""
    return StudioError("NotFound", detail, message, top="The specified resource was not found.")


def cannot_change(member: str, message: str) -> StudioError:
    """Return the refusal of a member that stays as it was made."""
    return StudioError("BadRequest", f"CannotChange{member}", message, member)


def check_location(kept: str, given: str) -> None:
    """Raise unless both are the same region, which is written in several ways."""
    if region(kept) != region(given):
        raise cannot_change("Location", f"The Location cannot be changed. Currently configured location = '{kept}'.")


def region(location: str) -> str:
    """Return the short name of a region: `South Central US` is `southcentralus`."""
    return "".join(location.split()).lower()


def answer(body: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer with the headers of recorded traffic; `None` is an empty body."""
    content = b"" if body is None else msgspec.json.encode(body)
    common = {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "x-ms-correlation-request-id": new_id(),
    }
    kind = None if body is None else "application/json; charset=utf-8"
    return Response(content, status, {**common, **(headers or {})}, kind)
