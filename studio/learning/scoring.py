"""Scores rows with trained models, in the columns of Studio's Score Model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from studio.errors import StudioError
from studio.learning.manifest import Manifest
from studio.learning.tables import number

if TYPE_CHECKING:  # a server starts without the libraries of learning
    from studio.learning.ilearner import Scored, TrainedModel

#: The global parameter of a predictive web service: Score Model's own.
APPEND = "Append score columns to output"


@dataclass(frozen=True)
class Table:
    """Columns with their types, and rows of text."""

    columns: list[str]
    types: list[str]
    values: list[list[str]]


def score(model: TrainedModel, columns: Sequence[str], values: Sequence[Sequence[Any]], append: bool = True) -> Table:
    """Return the rows with the scored columns behind them, or the scored columns alone.

    Raises `InputMismatchError` for rows of another length, `InputParseError` for a cell that is not a number, and the
    module's own error for a feature that is not there.
    """
    for index, row in enumerate(values):
        if len(row) != len(columns):
            message = f"Row {index} has {len(row)} values for {len(columns)} columns."
            raise StudioError("BadUserArgument", "InputMismatchError", message)
    turned = zip(*values, strict=True) if values else repeat((), len(columns))
    by_column = {name: list(cells) for name, cells in zip(columns, turned, strict=True)}
    scored = score_columns(model, by_column)
    given = {name: _as_text(cells) for name, cells in by_column.items()} if append else {}
    types = {**column_types(model.manifest, given), **scored_columns(model.manifest)}
    cells = {**given, **scored}
    return Table(list(cells), list(types.values()), [list(row) for row in zip(*cells.values(), strict=True)])


def score_columns(model: TrainedModel, columns: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Return the scored columns of rows given by column. Raises what `score` does."""
    features = [feature.name for feature in model.manifest.features]
    if missing := [name for name in features if name not in columns]:
        raise StudioError(
            "ModuleExecutionError",
            "ModuleExecutionError",
            "The data set being scored must contain all features used during training, missing feature(s): "
            f"{', '.join(map(repr, missing))}.",
        )
    return scored_cells(model.manifest, model.predict({name: columns[name] for name in features}))


def column_types(manifest: Manifest, columns: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Return the type of each input column; one that the model does not know is text."""
    known = {column.name: str(column.type) for column in manifest.columns}
    return {name: known.get(name, "String") for name in columns}


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


def scored_cells(manifest: Manifest, scored: Scored) -> dict[str, list[str]]:
    """Return the cells of these columns."""
    if manifest.kind == "regression":
        return {"Scored Labels": list(map(number, scored.labels))}
    if manifest.kind == "two-class":
        positive = list(map(number, scored.probabilities[:, -1].tolist()))
        return {"Scored Labels": list(scored.labels), "Scored Probabilities": positive}
    by_class = {
        f'Scored Probabilities for Class "{name}"': list(map(number, scored.probabilities[:, index].tolist()))
        for index, name in enumerate(manifest.classes)
    }
    return {**by_class, "Scored Labels": list(scored.labels)}


def _as_text(cells: list[Any]) -> list[str]:
    if {*map(type, cells)} == {str}:
        return cells
    return [cell if isinstance(cell, str) else "" if cell is None else str(cell) for cell in cells]
