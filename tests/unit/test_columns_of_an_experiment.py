"""Which cells of a table are missing to an experiment, and which of its columns its models learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.errors import ModuleError
from studio.experiments.loading import load_experiment
from studio.experiments.types import Experiment, Learnt
from studio.learning.ilearner import pack, unpack
from studio.learning.tables import Columns
from studio.learning.training import Trained, train
from tests.support.samples import wine

WINE = Learnt(label="cultivar", kind="multiclass", learner="logistic regression")


def learn(table: Columns, missing: list[str] | None = None, leave_out: list[str] | None = None) -> Trained:
    experiment = Experiment(name="Wine", seed=7, models=[WINE], missing=missing or [], leave_out=leave_out or [])
    [only] = train(experiment, table, {})
    return only


def with_gaps(table: Columns, gap: str) -> Columns:
    return {name: [gap if row % 7 == 3 else cell for row, cell in enumerate(cells)] for name, cells in table.items()}


def test_a_cell_that_stands_for_a_missing_value_trains_as_an_empty_one() -> None:
    empty = {**with_gaps(wine(), ""), "cultivar": wine()["cultivar"]}
    named = {**with_gaps(wine(), "NA"), "cultivar": wine()["cultivar"]}
    of_empty, of_named = learn(empty), learn(named, missing=["NA"])
    assert of_named.evaluation == of_empty.evaluation
    assert [feature.type for feature in of_named.model.manifest.features] == ["Double"] * 13
    assert [feature.type for feature in learn(named).model.manifest.features] == ["String"] * 13


def test_a_row_whose_label_is_missing_is_left_out() -> None:
    labels = ["?" if row < 20 else cell for row, cell in enumerate(wine()["cultivar"])]
    assert learn({**wine(), "cultivar": labels}, missing=["?"]).model.manifest.classes == ["first", "second", "third"]


def test_a_model_scores_a_missing_cell_as_an_empty_one_also_from_its_file() -> None:
    model = unpack(pack(learn(wine(), missing=["NA", "?"]).model))
    rows = {name: cells[:4] for name, cells in wine().items()}
    empty = model.predict({**rows, "alcohol": ["", None, "13.5", ""]})
    named = model.predict({**rows, "alcohol": ["NA", "?", "13.5", "NA"]})
    assert np.array_equal(named.probabilities, empty.probabilities)


def test_a_column_that_is_left_out_is_not_learnt_and_stays_in_the_scored_rows() -> None:
    numbered = {"id": [str(row) for row in range(178)], **wine()}
    trained = learn(numbered, leave_out=["id"])
    assert trained.evaluation == learn(wine()).evaluation
    assert "id" not in {feature.name for feature in trained.model.manifest.features}
    assert "id" in trained.scored


def test_a_column_to_leave_out_must_be_there() -> None:
    with pytest.raises(ModuleError, match='not found: "number"'):
        learn(wine(), leave_out=["number"])


def test_a_label_cannot_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "wine.yaml"
    file.write_text(
        "name: Wine\nseed: 7\nleave_out: [cultivar]\n"
        "models: [{label: cultivar, kind: multiclass, learner: random forest}]\n"
    )
    with pytest.raises(ValueError, match="leave_out: 'cultivar' is a label"):
        load_experiment(file)
