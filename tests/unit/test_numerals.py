"""What a cell is, found for a whole text by its bits, is what regular expressions find cell by cell."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.checks.numerals import EMPTY, INTEGER, NUMBER, OTHER, kinds, spelled

INTEGERS = re.compile(r"[+-]?[0-9]+")
NUMBERS = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
AT_MOST = 200  #: bytes


def by_cell(cell: str) -> int:
    if len(cell) > AT_MOST:
        return OTHER
    if INTEGERS.fullmatch(cell):
        return INTEGER
    return NUMBER if NUMBERS.fullmatch(cell) else OTHER if cell else EMPTY


def by_bits(cells: list[str], sign: str = "") -> list[int]:
    text = "".join(f"{sign}{cell}{sign}," for cell in cells).encode()
    ends = np.cumsum([len(f"{sign}{cell}{sign},") for cell in cells]) - 1
    starts = np.append(0, ends[:-1] + 1)
    before = np.isin(np.arange(len(text)), starts + len(sign) - 1)
    lengths = ends - starts - 2 * len(sign)
    found = kinds(spelled(text, before, not sign), ends - len(sign), lengths)
    return [int(each) for each in found]


PARTS = ["", "0", "7", "12", "9" * 63, "0" * 64, "5" * 130, ".", "-", "+", "e", "E", " ", "x", "Z", ":", "/"]
CELLS = st.lists(st.sampled_from(PARTS), max_size=5).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=20), st.sampled_from(["", '"']))
@example(["1e100", "1.5e+7", ".5E-12", "1e+123", "", "5.e5", "1e5.", "e5", "1e"], "")
def test_the_kinds_of_cells_are_those_of_the_regular_expressions(cells: list[str], sign: str) -> None:
    assert by_bits(cells, sign) == [*map(by_cell, cells)]


@pytest.mark.parametrize("cell", ["5" * 64, "5" * 128 + "6", "-" + "1" * 70 + "." + "2" * 70, "3" * 66 + "e-12"])
def test_a_number_is_found_wherever_it_lies_in_the_words_of_64_bytes(cell: str) -> None:
    for place in range(130):
        before = "x" * place
        assert by_bits([before, cell, "1", cell + "x", "."]) == [*map(by_cell, [before, cell, "1", cell + "x", "."])], (
            place
        )
