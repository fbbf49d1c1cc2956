"""The evaluation table of a training experiment, read by its header.

Headers and number forms: Evaluate Model of Studio (classic) writes one row per scored data set, plain
decimals with up to 17 digits, and the words `Infinity` and `NaN`. The order of the columns is not a promise.
"""

import math
from enum import Enum

import msgspec

from shared.base.errors import BadEvaluation
from shared.domain.table import Table, Unreadable

BYTES_AT_MOST = 1 << 20  #: a table of metrics has a header and a row or two


class Kind(Enum):
    """What is learnt, which decides the metrics."""

    TWO_CLASS = "two-class"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


METRICS: dict[Kind, tuple[str, ...]] = {
    Kind.TWO_CLASS: ("Accuracy", "Precision", "Recall", "F-Score", "AUC", "Average Log Loss", "Training Log Loss"),
    Kind.MULTICLASS: (
        "Overall accuracy",
        "Average accuracy",
        "Micro-averaged precision",
        "Macro-averaged precision",
        "Micro-averaged recall",
        "Macro-averaged recall",
    ),
    Kind.REGRESSION: (
        "Negative Log Likelihood",
        "Mean Absolute Error",
        "Root Mean Squared Error",
        "Relative Absolute Error",
        "Relative Squared Error",
        "Coefficient of Determination",
    ),
}

#: the metrics that labels alone cannot give
NEED_PROBABILITIES = frozenset({"AUC", "Average Log Loss"})
#: what cannot be computed from the truth and the answers: only the training knows it
_NOT_FROM_ROWS = {"Training Log Loss", "Negative Log Likelihood"}
#: the metrics that scored rows give
FROM_ROWS = frozenset(name for names in METRICS.values() for name in names) - _NOT_FROM_ROWS

_OTHER_NAMES = {
    "f1": "F-Score",
    "f1 score": "F-Score",
    "f-score": "F-Score",
    "mae": "Mean Absolute Error",
    "rmse": "Root Mean Squared Error",
    "r2": "Coefficient of Determination",
}
_NAMES = {name.casefold(): name for names in METRICS.values() for name in names} | _OTHER_NAMES


def metric_name(text: str) -> str | None:
    """Return the metric's name as the tables write it, or None for a metric no table has."""
    return _NAMES.get(" ".join(text.split()).casefold())


def kind_of(metric: str) -> Kind:
    """Return the one kind whose tables have the metric."""
    return next(kind for kind, names in METRICS.items() if metric in names)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One row of metrics, each in the service's own digits (JSON has no `Infinity`)."""

    kind: Kind
    metrics: dict[str, str]

    def value(self, metric: str) -> float | None:
        """Return the metric (NaN and infinities included), or None where the table has no such column."""
        text = self.metrics.get(metric)
        return None if text is None else float(text)


def read_evaluation(table: bytes) -> Evaluation:
    """Return the metrics of the table's last row: the newest model, where two were compared.

    Raises `BadEvaluation`, which names what was found instead.
    """
    try:
        read = Table("The evaluation", [table])
        header, rows = read.names, [*read.full_rows()]
    except Unreadable as error:
        raise BadEvaluation(error.message) from None
    if not rows:
        raise BadEvaluation("The evaluation has a header alone; a row of metrics was expected")
    found = {metric_name(column): cell for column, cell in zip(header, rows[-1], strict=True)}
    metrics = {name: number_in(f"The evaluation's {name}", cell) for name, cell in found.items() if name is not None}
    kind = _kind_of(metrics)
    if kind is None:
        raise BadEvaluation(f"The evaluation has no column this app knows as a metric: {', '.join(header)}")
    return Evaluation(kind=kind, metrics=metrics)


def number_in(what: str, cell: str) -> str:
    """Return the number as text, as it was written; raise `BadEvaluation` for other text."""
    text = cell.strip()
    try:
        float(text)
    except ValueError:
        raise BadEvaluation(f"{what} is {text[:40]!r}, which is not a number") from None
    return text


def _kind_of(metrics: dict[str, str]) -> Kind | None:
    shared = {kind: len(metrics.keys() & set(names)) for kind, names in METRICS.items()}
    best = max(shared, key=lambda kind: shared[kind])
    return best if shared[best] else None


def shown(value: float) -> str:
    """Return the number as people read it in a reason: 4 decimals, two digits of a smaller one, or the word."""
    if not math.isfinite(value):
        return str(value)
    # The rounding error of a sum of equal numbers means nothing.
    value = 0.0 if abs(value) < 1e-12 else value
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.2g}"
