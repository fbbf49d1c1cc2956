"""`run.py new`: what is seen in a table, and what is written down of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
import yaml

from local.new.entry import data_of, telling_rows
from local.new.making import setting_names
from local.new.table import Form, kind_of, kinds_of, likely_label, look, refuse_label
from shared.configuration.starting import checks, gate
from shared.configuration.writing import Remarked, addition, file_text
from shared.domain.checks import Checks, check
from shared.domain.evaluation import Kind
from shared.domain.gate.rules import parse_rule
from studio.experiments.types import Experiment, Learnt
from studio.learning.ilearner import Scored
from studio.learning.training import train

ROWS = 60


def table(**columns: Sequence[str]) -> dict[str, list[str]]:
    return {name: list(cells) for name, cells in columns.items()}


def numbers(seed: int = 1) -> list[str]:
    return [f"{random.Random(seed * 1000 + row).gauss(0, 1):.3f}" for row in range(ROWS)]


def with_gaps(cells: list[str], gap: str) -> list[str]:
    return [gap if row % 9 == 4 else cell for row, cell in enumerate(cells)]


@pytest.mark.parametrize("gap", ["NA", "?", "nan", "NULL", "-"])
def test_a_text_for_a_missing_value_is_found_where_a_column_is_numeric_without_it(gap: str) -> None:
    seen = look(table(height=with_gaps(numbers(), gap), kind=["a", "b"] * 30))
    assert seen.missing == (gap,)
    assert (seen.column("height").form, seen.column("height").missing) == (Form.NUMBER, 7)


def test_a_country_named_na_is_not_a_missing_value() -> None:
    seen = look(table(country=["NA", "DE", "FR"] * 20, height=numbers()))
    assert seen.missing == ()
    assert seen.column("country").counts == {"NA": 20, "DE": 20, "FR": 20}


@pytest.mark.parametrize("gap", ["", "NA"])
def test_the_types_that_are_seen_are_those_the_training_sees(gap: str) -> None:
    columns = table(
        height=with_gaps(numbers(), gap),
        age=with_gaps([str(row % 40) for row in range(ROWS)], gap),
        shop=["north", "south", "west"] * 20,
        kind=["a", "b"] * 30,
    )
    seen = look(columns)
    learnt = Learnt(label="kind", kind="two-class", learner="logistic regression")
    [trained] = train(Experiment(name="X", seed=1, models=[learnt], missing=list(seen.missing)), columns, {})
    trained_on = {feature.name: feature.numeric for feature in trained.model.manifest.features}
    assert trained_on == {column.name: column.numeric for column in seen.features("kind")}


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([str(row) for row in range(1, ROWS + 1)], "it numbers the rows"),
        ([f"customer {row}" for row in range(ROWS)], "60 different texts"),
        (["same"] * ROWS, "all its cells are the same"),
        ([""] * ROWS, "it is empty"),
        ([f"2026-11-{row % 28 + 1:02}" for row in range(ROWS)], "it is a date"),
        ([f"2026/11/{row % 28 + 1:02}" for row in range(ROWS)], "it is a date"),
        (["note" if row == 3 else "other" if row == 9 else "" for row in range(ROWS)], "97% of its cells are missing"),
    ],
)
def test_a_column_that_teaches_nothing_is_left_out_with_its_reason(cells: list[str], why: str) -> None:
    seen = look(table(odd=cells, height=numbers(), kind=["a", "b"] * 30))
    assert why in seen.column("odd").useless
    assert [column.name for column in seen.features("kind")] == ["height"]
    assert seen.useless("kind") == ["odd"]


def test_a_person_may_learn_from_every_column_that_has_a_cell() -> None:
    seen = look(table(id=list(map(str, range(ROWS))), empty=[""] * ROWS, height=numbers(), kind=["a", "b"] * 30))
    assert [column.name for column in seen.with_every_column().features("kind")] == ["id", "height"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "b"] * 30, "two-class"),
        (["0", "1"] * 30, "two-class"),
        (["a", "b", "c"] * 20, "multiclass"),
        (["1", "2", "3"] * 20, "multiclass"),
        (numbers(), "regression"),
        ([str(row) for row in range(ROWS)], "regression"),
    ],
)
def test_the_kind_of_the_task_follows_from_the_label(cells: list[str], kind: str) -> None:
    assert kind_of(look(table(y=cells)).column("y")) == kind


def test_few_whole_numbers_are_asked_about() -> None:
    assert kinds_of(look(table(y=["1", "2", "3"] * 20)).column("y")) == ("multiclass", "regression")
    assert kinds_of(look(table(y=["a", "b", "c"] * 20)).column("y")) == ("multiclass",)


@pytest.mark.parametrize(
    ("cells", "kind", "why"),
    [
        (["a"] * ROWS, "multiclass", "has 1 different values"),
        (["a"] * 57 + ["b", "c", "c"], "multiclass", "fewer than 4 rows: 'c', 'b'"),
        ([f"name {row}" for row in range(ROWS)], "regression", "is text"),
    ],
)
def test_a_label_that_cannot_be_learnt_is_refused_with_what_to_do(cells: list[str], kind: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        refuse_label(look(table(y=cells)).column("y"), kind)  # type: ignore[arg-type]


def test_the_likely_label_is_one_with_a_usual_name_else_the_last_column() -> None:
    assert likely_label(look(table(Target=["a", "b"] * 30, height=numbers()))) == "Target"
    assert likely_label(look(table(height=numbers(), species=["a", "b"] * 30))) == "species"
    assert likely_label(look(table(species=["a", "b"] * 30, row=list(map(str, range(ROWS)))))) == "species"


def test_a_column_that_is_a_letter_or_a_case_off_is_named() -> None:
    with pytest.raises(ValueError, match=r"no column 'specis'; did you mean 'Species'\?"):
        look(table(Species=["a", "b"] * 30)).column("specis")
    with pytest.raises(ValueError, match="'Species' differs in case or spaces only"):
        look(table(Species=["a", "b"] * 30)).column("species")


def test_the_checks_accept_the_table_that_they_were_made_of_and_refuse_another_class() -> None:
    columns = table(height=with_gaps(numbers(), "NA"), shop=["a,b", 'say "hi"', "c"] * 20, kind=["x", "y"] * 30)
    written = yaml.safe_load(file_text({"mine": checks(data_of(look(columns), "kind", "two-class"))}))
    import msgspec

    rules = msgspec.convert(written["pipelines"]["mine"], Checks, strict=False)
    assert check("a.csv", [_csv(columns)], rules).faults == ()
    columns["kind"][5] = "z"
    [fault] = check("a.csv", [_csv(columns)], rules).faults
    assert "'z'" in fault.message


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("value", [0.97, 0.2, -3.0, float("nan")])
def test_the_gates_rules_are_rules_of_the_kinds_own_metrics(kind: Kind, value: float) -> None:
    metrics = {"AUC": value, "Overall accuracy": value, "Coefficient of Determination": value}
    for rule in gate(kind, metrics, 0.4)["rules"]:
        parsed = parse_rule(rule.value)
        assert parsed.text == rule.value
        if not parsed.conditions[0].champion:
            assert 0 <= parsed.conditions[0].margin <= max(0.5, value if value == value else 0.5)


def test_the_rows_of_the_proof_are_those_nearest_to_the_decision_boundary() -> None:
    import numpy as np

    probabilities = np.array([[0.9, 0.1], [0.52, 0.48], [0.1, 0.9], [0.45, 0.55]])
    assert telling_rows(Scored([], probabilities), 4, 2) == [1, 3]
    assert telling_rows(Scored([5.0, 1.0, 3.0, 9.0]), 4, 2) == [0, 1]


@pytest.mark.parametrize("name", ["income", "7-days", "a-b"])
def test_the_names_of_the_settings_can_stand_in_the_pipelines_file(name: str) -> None:
    for setting in setting_names(name).values():
        assert setting.isidentifier()


ODD = {
    "name": "a: b # c",
    "list": ["yes", "1", "", None, 3, "\u00e9"],
    "nested": {"deep": [{"a": 1, "b": [{"c": "x"}]}, {"d": {}}], "none": []},
    "remarked": Remarked(["a", "b"], "two of them"),
    "row": [Remarked({"name": "x: y", "type": "number"}, "1 to 2"), Remarked("AUC >= 0.9", "good")],
}


def test_a_written_entry_is_read_back_as_it_was_with_its_remarks_as_comments() -> None:
    text = file_text({"odd": ODD})
    read = yaml.safe_load(text)["pipelines"]["odd"]
    assert read == {
        **ODD,
        "remarked": ["a", "b"],
        "row": [{"name": "x: y", "type": "number"}, "AUC >= 0.9"],
    }
    assert "# two of them" in text
    assert "# 1 to 2" in text


def test_an_entry_goes_behind_those_of_a_file_and_changes_no_line() -> None:
    before = file_text({"first": {"a": 1}})
    after = before + addition(before, "pipelines.yaml", {"odd": ODD})
    assert after.startswith(before)
    assert set(yaml.safe_load(after)["pipelines"]) == {"first", "odd"}


def _csv(columns: Mapping[str, Sequence[str]]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return text.getvalue().encode()
