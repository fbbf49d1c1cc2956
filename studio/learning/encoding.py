"""The columns of a model's input as the matrix its estimator takes.

A fitted `ColumnTransformer` costs milliseconds for a single row, as it inspects the data frame many times. This is
what it does to the rows, read off it once: medians for missing numbers, centred and scaled, categories
as zeros and ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from studio.errors import StudioError
from studio.learning.trees import checked

_LARGEST = 1e38  #: after scaling; trees take their numbers in single precision


class Encoder:
    """`names` are those of the columns in their order.

    Raises an exception of any kind when the transformer is not one that `training` makes.
    """

    def __init__(self, transformer: ColumnTransformer, names: Sequence[str]) -> None:
        def named(column: int | str) -> str:
            return column if isinstance(column, str) else names[column]  # earlier models have names here

        steps = [
            (name, step, list(map(named, columns))) for name, step, columns in transformer.transformers_ if columns
        ]
        if [name for name, _, _ in steps] not in (["numeric"], ["text"], ["numeric", "text"]):
            raise ValueError("the columns are prepared in another way than this Studio's")
        self.numeric: list[str] = []
        self.text: list[tuple[str, dict[str, int]]] = []
        self.width = 0
        for name, step, columns in steps:
            [imputer, last] = [each for _, each in step.steps]
            if type(imputer) is not SimpleImputer:
                raise ValueError("missing cells are filled in another way than this Studio's")
            if name == "numeric":
                self._read_numbers(imputer, last, columns)
            else:
                self._read_categories(last, columns)

    def _read_numbers(self, imputer: SimpleImputer, scaler: Any, columns: list[str]) -> None:
        self.numeric, self.width = columns, len(columns)
        if type(scaler) is not StandardScaler:
            raise ValueError("numbers are scaled in another way than this Studio's")
        self._medians = checked(imputer.statistics_, (self.width,))
        self._means, self._scales = checked(scaler.mean_, (self.width,)), checked(scaler.scale_, (self.width,))
        if not self._scales.all():
            raise ValueError("a scale is zero")

    def _read_categories(self, onehot: Any, columns: list[str]) -> None:
        if type(onehot) is not OneHotEncoder:
            raise ValueError("categories are encoded in another way than this Studio's")
        for name, categories in zip(columns, onehot.categories_, strict=True):
            places = {each: self.width + index for index, each in enumerate(categories.tolist())}
            if len(places) != len(categories) or not all(isinstance(each, str) for each in places):
                raise ValueError(f"the categories of {name!r} are not different texts")
            self.text.append((name, places))
            self.width += len(places)

    @property
    def numeric_by_name(self) -> dict[str, bool]:
        """Return of each column whether it is numeric."""
        return {**dict.fromkeys(self.numeric, True), **{name: False for name, _ in self.text}}

    def typical(self) -> dict[str, float | str]:
        """Return a row that the model knows: the median of each numeric column, of each other the first category."""
        numbers = zip(self.numeric, self._medians, strict=True) if self.numeric else ()
        return {
            **{name: float(median) for name, median in numbers},
            **{name: next(filter(None, places), "") for name, places in self.text},
        }

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Any:
        """Return the matrix of `rows` x `width`; None, "" and NaN are missing.

        Raises `InputParseError` for a cell of a numeric column that is not a number.
        """
        matrix = np.zeros((rows, self.width))
        if self.numeric:
            numbers = np.empty((rows, len(self.numeric)))
            for index, name in enumerate(self.numeric):
                numbers[:, index] = _numbers(name, columns[name])
            np.copyto(numbers, self._medians, where=np.isnan(numbers))
            numbers -= self._means
            numbers /= self._scales
            if not (np.abs(numbers) <= _LARGEST).all():
                raise self._too_large(columns, numbers)
            matrix[:, : len(self.numeric)] = numbers
        for name, places in self.text:
            for row, cell in enumerate(columns[name]):
                place = places.get("" if _is_missing(cell) else str(cell))
                if place is not None:
                    matrix[row, place] = 1.0
        return matrix

    def _too_large(self, columns: Mapping[str, Sequence[Any]], numbers: Any) -> StudioError:
        row, index = np.argwhere(~(np.abs(numbers) <= _LARGEST))[0]
        name = self.numeric[index]
        return _unreadable(name, columns[name][row], "is too large")


def _numbers(name: str, cells: Sequence[Any]) -> list[float]:
    try:
        return list(map(float, cells))
    except (TypeError, ValueError, OverflowError):
        return [_number(name, cell) for cell in cells]


def _number(name: str, cell: Any) -> float:
    try:
        return np.nan if cell is None or cell == "" else float(cell)
    except (TypeError, ValueError, OverflowError):
        raise _unreadable(name, cell, "is not a number") from None


def _unreadable(name: str, cell: Any, why: str) -> StudioError:
    message = f"Parsing of input vector failed: the column {name!r} is numeric, and the cell {str(cell)[:40]!r} {why}."
    return StudioError("BadUserArgument", "InputParseError", message, name)


def _is_missing(cell: Any) -> bool:
    return cell is None or cell == "" or cell != cell
