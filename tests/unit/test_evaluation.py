"""The evaluation table of the training service, read by its header."""

from __future__ import annotations

import pytest

from shared.base.errors import BadEvaluation
from shared.domain.evaluation import METRICS, Kind, read_evaluation, shown


def test_the_evaluation_is_read_by_its_header_in_any_order_and_spelling() -> None:
    read = read_evaluation(b"\xef\xbb\xbfF1 Score,auc\n0.5,0.91263451922933267\n")
    assert read.metrics == {"F-Score": "0.5", "AUC": "0.91263451922933267"}
    assert read.kind is Kind.TWO_CLASS


def test_of_two_compared_models_the_last_row_is_the_newest() -> None:
    assert read_evaluation(b"AUC,Recall\n0.1,0.2\n0.3,0.4\n").metrics["AUC"] == "0.3"


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_of_learner_is_known_by_its_columns(kind: Kind) -> None:
    header = ",".join(METRICS[kind])
    assert read_evaluation(f"{header}\n{','.join('1' for _ in METRICS[kind])}\n".encode()).kind is kind


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"AUC\n", "a header alone"),
        (b"a,b\n1,2\n", "no column this app knows"),
        (b"AUC,Recall\n1\n", "line 2 has 1 values, its header 2"),
        (b"AUC\nhigh\n", "'high', which is not a number"),
        (b"PK\x03\x04\xff\xfe", "a ZIP archive"),
    ],
)
def test_a_table_that_is_not_an_evaluation_says_what_was_found(table: bytes, said: str) -> None:
    with pytest.raises(BadEvaluation, match=said):
        read_evaluation(table)


def test_a_number_is_shown_in_four_decimals_and_a_small_one_never_as_nothing() -> None:
    assert [shown(number) for number in (0.91263, -0.0019, 0.00012345, 0.0, 12.0, float("inf"))] == [
        "0.9126",
        "-0.0019",
        "0.00012",
        "0.0000",
        "12.0000",
        "inf",
    ]
