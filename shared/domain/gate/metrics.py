"""The metrics of an evaluation table, computed from rows whose truth is known. Needs numpy: import it late.

Every metric is measured with weights, one for each row along the last axis, and is a number for each vector of weights.
A row of weight 2 counts as if it stood there twice: a thousand resamplings of the same rows are a thousand weight
vectors, and what does not depend on the weights (the order of the scores, say) is done once.

The definitions are scikit-learn's, with `sample_weight`; where it divides by nothing, precision and recall are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.evaluation import Kind

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Groups:
    """Rows of the same key, whose weights are summed."""

    def __init__(self, keys: NDArray[Any]) -> None:
        self._order = np.argsort(keys, kind="stable")
        ordered = keys[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self.keys = ordered[self._starts]

    def sums(self, weights: Floats) -> Floats:
        """Return the sum of the weights of each key, in the keys' order."""
        ordered = np.take(weights, self._order, axis=-1)
        return ordered if len(self.keys) == len(self._order) else np.add.reduceat(ordered, self._starts, axis=-1)


class _Ranked:
    """The rows of the negative class by their scores, and those of the positive class among them."""

    def __init__(self, is_positive: NDArray[np.bool_], scores: Floats) -> None:
        self.positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
        self.negative = negative[np.argsort(scores[negative], kind="stable")]
        #: of each positive row, how many negative ones score below it, and how many at most as high
        sides = (scores[self.negative].searchsorted(scores[self.positive], side) for side in ("left", "right"))
        self.below, self.at_most = sides
        self.have_ties = not np.array_equal(self.below, self.at_most)


@dataclass(frozen=True)
class TwoClass:
    """What a two-class model answered, by row."""

    truth: Floats  #: 1 where the row is of the positive class, else 0
    labels: Floats  #: 1 where it was scored as such, else 0
    probabilities: Floats  #: of the positive class; the labels, where a model gave only labels
    has_probabilities: bool = True
    kind = Kind.TWO_CLASS

    def at(self, places: Places) -> TwoClass:
        return TwoClass(self.truth[places], self.labels[places], self.probabilities[places], self.has_probabilities)

    def is_like(self, other: TwoClass) -> bool:
        return np.array_equal(self.labels, other.labels) and np.array_equal(self.probabilities, other.probabilities)

    def weigh(self, weights: Floats) -> WeighedTwoClass:
        return WeighedTwoClass(self, weights)

    @cached_property
    def ranked(self) -> _Ranked:
        return _Ranked(self.truth == 1, self.probabilities)

    @cached_property
    def summed(self) -> Floats:
        """TP, FP, FN, TN and the log loss, each by row."""
        tiny = np.finfo(float).eps
        given = np.clip(np.where(self.truth == 1, self.probabilities, 1 - self.probabilities), tiny, 1 - tiny)
        yes, said = self.truth, self.labels
        return np.stack([yes * said, (1 - yes) * said, yes * (1 - said), (1 - yes) * (1 - said), -np.log(given)])


