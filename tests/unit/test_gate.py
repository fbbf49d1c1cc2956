"""The gate: rules over an evaluation, and what it says when one fails."""

import pytest

from shared.errors import BadEvaluation
from shared.evaluation import METRICS, Evaluation, Kind, read_evaluation
from shared.gate.judging import Gate, LiveModel, judge
from shared.gate.rules import parse_rule
from shared.gate.verdict import Verdict


def evaluation(**metrics: str) -> Evaluation:
    return Evaluation(kind=Kind.TWO_CLASS, metrics=metrics)


def judged(
    rules: list[str],
    candidate: Evaluation,
    champion: Evaluation | None = None,
    baseline: dict[str, float] | None = None,
) -> Verdict:
    gate = Gate(rules=[parse_rule(rule) for rule in rules], baseline=baseline or {})
    return judge(gate, candidate, LiveModel(evaluation=champion))


@pytest.mark.parametrize(
    ("rule", "value", "champion", "accepted"),
    [
        ("AUC >= 0.85", "0.85", None, True),
        ("AUC >= 0.85", "0.8499", None, False),
        ("AUC > 0.85", "0.85", None, False),
        ("AUC >= champion", "0.9", "0.9", True),
        ("AUC >= champion - 0.005", "0.895", "0.9", True),
        ("AUC >= champion - 0.005", "0.894", "0.9", False),
        ("AUC >= champion + 0.02", "0.91", "0.9", False),
        ("AUC <= champion * 1.02", "0.91", "0.9", True),
        ("AUC < champion * 1.02", "0.92", "0.9", False),
        ("AUC >= 0", "NaN", None, False),
        ("AUC <= 1", "Infinity", None, False),
    ],
)
def test_a_rule_compares_with_a_number_or_with_the_champion(
    rule: str, value: str, champion: str | None, accepted: bool
) -> None:
    against = evaluation(AUC=champion) if champion else None
    assert judged([rule], evaluation(AUC=value), against).accepted is accepted


def test_every_rule_must_hold_and_the_reason_names_only_those_that_failed() -> None:
    verdict = judged(["AUC >= 0.8", "Recall >= 0.9"], evaluation(AUC="0.91", Recall="0.5"))
    assert not verdict.accepted
    assert verdict.reason == "Recall 0.5000 fails Recall >= 0.9"


def test_a_metric_that_the_evaluation_lacks_fails_its_rule() -> None:
    verdict = judged(["AUC <= 1"], evaluation(Recall="1"))
    assert not verdict.accepted
    assert "no AUC" in verdict.reason


def test_the_baseline_stands_in_until_there_is_a_champion() -> None:
    rule = "AUC >= champion"
    assert not judged([rule], evaluation(AUC="0.8"), None, {"AUC": 0.9}).accepted
    assert judged([rule], evaluation(AUC="0.8"), evaluation(AUC="0.7"), {"AUC": 0.9}).accepted
    assert not judged([rule], evaluation(AUC="0.8")).accepted


@pytest.mark.parametrize("text", ["AUC", "AUC >= ", ">= 0.5", "AUC = 1", "AUC >= best", "AUC >= champion / 2"])
def test_what_is_no_rule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write for example"):
        parse_rule(text)


def test_a_metric_that_no_table_has_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'Recall'"):
        parse_rule("Recal >= 0.5")


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
    ("table", "told"),
    [
        (b"AUC\n", "1 rows"),
        (b"a,b\n1,2\n", "no column this app knows"),
        (b"AUC,Recall\n1\n", "2 columns and its row has 1"),
        (b"AUC\nhigh\n", "'high', which is no number"),
        (b"PK\x03\x04\xff\xfe", "not a CSV table"),
    ],
)
def test_a_table_that_is_no_evaluation_says_what_was_found(table: bytes, told: str) -> None:
    with pytest.raises(BadEvaluation, match=told):
        read_evaluation(table)
