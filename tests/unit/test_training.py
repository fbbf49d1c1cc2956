"""Training: every learner on real rows with gaps, its metrics against scikit-learn's own, its held-out rows."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from sklearn import metrics

from local.children import ROOT
from studio.errors import ModuleError, StudioError
from studio.experiments.loading import load_experiment
from studio.experiments.types import Learnt
from studio.learning.evaluation import as_table, multiclass, regression, two_class
from studio.learning.ilearner import pack, unpack
from studio.learning.scoring import score, score_columns
from studio.learning.tables import Columns, number, read_table, write_table
from studio.learning.training import Trained, train
from tests.support.samples import LEARNT, breast_cancer, cellar, diabetes, learn, name_of, trained, wine

EACH = pytest.mark.parametrize("learnt", LEARNT, ids=name_of)
HEADERS = {
    "two-class": "Accuracy,Precision,Recall,F-Score,AUC,Average Log Loss,Training Log Loss",
    "multiclass": "Overall accuracy,Average accuracy,Micro-averaged precision,Macro-averaged precision,"
    "Micro-averaged recall,Macro-averaged recall",
    "regression": "Mean Absolute Error,Root Mean Squared Error,Relative Absolute Error,Relative Squared Error,"
    "Coefficient of Determination",
}


@cache
def of_the_cellar(learnt: Learnt) -> Trained:
    return trained(learnt, cellar())


def _recomputed(kind: str, label: str, table: Columns) -> dict[str, float]:
    """Return the metrics from the scored rows alone, by scikit-learn's functions or the definition."""
    truth, said = table[label], table["Scored Labels"]
    if kind == "two-class":
        positive = sorted(set(truth))[-1]
        one, guess = ([each == positive for each in cells] for cells in (truth, said))
        chance = [float(cell) for cell in table["Scored Probabilities"]]
        loss = metrics.log_loss(one, chance)
        return {
            "Accuracy": metrics.accuracy_score(one, guess),
            "Precision": metrics.precision_score(one, guess),
            "Recall": metrics.recall_score(one, guess),
            "F-Score": metrics.f1_score(one, guess),
            "AUC": metrics.roc_auc_score(one, chance),
            "Average Log Loss": loss,
            "Training Log Loss": 100 * (1 - loss / metrics.log_loss(one, [np.mean(one)] * len(one))),
        }
    if kind == "multiclass":
        confusion = metrics.confusion_matrix(truth, said)
        right, asked, shown = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        share = right.sum() / confusion.sum()
        return {
            "Overall accuracy": share,
            "Average accuracy": float(np.mean(1 - (asked + shown - 2 * right) / confusion.sum())),
            "Micro-averaged precision": share,
            "Macro-averaged precision": float(np.mean(right / shown)),
            "Micro-averaged recall": share,
            "Macro-averaged recall": float(np.mean(right / asked)),
        }
    real, guessed = np.array(truth, float), np.array(said, float)
    r2 = metrics.r2_score(real, guessed)
    return {
        "Mean Absolute Error": metrics.mean_absolute_error(real, guessed),
        "Root Mean Squared Error": metrics.mean_squared_error(real, guessed) ** 0.5,
        "Relative Absolute Error": float(np.abs(real - guessed).mean() / np.abs(real - real.mean()).mean()),
        "Relative Squared Error": 1 - r2,
        "Coefficient of Determination": r2,
    }


@EACH
def test_the_evaluation_is_of_the_third_output_alone(learnt: Learnt) -> None:
    result = of_the_cellar(learnt)
    scored = read_table(write_table(result.scored))
    assert result.evaluation == pytest.approx(_recomputed(learnt.kind, learnt.label, scored), rel=1e-9)
    [header, _] = csv.reader(io.StringIO(as_table(result.evaluation).decode()))
    assert ",".join(header) == HEADERS[learnt.kind]


@EACH
def test_each_learner_learns_from_text_and_gaps(learnt: Learnt) -> None:
    evaluation = of_the_cellar(learnt).evaluation
    first = {"two-class": "AUC", "multiclass": "Overall accuracy", "regression": "Coefficient of Determination"}
    assert evaluation[first[learnt.kind]] > {"two-class": 0.9, "multiclass": 0.85, "regression": 0.3}[learnt.kind]


