"""The `.ilearner` file: a scikit-learn pipeline in skops' format, and with it a manifest of what it takes and gives.

Its bytes depend on nothing but what it holds, so the same model gives the same file. Loading runs no code that the
file brings: only the types listed here are ever made, they hold nothing but numbers and text, and what they hold is
checked before it is used.
"""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import msgspec
import numpy as np
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from studio.errors import bad_argument
from studio.learning import learners, rowwise
from studio.learning.encoding import Encoder
from studio.learning.manifest import Manifest
from studio.learning.schema import anonymous, check_schema
from studio.learning.trees import checked, freeze, thaw

#: rows that one thread scores: for so few, several wait for each other at every tree, all the longer on a busy machine
FEW = 1000
_MANIFEST = "manifest.json"
_SCHEMA = "schema.json"  #: where skops describes the objects
_DATED = (1980, 1, 1, 0, 0, 0)
_CELLS_AT_ONCE = 1 << 24  #: of the matrix of rows to score: 128 MiB


@dataclass(frozen=True)
class Scored:
    """What a model says of each row: its label as text, or its number; `probabilities` by row and class."""

    labels: Any
    probabilities: Any = None


@dataclass(frozen=True)
class TrainedModel:
    manifest: Manifest
    pipeline: Any

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.pipeline[0], [column.name for column in self.manifest.features])

    def predict(self, columns: dict[str, list[Any]]) -> Scored:
        """Return the scores of the rows, given by column; every feature must be among the columns.

        Raises `InputParseError` for a cell of a numeric column that is not a number.
        """
        rows = len(next(iter(columns.values()), []))
        at_once = max(1, _CELLS_AT_ONCE // self.encoder.width)
        if rows > at_once:
            return _joined([self.predict(_cut(columns, first, at_once)) for first in range(0, rows, at_once)])
        if not rows:
            none = np.zeros((0, len(self.manifest.classes)))
            return Scored([], none if self.manifest.classes else None)
        cells = {name: without(each, self.manifest.missing) for name, each in columns.items()}
        matrix, learner = self.encoder.encode(cells, rows), self.pipeline[-1]
        with pools().limit(limits=1 if rows <= FEW else None, user_api="openmp"):
            if self.manifest.kind == "regression":
                return Scored(rowwise.predictions(learner, matrix).tolist())
            probabilities = rowwise.probabilities(learner, matrix)
        return Scored([self.manifest.classes[index] for index in probabilities.argmax(axis=1)], probabilities)


@cache
def pools() -> ThreadpoolController:
    """Return what limits the threads of the libraries. To look for these among all files takes milliseconds."""
    return ThreadpoolController()


def without(cells: list[Any], missing: Sequence[str]) -> list[Any]:
    """Return the cells, empty where they stand for a missing value."""
    return ["" if cell in missing else cell for cell in cells] if missing else cells


def _cut(columns: dict[str, list[Any]], first: int, count: int) -> dict[str, list[Any]]:
    return {name: cells[first : first + count] for name, cells in columns.items()}


def _joined(parts: list[Scored]) -> Scored:
    labels = [label for part in parts for label in part.labels]
    return Scored(labels, None if parts[0].probabilities is None else np.concatenate([p.probabilities for p in parts]))


def pack(model: TrainedModel) -> bytes:
    """Return the file's content."""
    frozen = copy.copy(model.pipeline)
    (prepares, columns), (learns, learner) = frozen.steps
    frozen.steps = [(prepares, columns), (learns, freeze(learner))]
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(frozen))) as old, zipfile.ZipFile(content, "w") as new:
        files: dict[str, str] = {}
        schema = anonymous(msgspec.json.decode(old.read(_SCHEMA)), files)
        _write(new, _MANIFEST, msgspec.json.format(msgspec.json.encode(model.manifest)))
        _write(new, _SCHEMA, msgspec.json.encode(schema))
        for name, number in files.items():
            _write(new, number, old.read(name))
    return content.getvalue()


def unpack(content: bytes) -> TrainedModel:
    """Return the model, or raise the `InvalidBlob` error that says what the file is instead."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            parts = file.infolist()
            # Nothing is compressed and nothing lies in two parts, so the content read is at most as long as the file.
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError("a part of it is compressed")
            if sum(part.file_size for part in parts) > len(content):
                raise ValueError("its parts are larger than it is")
            manifest = msgspec.json.decode(file.read(_MANIFEST), type=Manifest)
            check_schema(msgspec.json.decode(file.read(_SCHEMA)))
        model = TrainedModel(manifest, skops.io.loads(content, trusted=["numpy.dtype"]))
        _check(model)
    except Exception as error:
        # A stranger's file can break a reader in any way.
        raise bad_argument(
            "InvalidBlob", f"The provided blob is not a trained model ({type(error).__name__}: {str(error)[:200]})."
        ) from None
    return model


def _check(model: TrainedModel) -> None:
    """Give the learner its trees; raise unless the pipeline is one that `training` makes and fits its manifest."""
    manifest, pipeline = model.manifest, model.pipeline
    if type(pipeline) is not Pipeline or [type(step) for _, step in pipeline.steps][:-1] != [ColumnTransformer]:
        raise ValueError("it is not a pipeline of prepared columns and a learner")
    learner, classes = pipeline.steps[-1][1], manifest.classes
    few, many = {"two-class": (2, 2), "multiclass": (2, len(classes)), "regression": (0, 0)}[manifest.kind]
    if not few <= len(classes) <= many or len(set(classes)) != len(classes):
        raise ValueError(f"its manifest has {len(classes)} classes, and it is a {manifest.kind} model")
    if model.encoder.numeric_by_name != {column.name: column.numeric for column in manifest.features}:
        raise ValueError("its manifest names other columns than its pipeline")
    if len(manifest.features) != len(model.encoder.numeric_by_name) or manifest.label in manifest.features:
        raise ValueError("its manifest names a column twice")
    learners.check_estimator(learner, manifest.kind)
    width = model.encoder.width
    if learner.n_features_in_ != width:
        raise ValueError("its learner takes another number of columns than are prepared for it")
    if classes and (learner.classes_.ndim != 1 or learner.classes_.tolist() != classes):
        raise ValueError("its manifest names other classes than its learner")
    if isinstance(learner, LogisticRegression):
        rows = 1 if len(classes) == 2 else len(classes)
        checked(learner.coef_, (rows, width))
        checked(learner.intercept_, (rows,))
    elif isinstance(learner, Ridge):
        checked(learner.coef_, (width,))
        checked(np.asarray(learner.intercept_), ())
    thaw(learner, width, len(classes))
    scored = model.predict({column.name: [None] for column in manifest.features})
    if classes:
        checked(scored.probabilities, (1, len(classes)))
    else:
        checked(np.asarray(scored.labels), (1,))


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, _DATED), content)
