"""Tables of scikit-learn's data as the Studio reads them: columns of text."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from studio.experiments.types import Experiment, Kind, Learnt
from studio.learning.tables import Columns
from studio.learning.training import Trained, train


def wine(rows: int = 178) -> Columns:
    """Return the first rows of a shuffle; the label `cultivar` is first, second or third."""
    return _columns(load_wine(), "cultivar", ["first", "second", "third"], rows)


def breast_cancer(rows: int = 569) -> Columns:
    return _columns(load_breast_cancer(), "diagnosis", ["malignant", "benign"], rows)


def diabetes(rows: int = 442) -> Columns:
    return _columns(load_diabetes(), "progression", None, rows)


def cellar(rows: int = 178) -> Columns:
    """Return the wines with a text column for their colour and one for proline, and every ninth cell missing.

    `sweet` has no cell at all, `strong` is a truth value and the label of two classes.
    """
    table = wine(rows)
    colour = np.array([float(cell) for cell in table.pop("color_intensity")])
    proline = np.array([float(cell) for cell in table.pop("proline")])
    table["colour"] = np.array(["pale", "ruby", "deep, dark"])[np.digitize(colour, [3.5, 6])].tolist()
    table["proline"] = np.array(["low", "007", "high"])[np.digitize(proline, [550, 900])].tolist()
    table["strong"] = ["True" if float(cell) > 13 else "False" for cell in table["alcohol"]]
    table["sweet"] = [""] * len(colour)
    for place, name in enumerate(table):
        if name not in ("cultivar", "strong", "alcohol"):
            table[name] = ["" if (row + place) % 9 == 0 else cell for row, cell in enumerate(table[name])]
    return table


#: an experiment for each learner and kind, on `cellar`
LEARNT = [
    Learnt(label=label, kind=kind, learner=learner)
    for label, kind, learners in (
        ("strong", "two-class", ("logistic regression", "random forest", "boosted trees")),
        ("cultivar", "multiclass", ("logistic regression", "random forest", "boosted trees")),
        ("alcohol", "regression", ("ridge", "random forest", "boosted trees")),
    )
    for learner in learners
]
QUICK = {"Number of trees": "12"}


def name_of(learnt: Learnt) -> str:
    return f"{learnt.kind}, {learnt.learner}"


def learn(
    table: Columns, label: str, kind: Kind = "multiclass", learner: str = "logistic regression", seed: int = 7
) -> Trained:
    """Train one model with few trees."""
    return trained(Learnt(label=label, kind=kind, learner=learner), table, seed)


def trained(learnt: Learnt, table: Columns, seed: int = 7, **parameters: str) -> Trained:
    [only] = train(Experiment(name="Cellar", seed=seed, models=[learnt]), table, {**QUICK, **parameters})
    return only


def _columns(data: Any, label: str, classes: list[str] | None, rows: int) -> Columns:
    chosen = np.random.default_rng(5).permutation(len(data.data))[:rows]
    table = {
        str(name): [repr(float(cell)) for cell in cells]
        for name, cells in zip(data.feature_names, data.data[chosen].T, strict=True)
    }
    targets = data.target[chosen].tolist()
    return {**table, label: [classes[each] for each in targets] if classes else [repr(each) for each in targets]}
