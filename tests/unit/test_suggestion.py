"""What a message says in place of a name that is not known."""

from __future__ import annotations

import pytest

from shared.base.suggestion import case_hint, suggestion


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("output9", ["output1", "output2", "output3"], "there are output1, output2, output3"),
        ("outptu2", ["output1", "output2"], "did you mean 'output2'?"),
        ("Output1", ["output1", "output2"], "'output1' differs in case only"),
        ("rest", ["output1"], "there are output1"),
        ("rest", [], "none exists"),
    ],
)
def test_a_near_name_is_offered_only_where_one_alone_is_near(name: str, known: list[str], said: str) -> None:
    assert suggestion(name, known) == said


def test_a_message_with_the_names_says_first_what_differs_in_case() -> None:
    assert case_hint("INCOME", ["income", "bike"]) == "'income' differs in case only; "
    assert case_hint("incomes", ["income", "bike"]) == ""
