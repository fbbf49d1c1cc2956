"""The curves of a model that are drawn, from its answers for rows whose truth is known. Needs numpy: import it late."""

import math
from dataclasses import dataclass

import numpy as np

from shared.domain.gate.metrics import Answered, Floats, Groups, Multiclass, Regression, TwoClass
from shared.domain.gate.sample import metrics_of

Point = tuple[float, float]


@dataclass(frozen=True)
class Roc:
    """`points` are (false positive rate, true positive rate), from (0, 0) to (1, 1)."""

    points: list[Point]
    area: float


@dataclass(frozen=True)
class Residuals:
    """`points` are (predicted value, actual - predicted) of each row."""

    points: list[Point]
    root_mean_square: float


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: rows of class i that were scored as class j."""

    classes: list[str]
    counts: list[list[int]]
    accuracy: float


Curve = Roc | Residuals | Confusion


def curve(model: Answered) -> Curve:
    """Return what is drawn of a model of this kind; raises ValueError where the rows leave nothing to draw."""
    metrics = metrics_of(model)
    match model:
        case TwoClass():
            if not model.has_probabilities:
                raise ValueError("a model gave labels only, and a ROC curve needs probabilities")
            if math.isnan(metrics["AUC"]):
                raise ValueError("all rows are of one class, and a ROC curve needs two")
            return Roc(_roc(model), metrics["AUC"])
        case Multiclass():
            return Confusion([*model.classes], _confusion(model), metrics["Overall accuracy"])
        case Regression():
            return Residuals(_points(model.labels, model.truth - model.labels), metrics["Root Mean Squared Error"])


def _roc(model: TwoClass) -> list[Point]:
    """Go from the highest score down; rows of one score are one step."""
    scores = Groups(model.probabilities)
    false_positive, true_positive = (
        np.concatenate([[0.0], np.cumsum(scores.sums(rows)[::-1]) / rows.sum()])
        for rows in (1 - model.truth, model.truth)
    )
    return _points(false_positive, true_positive)


def _confusion(model: Multiclass) -> list[list[int]]:
    counts = np.zeros((len(model.classes), len(model.classes)), dtype=int)
    np.add.at(counts, (model.truth, model.labels), 1)
    found: list[list[int]] = counts.tolist()
    return found


def _points(x: Floats, y: Floats) -> list[Point]:
    return list(zip(x.tolist(), y.tolist(), strict=True))
