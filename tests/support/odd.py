"""Answers of another shape than the usual one: any part of it replaced by anything."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "http://[", "²", "\ud800", "\0", 10**30, "é" * 300, "a\r\nb: c"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "uri", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the way to each part of the value, itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *way) for key, each in inner for way in places(each))]


def replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    if not place:
        return by
    value = copy.copy(value)
    value[place[0]] = replaced(value[place[0]], place[1:], by)
    return value
