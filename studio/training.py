"""Trains an experiment's learner on a CSV table and evaluates it on rows it has not seen."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from studio import evaluation
from studio.experiments import Experiment
from studio.models import Column, Manifest, TrainedModel

Learner = Callable[[float], Any]  #: regularization weight -> estimator

LEARNERS: dict[str, Learner] = {
    "logistic regression": lambda weight: LogisticRegression(C=1 / weight, max_iter=2000),
    "ridge": lambda weight: Ridge(alpha=weight),
}
_FRACTION = "Fraction of rows for training"
_WEIGHT = "Regularization weight"


class ModuleError(Exception):
    """A module of the experiment failed: its number and sentence, as a failed job's details have them."""

    def __init__(self, module: str, number: int, error_id: str, message: str) -> None:
        super().__init__(message)
        self.module, self.number, self.error_id, self.message = module, number, error_id, message


@dataclass(frozen=True)
class Trained:
    model: TrainedModel
    evaluation: dict[str, float]


def train(experiment: Experiment, table: bytes, parameters: Mapping[str, str]) -> Trained:
    """Return the model and its metrics on the held-out rows.

    The same table, parameters and seed give the same model. Raises `ModuleError`.
    """
    values = {**experiment.parameters, **parameters}
    fraction, weight = _number(values, _FRACTION, 0.1, 0.9), _number(values, _WEIGHT, 1e-6, 1e6)
    data = read_table(table)
    if experiment.label not in data.columns:
        raise ModuleError(
            "Train Model", 1, "ColumnNotFound", f'One or more specified columns were not found: "{experiment.label}"'
        )
    data = data.dropna(subset=[experiment.label])
    features, label = data.drop(columns=experiment.label), data[experiment.label]
    classes: list[str] = []
    if experiment.kind != "regression":
        label = label.map(_text)
        classes = sorted(label.unique())
        _check_classes(experiment, label, classes)
    elif not pd.api.types.is_numeric_dtype(label):
        raise ModuleError("Train Model", 18, "InvalidDataset", f'The label "{experiment.label}" is not numeric')
    try:
        parts = train_test_split(
            features,
            label,
            train_size=fraction,
            random_state=experiment.seed,
            stratify=label if classes else None,
        )
    except ValueError as error:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", f"Too few rows to split: {error}") from None
    train_x, test_x, train_y, test_y = parts
    columns = [Column(str(name), bool(pd.api.types.is_numeric_dtype(kind))) for name, kind in features.dtypes.items()]
    pipeline = make_pipeline(_prepared(columns), LEARNERS[experiment.learner](weight))
    pipeline.fit(train_x, train_y)
    manifest = Manifest(
        experiment=experiment.name, kind=experiment.kind, label=experiment.label, features=columns, classes=classes
    )
    return Trained(TrainedModel(manifest, pipeline), _evaluate(manifest, pipeline, train_y, test_x, test_y))


def read_table(table: bytes) -> pd.DataFrame:
    """Return the CSV's columns as numbers where all cells are, else as text. Raises `ModuleError`."""
    try:
        lines = table.decode("utf-8-sig")
        # pandas fills short rows up, which Studio's reader refuses.
        same = len({len(row) for row in csv.reader(io.StringIO(lines, newline="")) if row}) == 1
        data = pd.read_csv(io.StringIO(lines), index_col=False, on_bad_lines="error") if same else None
    except (UnicodeDecodeError, csv.Error, ValueError):  # pandas' own errors are ValueErrors
        data = None
    if data is None:
        raise _library("AllRowsMustHaveSameElements", "All rows must have same number of elements")
    if data.empty:
        raise ModuleError("Reader", 21, "TooFewRowsInDataset", "The dataset has no rows")
    return data


def _library(error_id: str, message: str) -> ModuleError:
    return ModuleError("Reader", 1000, error_id, message)


def _number(values: Mapping[str, str], name: str, low: float, high: float) -> float:
    try:
        value = float(values[name])
    except (KeyError, ValueError):
        value = math.nan
    if not low <= value <= high:
        raise ModuleError(
            "Train Model", 8, "ParameterValueNotInRange", f'"{name}" must be a number from {low:g} to {high:g}'
        )
    return value


def _check_classes(experiment: Experiment, label: Any, classes: list[str]) -> None:
    if len(classes) < 2 or (experiment.kind == "two-class" and len(classes) > 2):
        number = "two" if experiment.kind == "two-class" else "at least two"
        raise ModuleError(
            "Train Model",
            6,
            "InvalidLabel",
            f'The label "{experiment.label}" has {len(classes)} values, and {number} are needed: {classes[:5]}',
        )
    if label.value_counts().min() < 2:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", "A label has fewer than two rows")


def _text(value: object) -> str:
    """Return a label as Studio shows it: whole numbers without a fraction, booleans in lower case."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _prepared(columns: list[Column]) -> ColumnTransformer:
    numeric = [column.name for column in columns if column.numeric]
    text = [column.name for column in columns if not column.numeric]
    steps: list[tuple[str, Any, list[str]]] = []
    if numeric:
        steps.append(("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric))
    if text:
        filled = SimpleImputer(strategy="constant", fill_value="")
        steps.append(("text", make_pipeline(filled, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), text))
    return ColumnTransformer(steps)


def _evaluate(manifest: Manifest, pipeline: Any, train_y: Any, test_x: Any, test_y: Any) -> dict[str, float]:
    match manifest.kind:
        case "two-class":
            positive = manifest.classes[-1]
            column = list(pipeline.classes_).index(positive)
            probabilities = pipeline.predict_proba(test_x)[:, column]
            truth = (test_y == positive).astype(int)
            return evaluation.two_class(truth, probabilities, float((train_y == positive).mean()))
        case "multiclass":
            return evaluation.multiclass(test_y, pipeline.predict(test_x), manifest.classes)
        case "regression":
            return evaluation.regression(test_y, pipeline.predict(test_x))
