"""Trains an experiment's models on a table, and judges each on rows it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from studio import evaluation
from studio.errors import ModuleError
from studio.experiments import Experiment, Learnt, Part
from studio.ilearner import Column, Manifest, Scored, TrainedModel
from studio.learners import FRACTION, SPLIT, estimator, read_parameters
from studio.scoring import scored_cells


@dataclass(frozen=True)
class Trained:
    """A model, its metrics on the held-out rows, and these rows with their scores, by column."""

    part: Part
    model: TrainedModel
    evaluation: dict[str, float]
    scored: dict[str, list[Any]]


def train(experiment: Experiment, data: pd.DataFrame, parameters: Mapping[str, str]) -> list[Trained]:
    """Return the experiment's models in their order.

    The same rows, parameters and seed give the same models, byte for byte. Raises `ModuleError`.
    """
    # One thread: sums keep their order whatever the machine is busy with, and scoring keeps its share of it.
    with threadpool_limits(1):
        return [
            _trained(experiment, part, data, {**experiment.parameters, **parameters}) for part in experiment.parts()
        ]


def _trained(experiment: Experiment, part: Part, data: pd.DataFrame, values: Mapping[str, str]) -> Trained:
    learnt = part.learnt
    fraction = read_parameters(SPLIT, values)[FRACTION]
    learner = estimator(learnt.learner, learnt.kind, values, experiment.seed)
    if missing := [name for name in experiment.labels if name not in data.columns]:
        raise ModuleError(
            "Train Model", 1, "ColumnNotFound", f'One or more specified columns were not found: "{missing[0]}"'
        )
    data = data.dropna(subset=[learnt.label])
    features, label = data.drop(columns=experiment.labels), data[learnt.label]
    if features.columns.empty:
        raise ModuleError("Train Model", 20, "TooFewColumnsInDataset", "The dataset has no column to learn from")
    columns = [_column(str(name), features[name]) for name in features]
    label_type = _column(learnt.label, label).type
    classes: list[str] = []
    if learnt.kind != "regression":
        label = label.map(_text)
        classes, label_type = sorted(label.unique()), "String"
        _check_classes(learnt, label, classes)
    elif label_type == "String":
        raise ModuleError("Train Model", 18, "InvalidDataset", f'The label "{learnt.label}" is not numeric')
    try:
        fit_x, held_x, fit_y, held_y = train_test_split(
            features, label, train_size=fraction, random_state=experiment.seed, stratify=label if classes else None
        )
    except ValueError as error:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", f"Too few rows to split: {error}") from None
    pipeline = make_pipeline(_prepared(columns), learner)
    pipeline.fit(fit_x, fit_y)
    manifest = Manifest(
        experiment=experiment.name,
        kind=learnt.kind,
        label=Column(learnt.label, label_type),
        features=columns,
        classes=classes,
    )
    model = TrainedModel(manifest, pipeline)
    scored = model.predict({column.name: held_x[column.name].tolist() for column in columns})
    cells = {str(name): data.loc[held_x.index, name].tolist() for name in data.columns}
    cells = {name: ["" if pd.isna(cell) else cell for cell in column] for name, column in cells.items()}
    return Trained(
        part, model, _evaluated(manifest, scored, fit_y, held_y), {**cells, **scored_cells(manifest, scored)}
    )


def _column(name: str, cells: Any) -> Column:
    if not pd.api.types.is_numeric_dtype(cells):
        return Column(name, "String")
    known = cells.dropna()
    whole = bool(((known % 1 == 0) & (known.abs() < 2**31)).all()) and len(known) == len(cells)
    return Column(name, "Int32" if whole else "Double")


def _check_classes(learnt: Learnt, label: Any, classes: list[str]) -> None:
    if len(classes) < 2 or (learnt.kind == "two-class" and len(classes) > 2):
        number = "two" if learnt.kind == "two-class" else "at least two"
        raise ModuleError(
            "Train Model",
            6,
            "InvalidLabel",
            f'The label "{learnt.label}" has {len(classes)} values, and {number} are needed: {classes[:5]}',
        )
    if label.value_counts().min() < 2:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", "A label has fewer than two rows")


def _text(value: object) -> str:
    """Return a label as Studio shows it: whole numbers without a fraction."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _prepared(columns: list[Column]) -> ColumnTransformer:
    numeric = [column.name for column in columns if column.numeric]
    text = [column.name for column in columns if not column.numeric]
    steps: list[tuple[str, Any, list[str]]] = []
    if numeric:
        median = SimpleImputer(strategy="median", keep_empty_features=True)
        steps.append(("numeric", make_pipeline(median, StandardScaler()), numeric))
    if text:
        filled = SimpleImputer(strategy="constant", fill_value="", keep_empty_features=True)
        steps.append(("text", make_pipeline(filled, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), text))
    return ColumnTransformer(steps)


def _evaluated(manifest: Manifest, scored: Scored, fit_y: Any, held_y: Any) -> dict[str, float]:
    match manifest.kind:
        case "two-class":
            positive = manifest.classes[-1]
            prior = float((fit_y == positive).mean())
            return evaluation.two_class((held_y == positive).astype(int), scored.probabilities[:, -1], prior)
        case "multiclass":
            return evaluation.multiclass(held_y, scored.labels, manifest.classes)
        case "regression":
            return evaluation.regression(held_y, scored.labels)
