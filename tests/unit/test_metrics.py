"""The metrics from rows: those of scikit-learn, for any weights, and those that a training logs of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from shared.domain.evaluation import FROM_ROWS, METRICS, Kind
from shared.domain.gate.answers import read_answers
from shared.domain.gate.metrics import _MEASURES, Answered, Multiclass, Regression, TwoClass, measure
from shared.domain.gate.scored import read_scored
from studio.experiments.types import Learnt
from studio.learning.tables import write_table
from tests.support.samples import LEARNT, cellar, name_of, trained

Model = tuple[Answered, Any]  #: and its weights
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(2, 60)


def weights(random: np.random.Generator, size: int) -> Any:
    """Whole numbers as a resampling has them, most of them 0 to 2, or any positive ones."""
    whole = random.poisson(1, size).astype(float)
    return whole if random.random() < 0.5 and whole.any() else random.random(size) + 0.01


def two_class(random: np.random.Generator, size: int) -> TwoClass:
    ties = random.choice([2, 5, 10_000])
    chance = np.round(random.random(size) * ties) / ties
    truth = (random.random(size) < random.choice([0.05, 0.5, 0.9])).astype(float)
    return TwoClass(truth, (chance >= 0.5).astype(float), chance)


def of(metric: str, model: Answered, weight: Any) -> float:
    return float(measure(metric, model.weigh(weight)))


def test_each_metric_that_rows_give_is_measured() -> None:
    assert _MEASURES.keys() == FROM_ROWS


@given(SEEDS, SIZES)
@settings(max_examples=100)
def test_the_two_class_metrics_are_those_of_scikit_learn(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    model, weight = two_class(random, size), weights(random, size)
    options = {"sample_weight": weight}
    expected = {
        "Accuracy": metrics.accuracy_score(model.truth, model.labels, **options),
        "Precision": metrics.precision_score(model.truth, model.labels, zero_division=0, **options),
        "Recall": metrics.recall_score(model.truth, model.labels, zero_division=0, **options),
        "F-Score": metrics.f1_score(model.truth, model.labels, zero_division=0, **options),
        "Average Log Loss": metrics.log_loss(model.truth, model.probabilities, labels=[0, 1], **options),
    }
    met = model.truth[weight > 0]
    if 0 < met.sum() < len(met):
        expected["AUC"] = metrics.roc_auc_score(model.truth, model.probabilities, **options)
    else:
        assert np.isnan(of("AUC", model, weight))
    assert {name: of(name, model, weight) for name in expected} == pytest.approx(expected, abs=1e-12)


@given(SEEDS, SIZES, st.integers(2, 6))
@settings(max_examples=100)
def test_the_multiclass_metrics_are_those_of_scikit_learn_over_the_classes_that_rows_are_of(
    seed: int, size: int, classes: int
) -> None:
    random = np.random.default_rng(seed)
    truth, labels = (random.integers(0, classes, size) for _ in range(2))
    model, weight = Multiclass(truth, labels, [*map(str, range(classes))]), weights(random, size)
    met = sorted(set(truth[weight > 0].tolist()))
    options: dict[str, Any] = {"sample_weight": weight, "labels": met, "average": "macro", "zero_division": 0}
    accuracy = metrics.accuracy_score(truth, labels, sample_weight=weight)
    expected = {
        "Overall accuracy": accuracy,
        "Micro-averaged precision": accuracy,
        "Micro-averaged recall": accuracy,
        "Average accuracy": np.mean(
            [metrics.accuracy_score(truth == name, labels == name, sample_weight=weight) for name in met]
        ),
        "Macro-averaged precision": metrics.precision_score(truth, labels, **options),
        "Macro-averaged recall": metrics.recall_score(truth, labels, **options),
    }
    assert {name: of(name, model, weight) for name in METRICS[Kind.MULTICLASS]} == pytest.approx(expected)


@given(SEEDS, SIZES, st.sampled_from([0.0, 1e6]))
@settings(max_examples=100)
def test_the_regression_metrics_are_those_of_scikit_learn(seed: int, size: int, far: float) -> None:
    random = np.random.default_rng(seed)
    truth = far + random.normal(size=size)
    labels = truth + random.normal(size=size)
    weight = random.random(size) + 0.01
    mean = np.full(size, np.average(truth, weights=weight))
    options = {"sample_weight": weight}
    expected = {
        "Mean Absolute Error": metrics.mean_absolute_error(truth, labels, **options),
        "Root Mean Squared Error": metrics.root_mean_squared_error(truth, labels, **options),
        "Relative Absolute Error": metrics.mean_absolute_error(truth, labels, **options)
        / metrics.mean_absolute_error(truth, mean, **options),
        "Relative Squared Error": 1 - metrics.r2_score(truth, labels, **options),
        "Coefficient of Determination": metrics.r2_score(truth, labels, **options),
    }
    model = Regression(truth, labels)
    assert {name: of(name, model, weight) for name in expected} == pytest.approx(expected, rel=1e-6)


def test_a_truth_that_does_not_vary_makes_the_relative_errors_infinite() -> None:
    model = Regression(np.full(3, 0.1), np.array([0.1, 0.2, 0.1]))
    with np.errstate(divide="raise", invalid="raise"):
        assert of("Relative Squared Error", model, np.ones(3)) == np.inf
        assert of("Relative Absolute Error", model, np.ones(3)) == np.inf
        assert np.isnan(of("Relative Squared Error", model, np.array([1.0, 0, 1])))


MAKES: list[Callable[[np.random.Generator], Answered]] = [
    lambda random: two_class(random, 40),
    lambda random: Multiclass(random.integers(0, 3, 40), random.integers(0, 3, 40), "abc"),
    lambda random: Regression(random.normal(size=40), random.normal(size=40)),
]


@pytest.mark.parametrize("make", MAKES)
def test_many_weight_vectors_at_once_are_each_measured_as_if_alone_and_as_if_their_rows_were_repeated(
    make: Callable[[np.random.Generator], Answered],
) -> None:
    random = np.random.default_rng(5)
    model = make(random)
    drawn = random.integers(0, 40, (7, 40))
    many = np.stack([np.bincount(draw, minlength=40) for draw in drawn]).astype(float)
    for name in FROM_ROWS & {*METRICS[model.kind]}:
        at_once = measure(name, model.weigh(many))
        assert at_once.tolist() == pytest.approx([of(name, model, weight) for weight in many], nan_ok=True)
        repeated = [of(name, model.at(draw), np.ones(40)) for draw in drawn]
        assert at_once.tolist() == pytest.approx(repeated, nan_ok=True)


@pytest.mark.parametrize("learnt", LEARNT, ids=name_of)
def test_the_scored_rows_of_a_training_give_the_metrics_of_its_evaluation(learnt: Learnt) -> None:
    made = trained(learnt, cellar())
    table = write_table(made.scored, ".csv")
    rows, _ = read_scored(iter([table]), learnt.label, 10_000)
    _, [model] = read_answers(rows, learnt.label, None)
    said = {name: value for name, value in made.evaluation.items() if name in FROM_ROWS}
    assert {name: of(name, model, np.ones(len(rows.values))) for name in said} == pytest.approx(said)
