"""`python -m tests.support.kernels FOLDER`: what the models there answer under this process's kernels, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sklearn.datasets import load_digits
from threadpoolctl import threadpool_info

from studio.experiments.types import Learnt
from studio.learning.ilearner import TrainedModel, pack, unpack
from studio.learning.scoring import score_columns
from studio.learning.tables import Columns
from tests.support.samples import LEARNT, cellar, name_of, trained

DIGITS = "ten classes, boosted trees"
#: by name; with ten classes a sum has enough terms to be added up in more than one order
MODELS = {
    **{name_of(each): each for each in LEARNT},
    DIGITS: Learnt(label="digit", kind="multiclass", learner="boosted trees"),
}
BATCHES = (1, 2, 7)
ROWS = 14


def table_of(name: str) -> Columns:
    if name != DIGITS:
        return cellar()
    digits = load_digits()
    cells = zip(digits.feature_names, digits.data[:200].T, strict=True)
    columns = {str(name): list(map(str, column)) for name, column in cells}
    return {**columns, "digit": list(map(str, digits.target[:200]))}


def model_of(name: str) -> TrainedModel:
    return trained(MODELS[name], table_of(name), **{"Number of trees": "4"}).model


def depends_on_its_neighbours(model: TrainedModel, table: Columns) -> bool:
    answers = score_columns(model, table)
    return any(
        score_columns(model, _cut(table, first, size)) != _cut(answers, first, size)
        for size in BATCHES
        for first in range(0, ROWS, size)
    )


def _cut(table: Columns, first: int, size: int) -> Columns:
    return {name: cells[first : first + size] for name, cells in table.items()}


def main() -> None:
    models = {name: unpack((Path(sys.argv[1]) / name).read_bytes()) for name in MODELS}
    said = {
        "architectures": [each["architecture"] for each in threadpool_info() if "architecture" in each],
        "dependent": [name for name, model in models.items() if depends_on_its_neighbours(model, table_of(name))],
        "unequal": [name for name in MODELS if pack(model_of(name)) != pack(model_of(name))],
        "answers": {name: score_columns(model, table_of(name)) for name, model in models.items()},
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
