"""Members of a body that must be texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aml.errors import bad_request


def text_of(members: Mapping[str, Any], name: str, where: str = "properties", *, required: bool = True) -> str:
    """Return the member; "" where it is missing and need not be there. Raises `ArmError` that names it by its path."""
    value = members.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        raise bad_request(f"The member '{where}.{name}' must be a text.", f"{where}.{name}")
    return value
