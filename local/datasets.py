"""Data that scikit-learn ships, as the CSV files that users would drop.

`python3 run.py sample 400 > november.csv` writes the first 400 rows of the breast cancer data.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from functools import cache

LABEL = "diagnosis"

Rows = Sequence[Sequence[str]]


def breast_cancer() -> tuple[list[str], list[list[str]]]:
    """Return the header and the 569 rows as text; the label is the last column, `benign` or `malignant`."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    header = [*(str(name) for name in data.feature_names), LABEL]
    names = [str(name) for name in data.target_names]
    rows = [
        [*(repr(float(value)) for value in row), names[target]]
        for row, target in zip(data.data, data.target, strict=True)
    ]
    return header, rows


@cache
def diabetes() -> tuple[list[str], list[list[str]]]:
    """Return the header and the 442 rows as text; the label is the last column, `progression`, a number."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    rows = zip(data.data, data.target, strict=True)
    header = [*(str(name) for name in data.feature_names), "progression"]
    return header, [[*(repr(float(value)) for value in row), repr(float(target))] for row, target in rows]


def as_csv(header: Sequence[str], rows: Rows) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def with_shuffled_labels(rows: Rows, seed: int = 3) -> list[list[str]]:
    """Return the rows with the labels shuffled, so that there is nothing left to learn."""
    labels = [row[-1] for row in rows]
    random.Random(seed).shuffle(labels)
    return [[*row[:-1], label] for row, label in zip(rows, labels, strict=True)]


def with_a_short_row(header: Sequence[str], rows: Rows) -> bytes:
    """Return a CSV whose fifth row lost half of its values, as an upload that broke off leaves it."""
    broken = [list(row) for row in rows]
    broken[4] = broken[4][: len(header) // 2]
    return as_csv(header, broken)