@EACH
def test_the_third_output_has_the_rows_that_were_held_out_whole_and_no_other(learnt: Learnt) -> None:
    table = {"row": [f"r{number}" for number in range(178)], **cellar()}
    result = trained(learnt, table)
    names = [*table, *(name for name in result.scored if name.startswith("Scored "))]
    assert list(result.scored) == names
    held = [int(cell[1:]) for cell in result.scored["row"]]
    assert len(held) == len(set(held)) == round(178 * 0.3 + 0.49)
    for name, cells in table.items():
        assert [cells[row] for row in held] == result.scored[name]
    [learnt_from] = [categories for name, categories in result.model.encoder.text if name == "row"]
    assert not learnt_from.keys() & set(result.scored["row"])
    assert len(learnt_from) + len(held) == 178


@EACH
def test_rows_to_score_may_be_in_any_order_with_gaps_and_news_of_any_kind(learnt: Learnt) -> None:
    model = of_the_cellar(learnt).model
    table = cellar(12)
    expected = score_columns(model, table)
    shuffled = {"more": ["x"] * 12, **{name: table[name] for name in reversed(table) if name != learnt.label}}
    assert score_columns(model, shuffled) == expected
    bare = {name: [""] * 3 for name in table}
    strange = {
        **{name: cells[:3] for name, cells in table.items()},
        "colour": ["blue", "RUBY", ""],
        "proline": ["7"] * 3,
    }
    for rows in (bare, strange):
        answered = score_columns(model, rows)
        assert list(answered) == list(expected)
        assert {len(cells) for cells in answered.values()} == {3}
    one = [table[name][0] for name in table]
    assert score(model, list(table), [one]).values[0][len(table) :] == [cells[0] for cells in expected.values()]
    assert score(model, list(table), []).values == []
    as_numbers = [float(cell) if name == "alcohol" else cell or None for name, cell in zip(table, one, strict=True)]
    assert score(model, list(table), [as_numbers], append=False).values == [[cells[0] for cells in expected.values()]]


def test_many_rows_are_scored_in_parts_as_they_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = of_the_cellar(LEARNT[1]).model
    at_once = score_columns(model, cellar())
    monkeypatch.setattr("studio.learning.ilearner._CELLS_AT_ONCE", 5 * model.encoder.width)
    assert score_columns(model, cellar()) == at_once


@EACH
def test_the_same_training_gives_the_same_bytes_and_another_gives_others(learnt: Learnt) -> None:
    content = pack(of_the_cellar(learnt).model)
    assert pack(trained(learnt, cellar()).model) == content
    assert pack(unpack(content)) == content
    assert pack(trained(learnt, cellar(177)).model) != content
    assert pack(trained(learnt, cellar(), seed=8).model) != content
    loaded = unpack(content)
    assert score_columns(loaded, cellar()) == score_columns(of_the_cellar(learnt).model, cellar())
    assert loaded.manifest == of_the_cellar(learnt).model.manifest


def test_another_process_with_other_hashes_and_one_thread_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from studio.learning.ilearner import pack; from tests.support.samples import *\n"
        "for each in LEARNT: print(hashlib.sha256(pack(trained(each, cellar()).model)).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [hashlib.sha256(pack(of_the_cellar(each).model)).hexdigest() for each in LEARNT]


@pytest.mark.parametrize(
    ("name", "table", "metric", "at_least"),
    [
        ("breast-cancer", breast_cancer, "AUC", 0.98),
        ("diabetes", diabetes, "Coefficient of Determination", 0.4),
        ("wine", wine, "Overall accuracy", 0.95),
        ("wine-cellar", wine, "Macro-averaged recall", 0.95),
    ],
)
def test_an_experiment_that_comes_with_the_studio_learns_its_data_well(
    name: str, table: Callable[[], Columns], metric: str, at_least: float
) -> None:
    first, *more = train(load_experiment(name), table(), {})
    assert first.evaluation[metric] > at_least
    assert all(each.evaluation["Coefficient of Determination"] > 0.3 for each in more)
    assert not {column.name for column in first.model.manifest.features} & set(load_experiment(name).labels)


@pytest.mark.parametrize(
    ("spelled", "classes"),
    [
        (("0", "1"), ["0", "1"]),
        (("0.0", "1.00"), ["0", "1"]),
        (("-0.5", "10"), ["-0.5", "10"]),
        (("false", "true"), ["false", "true"]),
        (("True", "False"), ["False", "True"]),
    ],
)
def test_labels_may_be_numbers_and_truth_values(spelled: tuple[str, str], classes: list[str]) -> None:
    table = {**wine(60)}
    table["cultivar"] = [spelled[float(cell) > 13] for cell in table["alcohol"]]
    result = learn(table, "cultivar", "two-class")
    assert result.model.manifest.classes == classes
    assert set(result.scored["cultivar"]) == set(result.scored["Scored Labels"]) == set(classes)
    assert result.evaluation["Accuracy"] > 0.8


