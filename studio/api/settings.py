"""What a client may set on an endpoint of a Classic web service."""

from __future__ import annotations

from typing import Any

import msgspec

from studio.errors import bad_argument
from studio.state.records import Endpoint

_CHOICES = {"throttle_level": ("Low", "High"), "diagnostics": ("None", "Error", "All")}
_LOW = 4  #: concurrent calls of an endpoint whose throttle level is Low
_HIGH = 20  #: and of one whose level is High, unless it says otherwise
_MOST = 200


class Settings(msgspec.Struct, rename="pascal"):
    """The members of a body that are settings; they may be named in any case."""

    description: Any = None
    throttle_level: Any = None
    max_concurrent_calls: Any = None
    diagnostics: Any = msgspec.field(default=None, name="DiagnosticsTraceLevel")
    prevent_update: Any = None


def read_settings(given: dict[str, Any], endpoint: Endpoint | None = None) -> dict[str, Any]:
    """Return the settings among the members. Clients send numbers and booleans as strings too, and null for none."""
    settings: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        key, value = field.encode_name, given.get(field.encode_name)
        if value is None:
            continue
        try:
            settings[field.name] = _setting(field.name, value)
        except (ValueError, TypeError):
            raise bad_argument("BadParameterValue", f"{key} cannot be {value!r}.", key) from None
    level = settings.get("throttle_level", endpoint.throttle_level if endpoint else "Low")
    calls = settings.get("max_concurrent_calls")
    if level == "Low" and calls is not None and calls > _LOW:
        if "throttle_level" in settings or endpoint is None:
            raise bad_argument(
                "WebServiceConcurrentRequestRequirementInvalid",
                f"An endpoint of ThrottleLevel Low takes {_LOW} concurrent calls at most, not {calls}; give it High.",
                "MaxConcurrentCalls",
            )
        settings["throttle_level"] = "High"
    if "throttle_level" in settings and calls is None:
        settings["max_concurrent_calls"] = _LOW if level == "Low" else _HIGH
    return settings


def _setting(name: str, value: Any) -> Any:
    if name == "max_concurrent_calls":
        return _calls(value)
    if name == "prevent_update":
        return flag("PreventUpdate", value)
    if not isinstance(value, str):
        raise ValueError
    if allowed := _CHOICES.get(name):
        [value] = [each for each in allowed if each.lower() == value.lower()]
    return value


def _calls(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise ValueError
    number = int(value)
    if number > _MOST:
        raise bad_argument(
            "WebServiceTooManyConcurrentRequestRequirement",
            f"Cannot set concurrent request requirement to more than {_MOST}; it is {number}.",
            "MaxConcurrentCalls",
        )
    if number < 1:
        raise ValueError
    return number


def flag(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise bad_argument("BadParameterValue", f"{name} must be True or False, not {value!r}.", name)
    return str(value).lower() == "true"
