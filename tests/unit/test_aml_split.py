"""How calls are divided among deployments."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml.serving.split import NOBODY, Split, turns
from local.bench.endpoints import is_as_ordered


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(lambda parts: sum(parts) <= 100))
def test_every_hundred_calls_split_exactly_as_ordered(parts: list[int]) -> None:
    ordered = {f"d{index}": part for index, part in enumerate(parts)}
    split = Split(ordered)
    for _ in range(3):
        counted = Counter(split.next() for _ in range(100))
        assert counted == Counter({**ordered, NOBODY: 100 - sum(parts)})


@pytest.mark.parametrize(
    ("share", "blue", "ordered"), [(90, 1800, True), (90, 1830, True), (90, 1750, False), (0, 0, True), (0, 1, False)]
)
def test_the_benchmark_says_when_2000_calls_do_not_split_as_ordered(share: int, blue: int, ordered: bool) -> None:
    assert is_as_ordered(share, Counter(blue=blue, green=2000 - blue)) is ordered


def test_the_turns_of_a_part_are_far_apart() -> None:
    order = turns({"blue": 90, "green": 10})
    places = [index for index, name in enumerate(order) if name == "green"]
    assert {second - first for first, second in itertools.pairwise(places)} == {10}