class WeighedTwoClass:
    def __init__(self, model: TwoClass, weights: Floats) -> None:
        self._model, self._weights = model, weights

    @cached_property
    def _sums(self) -> Floats:
        """TP, FP, FN, TN and the log loss; the AUC needs none of them."""
        return _sums(self._weights, self._model.summed)

    def accuracy(self) -> Floats:
        """(TP + TN) / all: `sklearn.metrics.accuracy_score`."""
        tp, _, _, tn, _ = self._sums
        return np.asarray((tp + tn) / self._sums[:4].sum(axis=0))

    def precision(self) -> Floats:
        """TP / (TP + FP): `sklearn.metrics.precision_score`."""
        tp, fp, *_ = self._sums
        return _share(tp, tp + fp)

    def recall(self) -> Floats:
        """TP / (TP + FN): `sklearn.metrics.recall_score`."""
        tp, _, fn, *_ = self._sums
        return _share(tp, tp + fn)

    def f_score(self) -> Floats:
        """2 TP / (2 TP + FP + FN): `sklearn.metrics.f1_score`."""
        tp, fp, fn, *_ = self._sums
        return _share(2 * tp, 2 * tp + fp + fn)

    def average_log_loss(self) -> Floats:
        """Mean of -ln of the probability given to the truth, cut at 2.2e-16: `sklearn.metrics.log_loss`."""
        return np.asarray(self._sums[4] / self._sums[:4].sum(axis=0))

    def auc(self) -> Floats:
        """The chance that a positive row scores above a negative one, ties half: Mann-Whitney's U / (P N).

        J. A. Hanley, B. J. McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982);
        `sklearn.metrics.roc_auc_score`. NaN where one of the classes has no weight.
        """
        ranked = self._model.ranked
        positive, negative = (np.take(self._weights, rows, axis=-1) for rows in (ranked.positive, ranked.negative))
        # The weight of the first so many negative rows, from none to all.
        beaten = np.zeros((*negative.shape[:-1], negative.shape[-1] + 1))
        np.cumsum(negative, axis=-1, out=beaten[..., 1:])
        below = np.take(beaten, ranked.below, axis=-1)
        if ranked.have_ties:
            below = (below + np.take(beaten, ranked.at_most, axis=-1)) / 2
        wins = np.einsum("...n,...n->...", positive, below)
        with np.errstate(invalid="ignore"):
            return np.asarray(wins / (positive.sum(axis=-1) * beaten[..., -1]))


@dataclass(frozen=True)
class Multiclass:
    """What a multiclass model answered, by row; each class is its place in `classes`."""

    truth: Places
    labels: Places
    classes: Sequence[str]
    kind = Kind.MULTICLASS

    def at(self, places: Places) -> Multiclass:
        return Multiclass(self.truth[places], self.labels[places], self.classes)

    def is_like(self, other: Multiclass) -> bool:
        return np.array_equal(self.labels, other.labels)

    def weigh(self, weights: Floats) -> WeighedMulticlass:
        return WeighedMulticlass(self, weights)

    @cached_property
    def groups(self) -> tuple[Groups, Groups]:
        return Groups(self.truth), Groups(self.labels)


class WeighedMulticlass:
    """By class, along the last axis: the weight `of` its rows, of those `scored` as it, and of `both`.

    Means over classes are over those that rows are of: what a resampling or a slice has none of says nothing there, and
    both models are measured on the same classes.
    """

    def __init__(self, model: Multiclass, weights: Floats) -> None:
        truth, labels = model.groups

        def by_class(groups: Groups, weights: Floats) -> Floats:
            sums = np.zeros((*weights.shape[:-1], len(model.classes)))
            sums[..., groups.keys] = groups.sums(weights)
            return sums

        self.of, self.scored = by_class(truth, weights), by_class(labels, weights)
        self.both = by_class(truth, weights * (model.truth == model.labels))
        self.all = self.of.sum(axis=-1)

    def overall_accuracy(self) -> Floats:
        """Share of rows that were scored as their class: `sklearn.metrics.accuracy_score`.

        With one label for each row it is the micro-averaged precision and recall too.
        """
        return np.asarray(self.both.sum(axis=-1) / self.all)

    def average_accuracy(self) -> Floats:
        """Mean over classes of (TP + TN) / all, of the class against the others.

        M. Sokolova, G. Lapalme, A systematic analysis of performance measures for classification tasks, Information
        Processing and Management 45 (2009), table 3.
        """
        return self._mean(1 - (self.of + self.scored - 2 * self.both) / self.all[..., None])

    def macro_precision(self) -> Floats:
        """Mean over classes of TP / (TP + FP): `sklearn.metrics.precision_score(average="macro", labels=...)`."""
        return self._mean(_share(self.both, self.scored))

    def macro_recall(self) -> Floats:
        """Mean over classes of TP / (TP + FN): `sklearn.metrics.balanced_accuracy_score`."""
        return self._mean(_share(self.both, self.of))

    def _mean(self, values: Floats) -> Floats:
        met = self.of > 0
        return np.asarray((values * met).sum(axis=-1) / met.sum(axis=-1))


