"""Scores rows of text with a trained model, in the columns of Studio's Score Model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from studio.errors import StudioError
from studio.evaluation import number
from studio.models import Manifest, TrainedModel


@dataclass(frozen=True)
class Table:
    """Columns with their types, and rows of text."""

    columns: list[str]
    types: list[str]
    values: list[list[str]]


def score(model: TrainedModel, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> Table:
    """Return the rows with the scored columns behind them.

    Raises `InputMismatchError` for rows of another length, `InputParseError` for a cell that is no number, and the
    module's own error for a feature that is not there.
    """
    for index, row in enumerate(values):
        if len(row) != len(columns):
            raise _bad("InputMismatchError", f"Row {index} has {len(row)} values for {len(columns)} columns.")
    manifest = model.manifest
    if missing := [feature.name for feature in manifest.features if feature.name not in columns]:
        raise StudioError(
            "ModuleExecutionError",
            "ModuleExecutionError",
            "The data set being scored must contain all features used during training, missing feature(s): "
            f"{', '.join(repr(name) for name in missing)}.",
        )
    cells = {name: [row[index] for row in values] for index, name in enumerate(columns)}
    frame = pd.DataFrame(
        {feature.name: _column(feature.name, feature.numeric, cells[feature.name]) for feature in manifest.features}
    )
    scored = _scored(manifest, model.pipeline, frame) if values else {name: [] for name in scored_columns(manifest)}
    texts = [[_cell(cell) for cell in cells[name]] for name in columns] + list(scored.values())
    types = input_types(manifest, columns) + list(scored_columns(manifest).values())
    return Table([*columns, *scored], types, [list(row) for row in zip(*texts, strict=True)])


def input_types(manifest: Manifest, columns: Sequence[str]) -> list[str]:
    numeric = {feature.name for feature in manifest.features if feature.numeric}
    numeric |= {manifest.label} if manifest.kind == "regression" else set()
    return ["Double" if name in numeric else "String" for name in columns]


def scored_columns(manifest: Manifest) -> dict[str, str]:
    """Return the names of the columns that the model fills, with their types."""
    match manifest.kind:
        case "two-class":
            return {"Scored Labels": "String", "Scored Probabilities": "Double"}
        case "multiclass":
            classes = {f'Scored Probabilities for Class "{name}"': "Double" for name in manifest.classes}
            return {**classes, "Scored Labels": "String"}
        case "regression":
            return {"Scored Labels": "Double"}


def _scored(manifest: Manifest, pipeline: Any, frame: pd.DataFrame) -> Mapping[str, list[str]]:
    if manifest.kind == "regression":
        return {"Scored Labels": [number(float(value)) for value in pipeline.predict(frame)]}
    probabilities = pipeline.predict_proba(frame)
    known = [str(name) for name in pipeline.classes_]
    labels = [known[index] for index in np.argmax(probabilities, axis=1)]
    by_class = {name: [number(float(value)) for value in probabilities[:, known.index(name)]] for name in known}
    if manifest.kind == "two-class":
        return {"Scored Labels": labels, "Scored Probabilities": by_class[manifest.classes[-1]]}
    named = {f'Scored Probabilities for Class "{name}"': by_class[name] for name in manifest.classes}
    return {**named, "Scored Labels": labels}


def _column(name: str, numeric: bool, cells: Sequence[Any]) -> Any:
    if not numeric:
        return [np.nan if cell in (None, "") else str(cell) for cell in cells]
    try:
        return [np.nan if cell in (None, "") else float(cell) for cell in cells]
    except (TypeError, ValueError):
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise _bad("InputParseError", f"Parsing of input vector failed: {name!r} is {str(wrong)[:40]!r}.") from None


def _is_number(cell: Any) -> bool:
    try:
        float(cell if cell not in (None, "") else 0)
        return True
    except (TypeError, ValueError):
        return False


def _cell(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _bad(detail: str, message: str) -> StudioError:
    return StudioError("BadUserArgument", detail, message)
