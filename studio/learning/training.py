"""Trains an experiment's models on a table, and judges each on rows it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from studio.errors import ModuleError
from studio.experiments.types import Experiment, Learnt, Part
from studio.learning import evaluation
from studio.learning.ilearner import Scored, TrainedModel, pools, without
from studio.learning.learners import FRACTION, SPLIT, estimator, read_parameters
from studio.learning.manifest import Column, Manifest
from studio.learning.scoring import scored_cells
from studio.learning.tables import Columns, number

CELLS_AT_MOST = 1 << 28  #: of the matrix to learn from: 2 GiB


@dataclass(frozen=True)
class Trained:
    """A model, its metrics on the held-out rows, and these rows with their scores, by column."""

    part: Part
    model: TrainedModel
    evaluation: dict[str, float]
    scored: Columns


def train(experiment: Experiment, data: Columns, parameters: Mapping[str, str]) -> list[Trained]:
    """Return the experiment's models in their order.

    A column is numeric if all its cells are. Rows without a label are left out. On one kind of processor the same rows,
    parameters and seed give the same models, byte for byte. Raises `ModuleError`.
    """
    values = {**experiment.parameters, **parameters}
    data = {name: without(cells, experiment.missing) for name, cells in data.items()}
    for name in (*experiment.labels, *experiment.leave_out):
        if name not in data:
            raise ModuleError(
                "Select Columns in Dataset" if name in experiment.leave_out else "Train Model",
                1,
                "ColumnNotFound",
                f'One or more specified columns were not found: "{name}"',
            )
    # One thread: sums keep their order whatever the machine is busy with, and scoring keeps its share of it.
    with pools().limit(limits=1):
        typed = {name: _typed(name, cells) for name, cells in data.items()}
        return [_trained(experiment, part, data, typed, values) for part in experiment.parts()]


def _trained(
    experiment: Experiment, part: Part, data: Columns, typed: Mapping[str, Any], values: Mapping[str, str]
) -> Trained:
    learnt = part.learnt
    fraction = read_parameters(SPLIT, values)[FRACTION]
    learner = estimator(learnt.learner, learnt.kind, values, experiment.seed)
    unused = {*experiment.labels, *experiment.leave_out}
    columns = [_column(name, cells) for name, cells in typed.items() if name not in unused]
    if not columns:
        raise ModuleError("Train Model", 20, "TooFewColumnsInDataset", "The dataset has no column to learn from")
    label, classes = _labels(learnt, typed[learnt.label])
    rows = np.flatnonzero(~_missing(label))
    try:
        fit, held = train_test_split(
            rows, train_size=fraction, random_state=experiment.seed, stratify=label[rows] if classes else None
        )
    except ValueError as error:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", f"Too few rows to split: {error}") from None
    features = _matrix({column.name: typed[column.name][fit] for column in columns})
    pipeline = make_pipeline(_prepared(columns), learner)
    pipeline.fit(features, label[fit])
    label_column = Column(learnt.label, "String") if classes else _column(learnt.label, label[rows])
    manifest = Manifest(
        experiment=experiment.name,
        kind=learnt.kind,
        label=label_column,
        features=columns,
        classes=classes,
        missing=experiment.missing,
    )
    model = TrainedModel(manifest, pipeline)
    cells = {name: [column[row] for row in held] for name, column in data.items()}
    scored = model.predict({column.name: cells[column.name] for column in columns})
    if classes:
        # So that it can be compared with the scored label, however the number was written.
        cells[learnt.label] = label[held].tolist()
    return Trained(part, model, _evaluated(manifest, scored, label[held]), {**cells, **scored_cells(manifest, scored)})


def _typed(name: str, cells: Sequence[str]) -> Any:
    """Return the cells as numbers where all are, else as text; missing ones as NaN."""
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells])
        if "_" in "".join(cells):  # 2026_11 is a number to Python alone
            raise ValueError
    except ValueError:
        return np.array([cell or np.nan for cell in cells], object)
    if np.isinf(numbers).any():
        raise ModuleError("Train Model", 13, "InvalidDataset", f'The column "{name}" has an infinite number in it')
    return numbers


def _column(name: str, cells: Any) -> Column:
    if cells.dtype == object:
        return Column(name, "String")
    return Column(name, "Int32" if bool(((cells % 1 == 0) & (np.abs(cells) < 2**31)).all()) else "Double")


def _labels(learnt: Learnt, cells: Any) -> tuple[Any, list[str]]:
    """Return the labels by row, NaN for a missing one, and the classes in the order of their names.

    A number is a class by its shortest spelling.
    """
    numeric = cells.dtype != object
    if learnt.kind == "regression":
        if not numeric:
            raise ModuleError("Train Model", 18, "InvalidDataset", f'The label "{learnt.label}" is not numeric')
        return cells, []
    if numeric:
        cells = np.array([np.nan if np.isnan(cell) else number(cell) for cell in cells.tolist()], object)
    counts = Counter(cells[~_missing(cells)].tolist())
    classes = sorted(counts)
    if len(classes) < 2 or (learnt.kind == "two-class" and len(classes) > 2):
        needed = "two" if learnt.kind == "two-class" else "at least two"
        raise ModuleError(
            "Train Model",
            6,
            "InvalidLabel",
            f'The label "{learnt.label}" has {len(classes)} values, and {needed} are needed: {classes[:5]}',
        )
    if few := [each for each in classes if counts[each] < 2]:
        raise ModuleError("Split Data", 21, "TooFewRowsInDataset", f'The label "{few[0]}" has fewer than two rows')
    return cells, classes


def _missing(cells: Any) -> Any:
    """Return of each cell whether it is NaN."""
    return np.not_equal(cells, cells).astype(bool)


def _matrix(columns: Mapping[str, Any]) -> Any:
    """Return the columns side by side, as numbers if all are.

    Raises for text that would make a column of each of too many values, such as an id.
    """
    values = {name: len({*cells[~_missing(cells)]}) for name, cells in columns.items() if cells.dtype == object}
    rows = len(next(iter(columns.values())))
    if values and rows * (len(columns) + sum(values.values())) > CELLS_AT_MOST:
        most = max(values, key=lambda name: values[name])
        raise ModuleError(
            "Train Model",
            138,
            "MemoryExhausted",
            f'Memory has been exhausted: the column "{most}" has {values[most]:,} categories; leave it out',
        )
    matrix = np.empty((rows, len(columns)), object if values else float)
    for index, cells in enumerate(columns.values()):
        matrix[:, index] = cells
    return matrix


def _prepared(columns: list[Column]) -> ColumnTransformer:
    numeric = [index for index, column in enumerate(columns) if column.numeric]
    text = [index for index, column in enumerate(columns) if not column.numeric]
    steps: list[tuple[str, Any, list[int]]] = []
    if numeric:
        median = SimpleImputer(strategy="median", keep_empty_features=True)
        steps.append(("numeric", make_pipeline(median, StandardScaler()), numeric))
    if text:
        filled = SimpleImputer(strategy="constant", fill_value="", keep_empty_features=True)
        steps.append(("text", make_pipeline(filled, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), text))
    return ColumnTransformer(steps)


def _evaluated(manifest: Manifest, scored: Scored, truth: Any) -> dict[str, float]:
    match manifest.kind:
        case "two-class":
            return evaluation.two_class((truth == manifest.classes[-1]).astype(int), scored.probabilities[:, -1])
        case "multiclass":
            return evaluation.multiclass(truth, scored.labels, manifest.classes)
        case "regression":
            return evaluation.regression(truth, scored.labels)
