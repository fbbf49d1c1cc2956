"""The metrics that a run of MLflow logged, as the evaluation of a model.

A name that the configuration does not give is looked for as scikit-learn's autolog and MLflow's evaluation have it.
`training_...` is what autolog measures on the rows that were trained on, and is never taken unless it is named.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from shared.base.errors import BadEvaluation
from shared.base.suggestion import case_hint
from shared.domain.evaluation import METRICS, Evaluation, Kind, number_in

_ACCURACY, _R2 = ("accuracy", "accuracy_score"), ("r2", "r2_score")
#: the names of a metric that need no mapping; autolog adds the data set's name behind: roc_auc_score_X_test
NAMES: Mapping[str, tuple[str, ...]] = {
    "Accuracy": _ACCURACY,
    "Precision": ("precision", "precision_score"),
    "Recall": ("recall", "recall_score"),
    "F-Score": ("f1", "f1_score"),
    "AUC": ("auc", "roc_auc", "roc_auc_score"),
    "Average Log Loss": ("log_loss",),
    "Overall accuracy": _ACCURACY,
    "Mean Absolute Error": ("mae", "mean_absolute_error"),
    "Root Mean Squared Error": ("rmse", "root_mean_squared_error"),
    "Coefficient of Determination": _R2,
}
_HELD_OUT = r"(?:test|val|valid|validation|eval|holdout|held_?out)"
_SHOWN = 30  #: names of a run that an error lists


def read_metrics(
    logged: Mapping[str, str], names: Mapping[str, str], needed: Collection[str], kind: Kind
) -> Evaluation:
    """Return the evaluation. `names` are the run's names by the gate's; `needed` are those that the gate looks at.

    NaN is a value, which no rule accepts. Raises `BadEvaluation`, which says what the run has instead.
    """
    metrics: dict[str, str] = {}
    for metric in METRICS[kind]:
        name = names.get(metric) or _found(metric, logged)
        if name is not None and name in logged:
            metrics[metric] = number_in(f"The run's {name}", logged[name])
        elif metric in names or metric in needed:
            raise BadEvaluation(_missing(metric, names.get(metric), logged))
    return Evaluation(kind=kind, metrics=metrics)


def are_there(logged: Mapping[str, str], names: Mapping[str, str], needed: Collection[str], kind: Kind) -> bool:
    """Return whether the run has all that is read of it: metrics are logged in the background, and may come later."""
    try:
        read_metrics(logged, names, needed, kind)
    except BadEvaluation:
        return False
    return True


def _found(metric: str, logged: Mapping[str, str]) -> str | None:
    """Return the one name that the metric has in the run."""
    known = NAMES.get(metric, ())
    alone = [name for name in known if name in logged]
    found = alone or [name for name in sorted(logged) if any(_is_held_out(name, each) for each in known)]
    if len({logged[name] for name in found}) > 1:
        raise BadEvaluation(
            f"The run has several metrics that could be {metric}: {', '.join(found)}; name one in training.metrics"
        )
    return found[0] if found else None


def _is_held_out(name: str, known: str) -> bool:
    """Return whether the name is `known` with a prefix or a suffix for held-out data."""
    behind = rf"{known}(?:-\d+)?_(?:\w+_)?{_HELD_OUT}(?:_\w+)?"
    return re.fullmatch(rf"{_HELD_OUT}_{known}|{behind}", name, re.IGNORECASE) is not None


def _missing(metric: str, name: str | None, logged: Mapping[str, str]) -> str:
    there = _listed(logged)
    if name is not None:
        hint = case_hint(name, logged)
        return f"The run has no metric {name!r}, which training.metrics names for {metric}; {hint}{there}"
    of_training = [each for known in NAMES.get(metric, ()) if (each := f"training_{known}") in logged]
    hint = f"{of_training[0]} is of the rows that it was trained on; " if of_training else ""
    return f"The run has no metric that is {metric}; {hint}name it in training.metrics ({metric}: NAME); {there}"


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"it has: {', '.join(known[:_SHOWN]) or 'none'}{more}"
