"""The kinds of value in `pipelines.yaml` beyond text, numbers and lists, and how each is read."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from shared.base.secret import Secret

LONGEST = 365 * 86400.0  #: seconds of the longest time span
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KEY = re.compile(r"[!-~]+")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_WORKSPACE = re.compile(
    r"^/subscriptions/[^/?]+/resourceGroups/[^/?]+/providers/Microsoft\.MachineLearningServices/workspaces/[\w-]+$",
    re.IGNORECASE,
)
_RESOURCE = re.compile(r"^/subscriptions/[^/?]+/resourceGroups/[^/?]+/providers/[^?]+$")


class Duration(float):
    """A time span in seconds, written `30s`, `15m`, `6h` or `1d`."""


def read_duration(text: str) -> Duration:
    """Return the span, or raise ValueError."""
    match = _DURATION.match(text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"{text!r} is not a time span; write 30s, 15m, 6h or 1d, up to 365d")
    return Duration(seconds)


def written(seconds: float) -> str:
    """Return the span as it is written, in the greatest unit that it is a whole number of."""
    whole = round(seconds)
    unit = next(unit for unit, size in sorted(_SECONDS.items(), key=lambda item: -item[1]) if whole % size == 0)
    return f"{whole // _SECONDS[unit]}{unit}"


class Address(str):
    """An address this app may call: https, or http to this machine only; no final slash."""


class ResourceId(str):
    """The id of a resource in the Azure Resource Manager."""


class WorkspaceId(ResourceId):
    """The id of an Azure Machine Learning workspace."""


class Schedule(str):
    """When to retrain whatever arrives: six fields, seconds first, UTC."""


def read_key(value: str) -> Secret:
    """Return the key, or raise ValueError."""
    if not value.strip():
        raise ValueError("is empty; name a setting that holds it: ${NAME}")
    if not _KEY.fullmatch(value.strip()):
        raise ValueError("has a space or a sign that no key has; copy the whole key once more")
    return Secret(value.strip())


def is_schedule(text: str) -> bool:
    """Return whether the text is an NCRONTAB expression of six fields, seconds first."""
    from croniter import croniter

    return len(text.split()) == 6 and bool(croniter.is_valid(text, second_at_beginning=True))


def _schedule(value: str) -> Schedule:
    if not is_schedule(value):
        raise ValueError(
            f"{value!r} is not a schedule; write six fields, seconds first: 0 0 3 * * 1 is Mondays at 3, UTC"
        )
    return Schedule(value)


def read_address(value: str) -> Address:
    """Return the address, or raise ValueError."""
    address = value.strip().rstrip("/.")
    parts = urlsplit(address)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{_shown(value, '://')} is not an address; write https://host/path")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError(f"{value!r} would send keys unencrypted; write https:// (http is for this machine only)")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"an address has no user, '?' or '#'; write {parts.scheme}://{host}{parts.path}")
    return Address(address)


def _resource_id(value: str) -> ResourceId:
    if not _RESOURCE.match(value):
        raise ValueError(
            f"{_shown(value, '/')} is not a resource id; write /subscriptions/{{id}}/resourceGroups/{{group}}/"
            "providers/Microsoft.MachineLearning/webServices/{name}"
        )
    return ResourceId(value)


def _workspace_id(value: str) -> WorkspaceId:
    workspace = value.strip().rstrip("/")
    if not _WORKSPACE.match(workspace):
        raise ValueError(
            f"{_shown(value, '/')} is not the id of a workspace; write /subscriptions/{{id}}/resourceGroups/{{group}}/"
            "providers/Microsoft.MachineLearningServices/workspaces/{name}"
        )
    return WorkspaceId(workspace)


def _shown(value: str, mark: str) -> str:
    """Return what stands there; without the mark of what it should be, it may be a key in the wrong place."""
    return repr(value) if mark in value else "what stands there"


READERS: dict[type, Callable[[str], object]] = {
    Secret: read_key,
    Duration: read_duration,
    Address: read_address,
    Schedule: _schedule,
    ResourceId: _resource_id,
    WorkspaceId: _workspace_id,
}
#: as JSON Schema describes them
SCHEMAS: dict[type, dict[str, Any]] = {
    Secret: {"type": "string", "examples": ["${NAME_OF_A_SETTING}"]},
    Duration: {"type": "string", "pattern": _DURATION.pattern, "examples": ["30s", "15m", "6h", "1d"]},
    Address: {"type": "string", "pattern": "^(https?://|\\$\\{)"},
    Schedule: {"type": "string", "examples": ["0 0 3 * * 1"]},
    ResourceId: {"type": "string", "pattern": "^(/subscriptions/|\\$\\{)"},
    WorkspaceId: {"type": "string", "pattern": "^(/subscriptions/|\\$\\{)"},
}