def test_rows_without_a_label_are_left_out() -> None:
    table = wine(90)
    table["cultivar"][:30] = [""] * 30
    result = learn(table, "cultivar")
    assert len(result.scored["cultivar"]) == 18
    assert set(result.scored["cultivar"]) == {"first", "second", "third"}


def _with(name: str, cells: list[str] | str, rows: int = 60) -> Columns:
    return {**wine(rows), name: cells if isinstance(cells, list) else [cells] * rows}


@pytest.mark.parametrize(
    ("table", "learnt", "number", "says"),
    [
        (_with("a", "1"), Learnt(label="x", kind="regression", learner="ridge"), 1, 'not found: "x"'),
        (_with("cultivar", "one"), LEARNT[3], 6, "1 values, and at least two"),
        (_with("cultivar", ""), LEARNT[3], 6, "0 values"),
        (wine(), Learnt(label="cultivar", kind="two-class", learner="random forest"), 6, "3 values, and two"),
        (wine(), Learnt(label="cultivar", kind="regression", learner="ridge"), 18, "not numeric"),
        (_with("alcohol", ""), LEARNT[6], 21, "Too few rows"),
        (_with("cultivar", ["one", *["two"] * 59]), LEARNT[3], 21, '"one" has fewer than two rows'),
        ({name: cells[:1] for name, cells in wine().items()}, LEARNT[6], 21, "Too few rows"),
        ({"alcohol": wine()["alcohol"]}, LEARNT[6], 20, "no column to learn from"),
        (_with("ash", ["1"] * 59 + ["inf"]), LEARNT[3], 13, '"ash" has an infinite number'),
    ],
)
def test_what_can_not_be_learnt_is_the_modules_error(table: Columns, learnt: Learnt, number: int, says: str) -> None:
    with pytest.raises(ModuleError) as refused:
        trained(learnt, table)
    assert (refused.value.number, says in refused.value.message) == (number, True), refused.value.message


def test_a_column_of_too_many_categories_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.learning.training.CELLS_AT_MOST", 5_000)
    table = {**wine(), "id": [f"row {number}" for number in range(178)]}
    with pytest.raises(ModuleError, match='"id" has 124 categories'):
        learn(table, "cultivar")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Number of trees", "0"),
        ("Number of trees", "1.5"),
        ("Number of trees", "many"),
        ("Number of trees", "nan"),
        ("Fraction of rows for training", "1"),
    ],
)
def test_a_parameter_out_of_bounds_is_named(name: str, value: str) -> None:
    with pytest.raises(ModuleError, match=f'"{name}" must be .* it is .{value}') as refused:
        trained(LEARNT[1], cellar(), **{name: value})
    assert refused.value.number == 8


def test_a_row_that_can_not_be_scored_is_the_catalogues_error() -> None:
    model = of_the_cellar(LEARNT[0]).model
    table = cellar(3)
    for columns, row, detail in (
        (list(table), ["1"], "InputMismatchError"),
        (list(table), ["x"] * len(table), "InputParseError"),
        (list(table)[1:], ["1"] * (len(table) - 1), "ModuleExecutionError"),
    ):
        with pytest.raises(StudioError) as refused:
            score(model, columns, [row])
        assert refused.value.detail == detail


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        (regression([2.0, 2.0], [1.0, 3.0]), "1,1,Infinity,Infinity,-Infinity"),
        (regression([2.0], [2.0]), "0,0,NaN,NaN,NaN"),
        (
            two_class(
                np.array([1, 1]),
                np.array([0.75, 0.25]),
            ),
            None,
        ),
        (multiclass(np.array(["a"]), ["b"], ["a", "b"]), "0,0,0,0,0,0"),
    ],
)
def test_what_has_no_number_is_written_as_a_word(evaluation: dict[str, float], words: str | None) -> None:
    line = as_table(evaluation).decode().split("\n")[1]
    if words is None:
        assert (line.split(",")[4], line.split(",")[6]) == ("NaN", "NaN")
    else:
        assert line == words


@pytest.mark.parametrize("value", [0.1, 1e-7, 1.5e300, -0.0, 3.0, 2 / 3, 1e22, 123456789.123])
def test_a_number_is_plain_and_gives_itself_back(value: float) -> None:
    assert float(number(value)) == value
    assert "e" not in number(value)
    assert number(np.float64(value)) == np.format_float_positional(value, trim="-")
