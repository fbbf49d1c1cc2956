"""The learners of an experiment: scikit-learn estimators by their names on Studio's canvas, with their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from studio.errors import ModuleError
from studio.experiments.types import Kind

FRACTION = "Fraction of rows for training"


@dataclass(frozen=True)
class Parameter:
    """A number within bounds, whole if `whole`."""

    default: float
    low: float
    high: float
    whole: bool = False


@dataclass(frozen=True)
class Learner:
    """`make(classifies, values, seed)` gives the estimator for parameter values by their names."""

    parameters: Mapping[str, Parameter]
    make: Callable[[bool, Mapping[str, Any], int], Any]
    classifies: bool = True
    estimates: bool = True


_WEIGHT = "Regularization weight"
_TREES = "Number of trees"
_LEAVES = "Maximum number of leaves per tree"
_RATE = "Learning rate"

SPLIT = {FRACTION: Parameter(0.7, 0.1, 0.9)}
LEARNERS: dict[str, Learner] = {
    "logistic regression": Learner(
        {_WEIGHT: Parameter(1.0, 1e-6, 1e6)},
        lambda _, values, __: LogisticRegression(C=1 / values[_WEIGHT], max_iter=2000),
        estimates=False,
    ),
    "ridge": Learner(
        {_WEIGHT: Parameter(1.0, 1e-6, 1e6)}, lambda _, values, __: Ridge(alpha=values[_WEIGHT]), classifies=False
    ),
    "random forest": Learner(
        {_TREES: Parameter(100, 1, 1000, whole=True), _LEAVES: Parameter(1024, 2, 65536, whole=True)},
        lambda classifies, values, seed: (RandomForestClassifier if classifies else RandomForestRegressor)(
            values[_TREES], max_leaf_nodes=values[_LEAVES], random_state=seed
        ),
    ),
    "boosted trees": Learner(
        {
            _TREES: Parameter(100, 1, 1000, whole=True),
            _LEAVES: Parameter(20, 2, 1024, whole=True),
            _RATE: Parameter(0.1, 1e-4, 1.0),
        },
        lambda classifies, values, seed: (
            HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
        )(
            max_iter=values[_TREES],
            max_leaf_nodes=values[_LEAVES],
            learning_rate=values[_RATE],
            early_stopping=False,
            random_state=seed,
        ),
    ),
}


_CLASSIFIERS = (LogisticRegression, RandomForestClassifier, HistGradientBoostingClassifier)
_REGRESSORS = (Ridge, RandomForestRegressor, HistGradientBoostingRegressor)
#: what `make` sets; all else of a learner is as scikit-learn has it
_SET = {"C", "max_iter", "alpha", "n_estimators", "max_leaf_nodes", "learning_rate", "early_stopping", "random_state"}


def estimator(name: str, kind: Kind, values: Mapping[str, str], seed: int) -> Any:
    """Return the learner's estimator for the kind. Raises `ModuleError` for a wrong value."""
    learner = LEARNERS[name]
    return learner.make(kind != "regression", read_parameters(learner.parameters, values), seed)


def names_for(kind: Kind) -> list[str]:
    """Return the names of the learners that can learn it."""
    return [name for name, one in LEARNERS.items() if (one.estimates if kind == "regression" else one.classifies)]


def check_estimator(learner: Any, kind: Kind) -> None:
    """Raise an exception of any kind unless `estimator` could have made it."""
    if type(learner) not in (_REGRESSORS if kind == "regression" else _CLASSIFIERS):
        raise ValueError(f"its learner is a {type(learner).__name__}, which is not a learner for {kind}")
    if hidden := [name for name in vars(learner) if hasattr(type(learner), name)]:
        raise ValueError(f"its learner has another {hidden[0]}")
    given, usual = (each.get_params(deep=False) for each in (learner, type(learner)()))
    if changed := [name for name in usual if name not in _SET and given[name] != usual[name]]:
        raise ValueError(f"its learner has another {changed[0]}")


def read_parameters(parameters: Mapping[str, Parameter], values: Mapping[str, str]) -> dict[str, Any]:
    """Return each parameter's value, its default where none is given; raise `ModuleError` for one out of bounds."""
    return {name: _read(name, parameter, values.get(name)) for name, parameter in parameters.items()}


def _read(name: str, parameter: Parameter, text: str | None) -> float:
    try:
        value = float(parameter.default if text is None else text)
    except ValueError:
        value = math.nan
    if not parameter.low <= value <= parameter.high or (parameter.whole and not value.is_integer()):
        kind = "a whole number" if parameter.whole else "a number"
        raise ModuleError(
            "Train Model",
            8,
            "ParameterValueNotInRange",
            f'"{name}" must be {kind} from {parameter.low:g} to {parameter.high:g}; it is {text!r}',
        )
    return int(value) if parameter.whole else value
