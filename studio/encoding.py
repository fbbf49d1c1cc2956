"""The columns of a model's input as the matrix its estimator takes.

A fitted `ColumnTransformer` costs milliseconds for a single row, as it looks at a data frame again and again. This is
what it does to the rows, read off it once: medians for missing numbers, centred and scaled, categories
as zeros and ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

from studio.errors import StudioError


class Encoder:
    """Raises an exception of any kind when the transformer is not one that `training` makes."""

    def __init__(self, transformer: ColumnTransformer) -> None:
        steps = {
            name: (step, list(columns)) for name, step, columns in transformer.transformers_ if name != "remainder"
        }
        if not steps or set(steps) - {"numeric", "text"}:
            raise ValueError("the columns are prepared in another way than this Studio's")
        self.numeric: list[str] = []
        self.text: list[tuple[str, dict[str, int]]] = []
        self.width = 0
        if "numeric" in steps:
            (imputer, scaler), self.numeric = steps["numeric"][0], steps["numeric"][1]
            self._medians = np.asarray(imputer.statistics_, float)
            self._means, self._scales = np.asarray(scaler.mean_, float), np.asarray(scaler.scale_, float)
            self.width = len(self.numeric)
            if {self._medians.shape, self._means.shape, self._scales.shape} != {(self.width,)}:
                raise ValueError("the numeric columns and their scales differ in number")
        if "text" in steps:
            (_, onehot), names = steps["text"]
            for name, categories in zip(names, onehot.categories_, strict=True):
                self.text.append((name, {str(each): self.width + index for index, each in enumerate(categories)}))
                self.width += len(categories)

    @property
    def columns(self) -> set[str]:
        return {*self.numeric, *(name for name, _ in self.text)}

    def typical(self) -> dict[str, float | str]:
        """Return a row that the model knows: the median of each numeric column, of each other the first category."""
        numbers = zip(self.numeric, self._medians, strict=True) if self.numeric else ()
        return {
            **{name: float(median) for name, median in numbers},
            **{name: next(filter(None, places), "") for name, places in self.text},
        }

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Any:
        """Return the matrix of `rows` x `width`; None, "" and NaN are missing.

        Raises `InputParseError` for a cell that should be a number and is none.
        """
        matrix = np.zeros((rows, self.width))
        if self.numeric:
            numbers = np.empty((rows, len(self.numeric)))
            for index, name in enumerate(self.numeric):
                numbers[:, index] = _numbers(name, columns[name])
            np.copyto(numbers, self._medians, where=np.isnan(numbers))
            matrix[:, : len(self.numeric)] = (numbers - self._means) / self._scales
        for name, places in self.text:
            for row, cell in enumerate(columns[name]):
                place = places.get("" if _is_missing(cell) else str(cell))
                if place is not None:
                    matrix[row, place] = 1.0
        return matrix


def _numbers(name: str, cells: Sequence[Any]) -> list[float]:
    try:
        return [np.nan if cell is None or cell == "" else float(cell) for cell in cells]
    except (TypeError, ValueError, OverflowError):
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise StudioError(
            "BadUserArgument",
            "InputParseError",
            f"Parsing of input vector failed: the column {name!r} is numeric, and a cell is {str(wrong)[:40]!r}.",
            name,
        ) from None


def _is_number(cell: Any) -> bool:
    try:
        float(0 if cell is None or cell == "" else cell)
        return True
    except (TypeError, ValueError, OverflowError):
        return False


def _is_missing(cell: Any) -> bool:
    return cell is None or cell == "" or cell != cell
