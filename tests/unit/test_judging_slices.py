"""Rules of the gate for each value of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.domain.gate.decision import Gate, LiveModel, judge
from shared.domain.gate.rules import parse_rule
from shared.domain.gate.verdict import Finding, Verdict
from tests.support.scored_rows import (
    FAILS,
    HOLDS,
    UNDECIDED,
    evaluation,
    noisy,
    on_rows,
    two_class,
)


@pytest.fixture(scope="module")
def truth() -> Any:
    return np.random.default_rng(1).random(400) < 0.4


def sliced(**sizes: int) -> tuple[Any, Any, list[str]]:
    """Return truth, candidate and sex: the candidate knows nothing of `Male`, and everything of the others."""
    sex = [name for name, size in sizes.items() for _ in range(size)]
    truth = np.arange(len(sex)) % 2 == 0
    return truth, np.where(np.array(sex) == "Male", 0.5, 0.1 + 0.8 * truth), sex


def named(verdict: Verdict) -> dict[str | None, Finding]:
    return {finding.slice: finding for finding in verdict.findings}


def test_a_rule_holds_for_each_value_of_a_column_or_fails() -> None:
    truth, candidate, sex = sliced(Female=100, Male=100)
    case = two_class(truth, candidate, 0.2 + 0.6 * truth, sex=sex)
    verdict = on_rows(["for each sex: AUC >= champion - 0.02"], case)
    assert {name: finding.outcome for name, finding in named(verdict).items()} == {
        "sex = Female": HOLDS,
        "sex = Male": FAILS,
    }
    assert verdict.outcome is FAILS
    assert verdict.reason.startswith("sex = Male: AUC 0.5000, champion 1.0000 on the same 100 rows; difference -0.5000")


def test_a_number_alone_has_its_noise_in_a_slice() -> None:
    random = np.random.default_rng(4)
    truth, _, sex = sliced(Female=60, Male=60)
    scored, _ = two_class(truth, noisy(random, truth, 1.5), None, sex=sex)
    verdict = on_rows(["for each sex: AUC >= 0.2", "for each sex: AUC >= 0.8 or Recall >= 1"], (scored, LiveModel()))
    easy, hard = verdict.findings[:2], verdict.findings[2:]
    assert {finding.outcome for finding in easy} == {HOLDS}
    assert hard[0].text.startswith(f"sex = Female: AUC {hard[0].candidate:.4f} on 60 rows, within [")
    assert verdict.same_rows == 0


def test_a_slice_that_is_too_small_is_reported_and_blocks_no_model() -> None:
    truth, candidate, sex = sliced(Female=100, Other=10, Male=8)
    case = two_class(truth, candidate, 0.2 + 0.6 * truth, sex=sex)
    verdict = on_rows(["for each sex: AUC >= champion - 0.02"], case)
    assert verdict.outcome is HOLDS
    other = named(verdict)["sex = Other"]
    assert other.text == "sex = Other: 10 rows are too few to judge on, 30 are needed; it does not count"
    assert (other.outcome, other.counts) == (UNDECIDED, False)
    assert on_rows(["for each sex: AUC >= champion + 0.1"], case).reason.count("rows") == 1, "only what counts is in it"


def test_where_no_slice_can_be_judged_nothing_is_decided() -> None:
    truth, candidate, sex = sliced(Female=10, Other=10)
    verdict = on_rows(["for each sex: AUC >= champion"], two_class(truth, candidate, candidate, sex=sex))
    assert verdict.outcome is UNDECIDED
    assert (
        verdict.reason
        == "no value of 'sex' has enough rows to be judged: undecided against for each sex: AUC >= champion"
    )


def test_a_slice_of_one_class_can_be_judged_by_what_needs_no_other() -> None:
    truth, candidate, sex = sliced(Female=100, Other=40)
    truth[100:] = False
    candidate[100:] = 0.1
    case = two_class(truth, candidate, candidate, sex=sex)
    by_auc, by_accuracy = (on_rows([f"for each sex: {name} >= 0.9"], case) for name in ("AUC", "Accuracy"))
    assert by_auc.accepted and by_accuracy.accepted
    assert not named(by_auc)["sex = Other"].counts
    assert named(by_accuracy)["sex = Other"].counts


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("for each age: AUC >= champion", "the scored rows have no column 'age'; they have id, label, Scored Labels"),
        ("for each id: AUC >= champion", "'id' has 400 values, and at most 50 slices are judged"),
        ("for each label: RMSE <= champion", "the scored rows are not those of a model with Root Mean Squared Error"),
    ],
)
def test_slices_that_cannot_be_made_fail_their_rule_and_say_why(truth: Any, rule: str, message: str) -> None:
    case = two_class(truth, truth * 1.0, truth * 1.0, id=range(400))
    verdict = on_rows([rule], case)
    assert verdict.outcome is FAILS
    assert message in verdict.reason


def test_slices_without_the_rows_or_without_the_champions_answers_fail_their_rule(truth: Any) -> None:
    rule = parse_rule("for each sex: AUC >= champion")
    verdict = judge(Gate(rules=[rule]), evaluation(AUC="1"), LiveModel(evaluation=evaluation(AUC="0")))
    assert "slices are judged on scored rows, and the job has none" in verdict.reason
    scored, _ = two_class(truth, truth * 1.0, None, sex=["F"] * 400)
    verdict = judge(Gate(rules=[rule]), evaluation(AUC="1"), LiveModel(), scored)
    assert verdict.outcome is FAILS
    assert "and it answered none" in verdict.reason
