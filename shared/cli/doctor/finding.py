"""A finding of `doctor`: what was checked, its health, and what to do about it."""

from collections.abc import Callable, Iterator
from enum import Enum

import msgspec

from shared.base.errors import AccessRefused, BadConfiguration, RetrainingError, ServiceRefused, TryLater


class Health(Enum):
    OK = "ok"
    WARNING = "warning"  #: it works, or may; look at it
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename={"found": "told"}):
    """`what` names the thing as the configuration does; `remedy` says what to do unless `found` is well."""

    what: str
    health: Health
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Finding:
    return Finding(what=what, health=Health.OK, found=found)


def warning(what: str, found: str, remedy: str) -> Finding:
    return Finding(what=what, health=Health.WARNING, found=found, remedy=remedy)


def wrong(what: str, found: str, remedy: str) -> Finding:
    return Finding(what=what, health=Health.WRONG, found=found, remedy=remedy)


def looked(what: str, look: Callable[[], str | Finding], key: str = "", address: str = "", access: str = "") -> Finding:
    """Return what the look found: a text when all is well. `key` and `address` are where these two are configured.

    `access` says what to do if the access is refused and no key is set.
    """
    try:
        found = look()
    except RetrainingError as error:
        return wrong(what, str(error), remedy(error, key, address, access))
    return ok(what, found) if isinstance(found, str) else found


def guarded(what: str, look: Callable[[], Iterator[Finding]], access: str = "") -> Iterator[Finding]:
    """Yield what the look finds, until an error ends it."""
    try:
        yield from look()
    except RetrainingError as error:
        yield wrong(what, str(error), remedy(error, access=access))


def remedy(error: RetrainingError, key: str = "", address: str = "", access: str = "") -> str:
    """Return what to do about the error; `key`, `address` and `access` are as `looked` has them."""
    match error:
        case AccessRefused() if key:
            return f"copy the key again into the setting that {key} names"
        case AccessRefused():
            return access or "give the identity the roles that README.md lists, or correct the connection string"
        case ServiceRefused(status=404) if address:
            return f"correct {address}: no service has that address"
        case BadConfiguration():
            return "correct what the line names"
        case TryLater() if address:
            return f"check {address}, the network, and whether the service runs; then ask again"
        case TryLater():
            return "check the setting's address, the network, and whether the storage runs; then ask again"
    return "the line has the service's own reason"
