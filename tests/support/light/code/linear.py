"""A linear discriminant of two classes. Standard library only: most of a short process is the import of libraries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = "linear.json"
RIDGE = 0.1  #: added to the variance of each scaled column, so that columns that repeat each other have weights

Rows = Sequence[Sequence[float]]


def fit(names: list[str], rows: Rows, positive: Sequence[bool]) -> dict[str, Any]:
    """Return the model of rows of these columns: the weight of each column, and what is added to their sum."""
    columns = list(zip(*rows, strict=True))
    means = [math.fsum(column) / len(rows) for column in columns]
    scales = [
        math.sqrt(math.fsum((cell - mean) ** 2 for cell in column) / len(rows)) or 1.0
        for column, mean in zip(columns, means, strict=True)
    ]
    scaled = [
        [(cell - mean) / scale for cell in column] for column, mean, scale in zip(columns, means, scales, strict=True)
    ]
    of = {truth: [place for place, each in enumerate(positive) if each is truth] for truth in (False, True)}
    centres = {truth: [math.fsum(column[at] for at in of[truth]) / len(of[truth]) for column in scaled] for truth in of}
    apart = [
        [cell - centres[truth][place] for cell, truth in zip(column, positive, strict=True)]
        for place, column in enumerate(scaled)
    ]
    spread = [[_product(one, other) / len(rows) + (RIDGE if one is other else 0.0) for other in apart] for one in apart]
    weights = _solved(spread, [yes - no for no, yes in zip(centres[False], centres[True], strict=True)])
    middle = [(no + yes) / 2 for no, yes in zip(centres[False], centres[True], strict=True)]
    beside = math.log(len(of[True]) / len(of[False])) - _product(weights, middle)
    weights = [weight / scale for weight, scale in zip(weights, scales, strict=True)]
    return {"columns": names, "weights": weights, "beside": beside - _product(weights, means)}


def probabilities(model: dict[str, Any], columns: Sequence[str], rows: Rows) -> list[list[float]]:
    """Return the probability of each class for each row; the rows may have the columns in another order."""
    order = [columns.index(name) for name in model["columns"]]
    found = []
    for row in rows:
        score = _product(model["weights"], [float(row[at]) for at in order]) + model["beside"]
        share = math.exp(-abs(score)) / (1 + math.exp(-abs(score)))
        found.append([share, 1 - share] if score > 0 else [1 - share, share])
    return found


def save(model: dict[str, Any], folder: Path) -> None:
    """Write the model as a folder that MLflow describes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(model), "utf-8")
    described = {"flavors": {"python_function": {"loader_module": "linear", "data": FILE}}}
    (folder / "MLmodel").write_text(json.dumps(described), "utf-8")


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(float.__mul__, one, other))


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Return what the matrix, which is symmetric and positive, turns into the right side."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for place, pivot in enumerate(rows):
        for row in rows[place + 1 :]:
            share = row[place] / pivot[place]
            row[place:] = [cell - share * of_pivot for cell, of_pivot in zip(row[place:], pivot[place:], strict=True)]
    found = [0.0] * len(rows)
    for place in reversed(range(len(rows))):
        known = _product(rows[place][place + 1 : -1], found[place + 1 :])
        found[place] = (rows[place][-1] - known) / rows[place][place]
    return found
