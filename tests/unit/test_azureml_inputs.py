"""Rows of text as an online endpoint is asked, and its answers as columns of scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azureml.answers import read_answers
from shared.adapters.azureml.inputs import body_of, typed
from shared.adapters.azureml.scoring import Access
from shared.adapters.azureml.scoring import OnlineScoring as Scoring
from shared.base.errors import BadConfiguration
from shared.domain.azureml import OnlineScoring
from shared.domain.checks import Checks, Type
from shared.domain.gate.scored import LABELS, PROBABILITIES
from shared.domain.rows import Rows
from tests.support.aml import Here
from tests.support.aml_session import workspace_of
from tests.support.staged import target

TWO = ["no", "yes"]


def column(*cells: str, type_: Type | None = None, missing: tuple[str, ...] = ()) -> list[Any]:
    types = {"a": type_} if type_ else {}
    return [row[0] for row in typed(Rows(["a"], [[cell] for cell in cells]), types, missing)]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (("1", "-2", "0"), [1, -2, 0]),
        (("1", "2.50", "1e3", ".5", "-0.1"), [1.0, 2.5, 1000.0, 0.5, -0.1]),
        ((" 7 ", ""), [7.0, None]),
        (("01234", "12345"), ["01234", "12345"]),
        (("1", "1_000"), ["1", "1_000"]),
        (("1", "NaN"), ["1", "NaN"]),
        (("1", "Infinity"), ["1", "Infinity"]),
        (("1", "1e999"), ["1", "1e999"]),
        (("+1", "2"), ["+1", "2"]),
        (("٣", "1"), ["٣", "1"]),
        (("9007199254740993", "1"), ["9007199254740993", "1"]),
        (("True", "false", ""), [True, False, None]),
        (("a", "", "1"), ["a", None, "1"]),
        ((" a ", "b"), [" a ", "b"]),
        (("", " "), [None, None]),
    ],
)
def test_a_column_is_of_numbers_if_each_cell_gives_its_text_back(cells: tuple[str, ...], read: list[Any]) -> None:
    found = column(*cells)
    assert found == read and [type(each) for each in found] == [type(each) for each in read]


def test_a_column_has_one_type_in_all_pieces_of_the_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[list[list[Any]]] = []

    def answers(_: Scoring, __: list[str], cells: list[list[Any]], ___: str) -> Rows:
        sent.append(cells)
        return Rows([LABELS], [["no"] for _ in cells])

    monkeypatch.setattr(Scoring, "_score", answers)
    rows = Rows(["code"], [*([str(number)] for number in range(1, 1200)), ["007"]])
    workspace, _ = workspace_of(Here(tmp_path))
    scoring = Scoring(workspace, target("one"), Checks(), Rows([], []), Access())
    assert len(scoring.score(rows).values) == 1200
    first, *later = list(scoring.pieces(rows, 500))
    assert [len(piece.values) for piece in (first, *later)] == [500, 200]
    assert [len(cells) for cells in sent] == [500, 500, 200, 500, 200]
    assert {type(cell) for cells in sent for [cell] in cells} == {str}


@pytest.mark.parametrize(
    ("type_", "cells", "read"),
    [
        (Type.TEXT, ("1", "2"), ["1", "2"]),
        (Type.DATETIME, ("2026", "2027"), ["2026", "2027"]),
        (Type.NUMBER, ("007", "+1.5"), [7.0, 1.5]),
        (Type.INTEGER, ("90071992547409931",), [90071992547409931]),
        (Type.BOOLEAN, ("true", "FALSE"), [True, False]),
        (Type.BOOLEAN, ("1", "0"), [1, 0]),
        (Type.NUMBER, ("1", "x"), ["1", "x"]),
    ],
)
def test_a_type_of_the_checks_decides(type_: Type, cells: tuple[str, ...], read: list[Any]) -> None:
    found = column(*cells, type_=type_)
    assert found == read and [type(each) for each in found] == [type(each) for each in read]


def test_a_word_for_missing_is_missing_among_numbers_and_a_word_among_words() -> None:
    assert column("1", "?", missing=("?",)) == [1.0, None]
    assert column("a", "?", missing=("?",)) == ["a", "?"]


def test_the_columns_of_rows_keep_their_places() -> None:
    rows = Rows(["code", "age"], [["01", "5"], ["12", "6.5"]])
    assert typed(rows, {}) == [["01", 5], ["12", 6.5]]


def test_a_few_rows_have_the_types_of_the_sample() -> None:
    sample = Rows(["age", "code", "income"], [["30", "B7", "1"], ["", "01", "2"]])
    rows = Rows(["code", "age", "other"], [["12", "5", "1"]])
    assert repr(typed(rows, {}, (), sample)) == repr([["12", 5.0, 1]])


def test_a_body_has_the_form_of_the_configuration() -> None:
    cells = [["01", 5], ["02", None]]
    assert body_of(["code", "age"], cells, OnlineScoring()) == {
        "input_data": {"columns": ["code", "age"], "index": [0, 1], "data": cells}
    }
    own = OnlineScoring(form="json", body='{"request": {"rows": {rows}}, "mode": "fast"}')
    objects = [{"code": "01", "age": 5}, {"code": "02", "age": None}]
    assert body_of(["code", "age"], cells, own) == {"request": {"rows": objects}, "mode": "fast"}
    with pytest.raises(BadConfiguration, match=r"scoring\.body is not JSON"):
        body_of(["a"], [[1]], OnlineScoring(form="json", body='{"data": {rows}'))


def answered(body: Any, answer: str = "label", classes: list[str] | None = None, count: int = 2) -> Rows:
    return read_answers(body, OnlineScoring(answer=answer, classes=classes or []), count)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "answer", "classes", "columns", "values"),
    [
        (["no", "yes"], "label", [], [LABELS], [["no"], ["yes"]]),
        ([1, 0], "label", [], [LABELS], [["1"], ["0"]]),
        ([True, None], "label", [], [LABELS], [["True"], [""]]),
        ([[1.5], [2]], "value", [], [LABELS], [["1.5"], ["2"]]),
        ([{"prediction": "no"}, {"prediction": "yes"}], "label", [], [LABELS], [["no"], ["yes"]]),
        ({"predictions": ["no", "yes"]}, "label", [], [LABELS], [["no"], ["yes"]]),
        ('{"result": ["no", "yes"]}', "label", [], [LABELS], [["no"], ["yes"]]),
        ([0.25, 0.75], "probability", TWO, [LABELS, PROBABILITIES], [["no", "0.25"], ["yes", "0.75"]]),
        ([[0.75, 0.25], [0.5, 0.5]], "probability", TWO, [LABELS, PROBABILITIES], [["no", "0.25"], ["no", "0.5"]]),
        ([0.25, 0.75], "probability", [], [PROBABILITIES], [["0.25"], ["0.75"]]),
        ([[0.75, 0.25], [0.1, 0.9]], "probabilities", TWO, [LABELS, PROBABILITIES], [["no", "0.25"], ["yes", "0.9"]]),
        (
            [{"yes": 0.25, "no": 0.75}, {"yes": 0.9, "no": 0.1}],
            "probabilities",
            TWO,
            [LABELS, PROBABILITIES],
            [["no", "0.25"], ["yes", "0.9"]],
        ),
        (
            [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]],
            "probabilities",
            ["a", "b", "c"],
            [LABELS, *(f'Scored Probabilities for Class "{name}"' for name in "abc")],
            [["b", "0.2", "0.5", "0.3"], ["a", "0.4", "0.4", "0.2"]],
        ),
        (
            [{"x": 1, LABELS: "no", PROBABILITIES: 0.25}, {"x": 2, LABELS: "yes", PROBABILITIES: 0.75}],
            "label",
            [],
            [LABELS, PROBABILITIES],
            [["no", "0.25"], ["yes", "0.75"]],
        ),
    ],
)
def test_answers_become_the_columns_of_score_model(
    body: Any, answer: str, classes: list[str], columns: list[str], values: list[list[str]]
) -> None:
    found = answered(json.loads(json.dumps(body)), answer, classes)
    assert (found.columns, found.values) == (columns, values)


@pytest.mark.parametrize(
    ("body", "answer", "classes", "wrong"),
    [
        (["no"], "label", [], "1 answers for 2 rows"),
        ({"a": [1], "b": [2]}, "label", [], "no list of answers"),
        ("text", "label", [], "text that is not JSON"),
        ([[0.1, 0.9], [0.2, 0.8]], "label", [], "2 values for a row"),
        ([{"a": []}, {"a": []}], "label", [], "a list or an object"),
        ([1.5, 0.2], "probability", TWO, "'1.5', which is not a probability"),
        ([None, 0.2], "probability", TWO, "'None', which is not a probability"),
        ([True, False], "probability", TWO, "'True', which is not a probability"),
        ([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], "probability", TWO, "3 numbers for a row"),
        ([[0.1, 0.9], [0.2, 0.8]], "probabilities", ["a", "b", "c"], "2 numbers for a row, and scoring.classes has 3"),
        ([{LABELS: "a", PROBABILITIES: 0.1}, {LABELS: "b"}], "label", [], "objects of different members"),
    ],
)
def test_an_answer_of_another_shape_says_what_is_wrong(body: Any, answer: str, classes: list[str], wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}"):
        answered(body, answer, classes)
