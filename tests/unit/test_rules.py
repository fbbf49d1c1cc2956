"""The rules of the gate, as they are written."""

from __future__ import annotations

import pytest

from shared.domain.gate.rules import Condition, Group, parse_rule


def written(part: Condition | Group) -> str:
    """Return the part with its parentheses, as it was understood."""
    if isinstance(part, Condition):
        return part.text
    return f"({f' {part.need} '.join(map(written, part.parts))})"


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "champion", "bound"),
    [
        ("AUC >= 0.85", "AUC", ">=", False, 0.85),
        ("auc>.85", "AUC", ">", False, 0.85),
        ("  Mean   Absolute Error <= 3", "Mean Absolute Error", "<=", False, 3.0),
        ("F1 score < 1e-3", "F-Score", "<", False, 0.001),
        ("R2 >= -0.5", "Coefficient of Determination", ">=", False, -0.5),
        ("Macro-averaged recall >= champion-0.01", "Macro-averaged recall", ">=", True, 9.99),
        ("AUC >= champion", "AUC", ">=", True, 10.0),
        ("AUC >= champion + 0.02", "AUC", ">=", True, 10.02),
        ("RMSE <= Champion * 1.02", "Root Mean Squared Error", "<=", True, 10.2),
    ],
)
def test_a_condition_compares_a_metric_with_a_number_or_with_the_champion(
    text: str, metric: str, comparison: str, champion: bool, bound: float
) -> None:
    [condition] = parse_rule(text).conditions
    assert (condition.metric, condition.comparison, condition.champion) == (metric, comparison, champion)
    assert condition.bound(10.0) == pytest.approx(bound)
    assert condition.text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("AUC > 1 and Recall > 2 and Precision > 3", "(AUC > 1 all Recall > 2 all Precision > 3)"),
        ("AUC > 1 or Recall > 2 AND Precision > 3", "(AUC > 1 any (Recall > 2 all Precision > 3))"),
        ("(AUC > 1 or Recall > 2) and Precision > 3", "((AUC > 1 any Recall > 2) all Precision > 3)"),
        ("((AUC > champion - 1))", "AUC > champion - 1"),
    ],
)
def test_and_binds_closer_than_or_and_parentheses_closest(text: str, understood: str) -> None:
    assert written(parse_rule(text).must) == understood


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("for each sex: AUC >= 0.8", "sex"),
        ("For  each native country : AUC >= 0.8", "native country"),
        ('for each "ratio: a/b": AUC >= 0.8', "ratio: a/b"),
        ("for each 'it is \"x\"': AUC >= 0.8", 'it is "x"'),
    ],
)
def test_a_rule_can_hold_for_each_value_of_a_column(text: str, column: str) -> None:
    rule = parse_rule(text)
    assert (rule.each, written(rule.must)) == (column, "AUC >= 0.8")
    assert rule.needs_rows


def test_rows_are_needed_for_slices_and_for_what_can_be_measured_of_both_models() -> None:
    assert parse_rule("Recall > 0.5 or AUC >= champion").needs_rows
    assert not parse_rule("AUC >= 0.8").needs_rows
    assert not parse_rule("Training Log Loss >= champion").needs_rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a metric was expected, not the end"),
        ("AUC", r"a comparison \(>=, >, <= or <\) was expected behind 'AUC', not the end"),
        ("AUC >= ", "a number or 'champion' was expected behind '>=', not the end"),
        (">= 0.5", "a metric was expected, not '>='"),
        ("AUC = 1", "not '='"),
        ("AUC >= best", "a number or 'champion' was expected behind '>=', not 'best'"),
        ("AUC >= champion / 2", "'and', 'or' or the end was expected behind 'champion', not '/'"),
        ("AUC >= champion -", "a number was expected behind '-', not the end"),
        ("AUC >= 0.8 and", "a metric was expected behind 'and'"),
        ("AUC >= 0.8 Recall >= 1", "not 'Recall'"),
        ("(AUC >= 0.8", r"'\)' was expected"),
        ("AUC >= 0.8)", r"not '\)'"),
        ("for each sex AUC >= 0.8", "'for each' wants a column and a colon"),
        ("for each: AUC >= 0.8", "'for each' wants a column and a colon"),
        ("AUC > 1 and for each sex: AUC > 1", "a comparison"),
        ("(" * 200 + "AUC > 1" + ")" * 200, "more than 20 parentheses"),
        ("AUC > 1 and " * 1000 + "AUC > 1", "longer than 2000 characters"),
    ],
)
def test_text_that_is_not_a_rule_is_refused_with_the_place_and_an_example(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"{said}.*; write for example"):
        parse_rule(text)


def test_a_metric_that_no_table_has_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'Recall'"):
        parse_rule("AUC >= 0.9 and Recal >= 0.5")
