"""Twelve real tables, as PyPI packages carry them: text, missing values, wide, imbalanced, many classes, amounts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from importlib.resources import files

import pandas as pd
from sklearn import datasets

Table = pd.DataFrame


def _sklearn(load: Callable[..., object], label: str, classes: bool) -> Table:
    data = load(as_frame=True)
    frame = data.frame.rename(columns={"target": label})  # type: ignore[attr-defined]
    if classes:
        frame[label] = [str(data.target_names[each]) for each in frame[label]]  # type: ignore[attr-defined]
    return frame


def _carried(package: str, name: str) -> Table:
    source = files(package) / name
    with source.open("rb") as content:
        if name.endswith(".json"):
            return pd.read_json(content)
        # Nothing is read as a number here: the cells stay as the package wrote them.
        return pd.read_csv(content, dtype=str, keep_default_na=False)


def _penguins(label: str, raw: bool = False) -> tuple[Table, str]:
    return _carried("palmerpenguins", f"data/penguins{'-raw' if raw else ''}.csv"), label


#: by name: the table and its label
SETS: dict[str, Callable[[], tuple[Table, str]]] = {
    "iris": lambda: (_sklearn(datasets.load_iris, "species", True), "species"),
    "wine": lambda: (_sklearn(datasets.load_wine, "cultivar", True), "cultivar"),
    "breast-cancer-2": lambda: (_sklearn(datasets.load_breast_cancer, "diagnosis", True), "diagnosis"),
    "diabetes": lambda: (_sklearn(datasets.load_diabetes, "progression", False), "progression"),
    # Of 64 columns and ten classes, a third of the rows is enough for a model, and trains in a third of the time.
    "digits": lambda: (_sklearn(datasets.load_digits, "digit", False).head(600), "digit"),
    "penguin-species": lambda: _penguins("species"),
    "penguin-sex": lambda: _penguins("Sex", raw=True),
    "penguin-mass": lambda: _penguins("body_mass_g"),
    "car-origin": lambda: (_carried("vega_datasets", "_data/cars.json"), "Origin"),
    "car-mileage": lambda: (_carried("vega_datasets", "_data/cars.json"), "Miles_per_Gallon"),
    "seattle-weather": lambda: (_carried("vega_datasets", "_data/seattle-weather.csv"), "weather"),
    "barley-yield": lambda: (_carried("vega_datasets", "_data/barley.json"), "yield"),
}


def as_files(table: Table) -> tuple[bytes, bytes]:
    """Return two CSV files: two thirds of the rows in a fixed order by chance, and all of them."""
    shuffled = table.sample(frac=1.0, random_state=3)
    return _csv(shuffled.head(len(shuffled) * 2 // 3)), _csv(shuffled)


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    return text.getvalue().encode()
