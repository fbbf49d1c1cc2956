"""How calls are divided among deployments."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aml.serving.split import NOBODY, Split, turns


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(lambda parts: sum(parts) <= 100))
def test_every_hundred_calls_split_exactly_as_ordered(parts: list[int]) -> None:
    ordered = {f"d{index}": part for index, part in enumerate(parts)}
    split = Split(ordered)
    for _ in range(3):
        counted = Counter(split.next() for _ in range(100))
        assert counted == Counter({**ordered, NOBODY: 100 - sum(parts)})


def test_the_turns_of_a_part_are_far_apart() -> None:
    order = turns({"blue": 90, "green": 10})
    places = [index for index, name in enumerate(order) if name == "green"]
    assert {second - first for first, second in itertools.pairwise(places)} == {10}
