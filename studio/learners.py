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
from studio.experiments import Kind

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


def estimator(name: str, kind: Kind, values: Mapping[str, str], seed: int) -> Any:
    """Return the learner's estimator for the kind. Raises `ModuleError` for a wrong value, ValueError for a name."""
    learner = LEARNERS.get(name)
    classifies = kind != "regression"
    if learner is None or not (learner.classifies if classifies else learner.estimates):
        able = [each for each, one in LEARNERS.items() if (one.classifies if classifies else one.estimates)]
        raise ValueError(f"{name!r} is no learner for {kind}; there are: {', '.join(able)}")
    return learner.make(classifies, read_parameters(learner.parameters, values), seed)


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
    return int(value) if parameter.whole else float(value)