@dataclass(frozen=True)
class Regression:
    """What a regression model answered, by row."""

    truth: Floats
    labels: Floats
    kind = Kind.REGRESSION

    def at(self, places: Places) -> Regression:
        return Regression(self.truth[places], self.labels[places])

    def is_like(self, other: Regression) -> bool:
        return np.array_equal(self.labels, other.labels)

    def weigh(self, weights: Floats) -> WeighedRegression:
        return WeighedRegression(self, weights)

    @cached_property
    def centred(self) -> Floats:
        """The truth from its median, which keeps the digits of sums of squares."""
        return np.asarray(self.truth - np.median(self.truth))

    @cached_property
    def summed(self) -> Floats:
        """1, absolute and squared error, truth and its square, each by row."""
        error = self.truth - self.labels
        return np.stack([np.ones(len(error)), abs(error), error**2, self.centred, self.centred**2])


class WeighedRegression:
    """`y` is the truth, `f` what was scored."""

    def __init__(self, model: Regression, weights: Floats) -> None:
        self._model, self._weights = model, weights
        self.all, self.absolute, self.squared, self.y, self.yy = _sums(weights, model.summed)

    def mean_absolute_error(self) -> Floats:
        """Mean of |y - f|: `sklearn.metrics.mean_absolute_error`."""
        return np.asarray(self.absolute / self.all)

    def root_mean_squared_error(self) -> Floats:
        """Root of the mean of (y - f)²: `sklearn.metrics.root_mean_squared_error`."""
        return np.asarray(np.sqrt(self.squared / self.all))

    def relative_absolute_error(self) -> Floats:
        """Sum of |y - f| over sum of |y - mean of y|, as Evaluate Model has it: a fraction, not per cent."""
        mean = np.asarray(self.y / self.all)[..., None]
        return _relative(self.absolute, (self._weights * abs(self._model.centred - mean)).sum(axis=-1))

    def relative_squared_error(self) -> Floats:
        """Sum of (y - f)² over sum of (y - mean of y)², as Evaluate Model has it: a fraction, not per cent."""
        return _relative(self.squared, self.yy - self.y**2 / self.all)

    def coefficient_of_determination(self) -> Floats:
        """1 - the relative squared error: `sklearn.metrics.r2_score`."""
        return np.asarray(1 - self.relative_squared_error())


Answered = TwoClass | Multiclass | Regression
Weighed = WeighedTwoClass | WeighedMulticlass | WeighedRegression

_MEASURES: dict[str, Callable[[Any], Floats]] = {
    "Accuracy": WeighedTwoClass.accuracy,
    "Precision": WeighedTwoClass.precision,
    "Recall": WeighedTwoClass.recall,
    "F-Score": WeighedTwoClass.f_score,
    "AUC": WeighedTwoClass.auc,
    "Average Log Loss": WeighedTwoClass.average_log_loss,
    "Overall accuracy": WeighedMulticlass.overall_accuracy,
    "Average accuracy": WeighedMulticlass.average_accuracy,
    "Micro-averaged precision": WeighedMulticlass.overall_accuracy,
    "Macro-averaged precision": WeighedMulticlass.macro_precision,
    "Micro-averaged recall": WeighedMulticlass.overall_accuracy,
    "Macro-averaged recall": WeighedMulticlass.macro_recall,
    "Mean Absolute Error": WeighedRegression.mean_absolute_error,
    "Root Mean Squared Error": WeighedRegression.root_mean_squared_error,
    "Relative Absolute Error": WeighedRegression.relative_absolute_error,
    "Relative Squared Error": WeighedRegression.relative_squared_error,
    "Coefficient of Determination": WeighedRegression.coefficient_of_determination,
}


def measure(metric: str, weighed: Weighed) -> Floats:
    """Return the metric (one of `FROM_ROWS`, of the model's kind) for each vector of weights."""
    return _MEASURES[metric](weighed)


def _sums(weights: Floats, values: Floats) -> Floats:
    """Return for each row of `values` its weighted sum, by vector of weights.

    Not by `@`: BLAS does so little work in threads that wait for each other, and rounds by how many there are.
    """
    return np.asarray(np.einsum("...n,kn->k...", weights, values))


def _share(part: Floats, whole: Floats) -> Floats:
    """Return 0 where the whole is: the convention of `zero_division=0`."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)


def _relative(part: Floats, whole: Floats) -> Floats:
    """Return the quotient; for a truth that does not vary, infinity, or NaN where the model does not miss it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / whole)
