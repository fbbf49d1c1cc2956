"""The evaluation table of a training experiment, in the columns of Studio's Evaluate Model.

Definitions are scikit-learn's where it has the metric; the relative errors compare with always predicting the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import metrics

from studio.learning.tables import number, write_table


def two_class(truth: Any, probabilities: Any) -> dict[str, float]:
    """`truth` is 0 or 1 by row, `probabilities` of class 1.

    Training Log Loss is the gain over a model that knows only how many of these rows are 1, in per cent.
    """
    predicted = np.asarray(probabilities) > 0.5
    loss = metrics.log_loss(truth, probabilities, labels=[0, 1])
    share = np.bincount(truth, minlength=2) / len(truth)
    both = bool(share.all())
    precision, recall, f_score = _precision_recall_f_score(truth, predicted, average="binary")
    loss_of_share = -float((share * np.log(share)).sum()) if both else 0.0
    return {
        "Accuracy": metrics.accuracy_score(truth, predicted),
        "Precision": precision,
        "Recall": recall,
        "F-Score": f_score,
        "AUC": metrics.roc_auc_score(truth, probabilities) if both else math.nan,
        "Average Log Loss": loss,
        "Training Log Loss": 100 * (1 - loss / loss_of_share) if both else math.nan,
    }


def multiclass(truth: Any, predicted: Any, classes: Sequence[str]) -> dict[str, float]:
    """Average accuracy is the mean, over the classes, of the accuracy of that class against the others."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    average = [float(((truth == name) == (predicted == name)).mean()) for name in classes]
    of_all, of_each = (
        _precision_recall_f_score(truth, predicted, average=each, labels=list(classes)) for each in ("micro", "macro")
    )
    return {
        "Overall accuracy": metrics.accuracy_score(truth, predicted),
        "Average accuracy": float(np.mean(average)),
        "Micro-averaged precision": of_all[0],
        "Macro-averaged precision": of_each[0],
        "Micro-averaged recall": of_all[1],
        "Macro-averaged recall": of_each[1],
    }


def _precision_recall_f_score(truth: Any, predicted: Any, **options: Any) -> tuple[float, float, float]:
    """Return all three from one call: the checks of the rows in each call take longer than the metrics."""
    scores: Any = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0, **options)
    return float(scores[0]), float(scores[1]), float(scores[2])


def regression(truth: Any, predicted: Any) -> dict[str, float]:
    """The five columns of learners without a likelihood."""
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    from_mean = truth - truth.mean()
    squared = float(np.square(truth - predicted).sum())
    return {
        "Mean Absolute Error": metrics.mean_absolute_error(truth, predicted),
        "Root Mean Squared Error": metrics.root_mean_squared_error(truth, predicted),
        "Relative Absolute Error": _share(float(np.abs(truth - predicted).sum()), float(np.abs(from_mean).sum())),
        "Relative Squared Error": _share(squared, float(np.square(from_mean).sum())),
        "Coefficient of Determination": 1 - _share(squared, float(np.square(from_mean).sum())),
    }


def as_table(values: Mapping[str, float], name: str = ".csv") -> bytes:
    """Return a table of a header and a row; infinities and NaN as the words that Studio writes."""
    return write_table({metric: [number(value)] for metric, value in values.items()}, name)


def _share(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.inf if part else math.nan
