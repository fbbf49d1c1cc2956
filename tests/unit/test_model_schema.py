"""What skops says of a model's objects is looked at once, whatever refers to what."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from studio.learning.schema import check_schema


def leaf(part: object = None) -> dict[str, Any]:
    named = {} if part is None else {"__id__": part}
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": '"a"', **named}


def listed(part: object, *parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "__class__": "list",
        "__module__": "builtins",
        "__loader__": "ListNode",
        "content": list(parts),
        "__id__": part,
    }


def doubling(depth: int, written_last: bool = False) -> dict[str, Any]:
    """Return lists that each hold the one before twice: once as it is, once by its id."""
    part = leaf(0)
    for number in range(1, depth + 1):
        twice = [part, listed(number - 1) if number > 1 else leaf(0)]
        part = listed(number, *(reversed(twice) if written_last else twice))
    return part


def steps(call: Callable[[], object]) -> int:
    """Return how many functions were called."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        call()
    except ValueError:
        pass
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("written_last", [False, True])
def test_parts_that_each_hold_the_one_before_twice_are_refused_at_once(written_last: bool) -> None:
    for depth in (2, 20, 40):
        with pytest.raises(ValueError, match="refer to each other more often than they are written"):
            check_schema(doubling(depth, written_last))


def test_the_steps_grow_as_the_parts_do() -> None:
    def wide(count: int) -> dict[str, Any]:
        return listed(0, *(listed(number, leaf(-number), leaf(-number)) for number in range(1, count)))

    few, many = (steps(lambda count=count: check_schema(wide(count))) for count in (500, 1000))  # type: ignore[misc]
    assert few > 500
    assert many < 2.1 * few
    shallow, deep = (steps(lambda depth=depth: check_schema(doubling(depth))) for depth in (20, 40))  # type: ignore[misc]
    assert deep < 2.1 * shallow


def test_a_part_that_is_in_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="a part is in itself"):
        check_schema(listed(1, listed(2, listed(1))))


def test_parts_too_deep_in_each_other_are_refused() -> None:
    part = leaf()
    for number in range(60):
        part = listed(number, part)
    with pytest.raises(ValueError, match="too deep in each other"):
        check_schema(part)


def test_a_part_that_is_written_wherever_it_is_referred_to_is_taken() -> None:
    shared = listed(1, leaf(2), leaf(2))
    check_schema(listed(3, shared, listed(1, leaf(2), leaf(2)), leaf(), leaf()))


def test_a_part_that_no_model_has_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match=r"it has a os\.system in it"):
        check_schema(listed(1, {**leaf(), "__module__": "os", "__class__": "system"}))
