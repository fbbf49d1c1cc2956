"""The gate: what the rules find in an evaluation and in rows that both models answered, and what it says of it."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from local.children import ROOT
from shared.base.errors import BadEvaluation
from shared.domain.evaluation import Evaluation, Kind, shown
from shared.domain.gate import bootstrap
from shared.domain.gate.decision import Gate, LiveModel, ScoredRows, judge
from shared.domain.gate.metrics import Regression
from shared.domain.gate.rules import parse_rule
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.rows import Rows
from tests.support.scored_rows import (
    FAILS,
    HOLDS,
    UNDECIDED,
    evaluation,
    noisy,
    on_rows,
    two_class,
)


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


def test_the_text_says_that_the_number_compared_with_is_from_other_rows() -> None:
    [kept] = judged(["AUC >= champion - 0.01"], evaluation(AUC="0.91"), evaluation(AUC="0.9")).findings
    assert kept.text == "AUC 0.9100 meets AUC >= champion - 0.01 = 0.8900; 0.9000 is the champion's, from other rows"
    assert (kept.candidate, kept.champion, kept.bound, kept.interval) == (0.91, 0.9, 0.89, None)
    [first] = judged(["AUC >= champion"], evaluation(AUC="0.8"), None, {"AUC": 0.9}).findings
    assert first.text == "AUC 0.8000 fails AUC >= champion = 0.9000; 0.9000 is the baseline's, from other rows"


@pytest.mark.parametrize(
    ("rule", "outcome", "reason"),
    [
        ("AUC >= 0.8 and Recall >= 0.8", FAILS, "Recall 0.5000 fails Recall >= 0.8"),
        ("AUC >= 0.8 or Recall >= 0.8", HOLDS, "AUC 0.9100 meets AUC >= 0.8; Recall 0.5000 fails Recall >= 0.8"),
        ("AUC >= 1 or Recall >= 1", FAILS, "AUC 0.9100 fails AUC >= 1; Recall 0.5000 fails Recall >= 1"),
        (
            "(AUC >= 0.8 or Recall >= 0.8) and Recall >= 0.9",
            FAILS,
            "Recall 0.5000 fails Recall >= 0.9",  # not the Recall of the `or`, which holds
        ),
    ],
)
def test_conditions_are_combined_and_the_reason_names_what_decided(rule: str, outcome: Outcome, reason: str) -> None:
    verdict = judged([rule], evaluation(AUC="0.91", Recall="0.5"))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert {finding.rule for finding in verdict.findings} == {rule}


@pytest.fixture(scope="module")
def truth() -> Any:
    return np.random.default_rng(1).random(400) < 0.4


@pytest.mark.parametrize(
    ("candidate", "champion", "rule", "outcome"),
    [
        (0.5, 2.0, "AUC > champion", HOLDS),
        (2.0, 0.5, "AUC >= champion - 0.005", FAILS),
        (1.0, 1.0, "AUC > champion", UNDECIDED),
        (1.0, 1.0, "AUC >= champion - 0.2", HOLDS),
        (1.0, 1.0, "AUC >= champion + 0.2", FAILS),
        (0.5, 2.0, "Average Log Loss <= champion * 0.9", HOLDS),
    ],
)
def test_the_margin_knows_the_noise(truth: Any, candidate: float, champion: float, rule: str, outcome: Outcome) -> None:
    random = np.random.default_rng(2)
    verdict = on_rows([rule], two_class(truth, noisy(random, truth, candidate), noisy(random, truth, champion)))
    [finding] = verdict.findings
    assert (verdict.outcome, finding.outcome, verdict.same_rows, verdict.champion) == (outcome, outcome, 400, "abc")
    low, high = finding.interval or (math.nan, math.nan)
    if "<" in rule:
        low, high = -high, -low
    assert {HOLDS: low >= 0, FAILS: high < 0, UNDECIDED: low < 0 < high}[outcome]


def test_the_text_has_both_numbers_the_rows_and_what_the_noise_leaves_of_the_difference(truth: Any) -> None:
    random = np.random.default_rng(2)
    case = two_class(truth, noisy(random, truth, 1.0), noisy(random, truth, 1.0))
    auc, loss = on_rows(["AUC >= champion - 0.005", "Average Log Loss <= champion * 1.02"], case).findings
    assert auc.text == (
        f"AUC {auc.candidate:.4f}, champion {auc.champion:.4f} on the same 400 rows; difference "
        f"{shown(auc.candidate - auc.champion)} within [{auc.interval[0] - 0.005:.4f}, {auc.interval[1] - 0.005:.4f}] "  # type: ignore[operator,index]
        "at 95 % each way: undecided against AUC >= champion - 0.005"
    )
    assert f"from the bound {loss.bound:.4f}, within [" in loss.text
    assert loss.bound == pytest.approx(1.02 * loss.champion)  # type: ignore[operator]


def test_the_same_rows_give_the_same_verdict_which_can_be_kept(truth: Any) -> None:
    random = np.random.default_rng(2)
    case = two_class(truth, noisy(random, truth, 1.0), noisy(random, truth, 1.0))
    verdict = on_rows(["AUC > champion"], case)
    assert verdict == on_rows(["AUC > champion"], case)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


@pytest.mark.parametrize(
    ("rule", "outcome"), [("AUC >= champion - 0.005", HOLDS), ("AUC >= champion", HOLDS), ("AUC > champion", FAILS)]
)
@pytest.mark.parametrize("rows", [400, 10])
def test_two_models_that_answer_alike_are_said_to(truth: Any, rows: int, rule: str, outcome: Outcome) -> None:
    chance = noisy(np.random.default_rng(2), truth, 1.0)[:rows]
    [finding] = on_rows([rule], two_class(truth[:rows], chance, chance)).findings
    assert finding.outcome is outcome
    assert f"of both models, which answer alike on all {rows} rows" in finding.text


def test_a_number_alone_is_judged_by_the_evaluation_of_the_training_service(truth: Any) -> None:
    chance = noisy(np.random.default_rng(2), truth, 0.5)
    alone, compared = on_rows(["AUC >= 0.6", "AUC >= champion"], two_class(truth, chance, chance)).findings
    assert (alone.text, alone.interval) == ("AUC 0.5000 fails AUC >= 0.6", None)
    assert compared.candidate != alone.candidate


def test_what_rows_do_not_show_and_all_without_the_champions_answers_is_compared_by_the_evaluation(
    truth: Any,
) -> None:
    chance = noisy(np.random.default_rng(2), truth, 0.5)
    verdict = on_rows(["Training Log Loss >= champion"], two_class(truth, chance, chance))
    assert (verdict.outcome, verdict.same_rows) == (HOLDS, 0)
    assert "6.0000 is the baseline's, from other rows" in verdict.reason
    scored, champion = two_class(truth, chance, None)
    live = LiveModel(model=champion.model, evaluation=evaluation(AUC="0.4"))
    verdict = on_rows(["AUC >= champion"], (scored, live))
    assert (verdict.outcome, verdict.same_rows) == (HOLDS, 0)


@pytest.mark.parametrize(
    ("rows", "positive", "message"),
    [(29, 14, "29 rows are too few to judge on, 30 are needed"), (60, 4, "4 rows of the positive class and 56 of the")],
)
def test_too_few_rows_decide_nothing(rows: int, positive: int, message: str) -> None:
    truth = np.arange(rows) < positive
    verdict = on_rows(["AUC >= champion"], two_class(truth, truth * 0.9, 0.9 - truth * 0.9))
    assert verdict.outcome is UNDECIDED
    assert message in verdict.reason


def test_what_cannot_be_computed_on_these_rows_is_undecided() -> None:
    rows = Rows(["y", "Scored Labels"], [["1", str(n)] for n in range(40)])
    live = LiveModel(answers=Rows(["Scored Labels"], [[str(2 * n)] for n in range(40)]))
    rule = parse_rule("R2 >= champion - 0.1")
    candidate = Evaluation(kind=Kind.REGRESSION, metrics={"Coefficient of Determination": "1"})
    [finding] = judge(Gate(rules=[rule]), candidate, live, ScoredRows(rows, "y")).findings
    assert (finding.outcome, finding.candidate, finding.interval) == (UNDECIDED, None, None)
    assert "Coefficient of Determination cannot be computed on these 40 rows: undecided against R2" in finding.text


def test_labels_alone_are_compared_by_what_they_give(truth: Any) -> None:
    scored, champion = two_class(truth, truth * 1.0, 1.0 - truth)
    assert champion.answers is not None
    labels = LiveModel(answers=champion.answers.only(["Scored Labels"]))
    verdict = on_rows(["Accuracy >= champion"], (scored, labels))
    assert verdict.accepted and verdict.same_rows == 400
    for rule in ("AUC >= champion", "for each y: Average Log Loss <= 1"):
        with pytest.raises(BadEvaluation, match="The champion's answers have no column 'Scored Probabilities'"):
            on_rows([rule, "Accuracy >= champion"], (scored, labels))


def test_bad_answers_of_either_model_are_refused(truth: Any) -> None:
    scored, champion = two_class(truth, truth * 1.0, truth * 1.0)
    with pytest.raises(BadEvaluation, match="The champion gave 1 answers for 400 scored rows"):
        on_rows(["AUC >= champion"], (scored, LiveModel(answers=champion.answers and champion.answers.at([0]))))
    assert on_rows(["AUC >= 0.1"], (ScoredRows(Rows([], []), "x"), champion)).accepted, "no rule looks at them"


def share_decided(margin: str, better: float, seeds: int) -> dict[Outcome, float]:
    """Return how often two models, of which the first is so much better, get each outcome on 150 rows."""
    met = dict.fromkeys(Outcome, 0)
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        truth = random.random(150) < 0.5
        shared = random.normal(size=150)
        candidate, champion = (
            1 / (1 + np.exp(-(shift * truth - 1 + shared + 0.5 * random.normal(size=150)))) for shift in (2 + better, 2)
        )
        met[on_rows([f"AUC > champion{margin}"], two_class(truth, candidate, champion)).outcome] += 1
    return {outcome: count / seeds for outcome, count in met.items()}


def test_models_of_the_same_quality_are_undecided_but_for_the_chance_that_the_confidence_allows() -> None:
    shares = share_decided("", better=0.0, seeds=300)
    # 5 % each are expected, with a standard deviation of 1.3 %; the percentile bootstrap is a little too sure.
    assert 0.01 < shares[HOLDS] < 0.10
    assert 0.01 < shares[FAILS] < 0.10


def test_a_model_that_is_clearly_better_is_seen_to_be() -> None:
    shares = share_decided("", better=1.5, seeds=50)
    assert shares[HOLDS] > 0.95
    assert shares[FAILS] == 0


def test_the_interval_of_a_mean_is_the_one_of_the_textbook() -> None:
    random = np.random.default_rng(3)
    near, far = random.normal(size=2000), random.normal(size=2000) * 1.1
    models = [Regression(np.zeros(2000), near), Regression(np.zeros(2000), far)]
    measured = bootstrap.replicates(models, ["Root Mean Squared Error", "Mean Absolute Error"])
    difference = np.abs(near) - np.abs(far)
    error = difference.std() / math.sqrt(2000)
    low, high = bootstrap.interval(np.diff(measured["Mean Absolute Error"][::-1], axis=0)[0, 1:], 0.975) or (0, 0)
    assert (low, high) == pytest.approx(
        (difference.mean() - 1.96 * error, difference.mean() + 1.96 * error), abs=0.1 * error
    )
    # Of the root of a mean by the delta method: the gradient of sqrt(m) is 1 / (2 sqrt(m)).
    roots = [math.sqrt(np.mean(errors**2)) for errors in (near, far)]
    influence = near**2 / (2 * roots[0]) - far**2 / (2 * roots[1])
    error, mean = influence.std() / math.sqrt(2000), roots[0] - roots[1]
    low, high = bootstrap.interval(np.diff(measured["Root Mean Squared Error"][::-1], axis=0)[0, 1:], 0.975) or (0, 0)
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.2 * error)


@pytest.mark.parametrize("rows", [bootstrap.KEPT_TO - 1, bootstrap.KEPT_TO, bootstrap.KEPT_TO + 1])
def test_what_is_drawn_ahead_is_what_a_comparison_would_draw(rows: int) -> None:
    def measured() -> NDArray[np.float64]:
        models = [Regression(np.zeros(rows), np.arange(rows, dtype=float))]
        return bootstrap.replicates(models, ["Mean Absolute Error"])["Mean Absolute Error"]

    bootstrap._kept.cache_clear()
    undrawn = measured()
    bootstrap._kept.cache_clear()
    bootstrap.draw_ahead(rows)
    np.testing.assert_array_equal(measured(), undrawn)
    np.testing.assert_array_equal(measured(), undrawn)
    assert bootstrap._kept.cache_info().misses == (rows <= bootstrap.KEPT_TO)


def test_the_gate_brings_no_numpy_until_rows_are_judged() -> None:
    code = "import sys, shared.domain.gate.scored, shared.configuration.loading; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
