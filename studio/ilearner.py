"""The `.ilearner` file: a zip of a manifest and a scikit-learn pipeline in skops' format.

Its bytes depend on nothing but what it holds, so the same training gives the same file. Loading runs no code that the
file brings: only the types listed here are ever made, and what they hold is checked before it is used.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import skops.io

from studio.encoding import Encoder
from studio.errors import bad_argument
from studio.experiments import Kind
from studio.trees import check_trees

SUFFIX = ".ilearner"
_DATED = (1980, 1, 1, 0, 0, 0)
_BYTES_AT_MOST = 512 << 20  #: of a part of the file once unpacked
#: types that skops does not trust by itself and that the learners here need; `check_trees` looks into the trees
_TRUSTED = [
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


class Column(msgspec.Struct, frozen=True):
    """A column and its type, in the names that the request-response service answers."""

    name: str
    type: Literal["Double", "Int32", "String"]

    @property
    def numeric(self) -> bool:
        return self.type != "String"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the model takes and gives. `classes` are in the order of its probabilities; the last is the positive."""

    experiment: str
    kind: Kind
    label: Column
    features: list[Column]
    classes: list[str] = []

    @property
    def columns(self) -> list[Column]:
        """The columns of its rows: the label is one of them, as in the data it was trained on."""
        return [*self.features, self.label]


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
        return Encoder(self.pipeline[0])

    def predict(self, columns: dict[str, list[Any]]) -> Scored:
        """Return the scores of the rows, given by column; every feature must be among the columns."""
        rows = len(next(iter(columns.values()), []))
        if not rows:
            none = np.zeros((0, len(self.manifest.classes)))
            return Scored([], none if self.manifest.classes else None)
        matrix, learner = self.encoder.encode(columns, rows), self.pipeline[-1]
        if self.manifest.kind == "regression":
            return Scored(learner.predict(matrix))
        probabilities = learner.predict_proba(matrix)
        return Scored([self.manifest.classes[index] for index in probabilities.argmax(axis=1)], probabilities)


def pack(model: TrainedModel) -> bytes:
    """Return the file's content."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        _write(file, "manifest.json", msgspec.json.format(msgspec.json.encode(model.manifest)))
        _write(file, "model.skops", _canonical(skops.io.dumps(model.pipeline)))
    return content.getvalue()


def unpack(content: bytes) -> TrainedModel:
    """Return the model, or raise the `InvalidBlob` error that says what the file is instead."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if any(part.file_size > _BYTES_AT_MOST for part in file.infolist()):
                raise ValueError("it unpacks to more than a model can be")
            manifest = msgspec.json.decode(file.read("manifest.json"), type=Manifest)
            pipeline = file.read("model.skops")
        model = TrainedModel(manifest, skops.io.loads(pipeline, trusted=_TRUSTED))
        _check(model)
    except Exception as error:
        # A stranger's file can break a reader in any way.
        raise bad_argument(
            "InvalidBlob", f"The provided blob is not a trained model ({type(error).__name__}: {str(error)[:200]})."
        ) from None
    return model


def _check(model: TrainedModel) -> None:
    """Raise unless the pipeline is one that `training` makes and fits its manifest."""
    manifest, learner = model.manifest, model.pipeline[-1]
    if len(model.pipeline) != 2 or model.encoder.columns != {column.name for column in manifest.features}:
        raise ValueError("its manifest names other columns than its pipeline")
    if learner.n_features_in_ != model.encoder.width:
        raise ValueError("its learner takes another number of columns than are prepared for it")
    if manifest.classes and [str(name) for name in learner.classes_] != manifest.classes:
        raise ValueError("its manifest names other classes than its learner")
    check_trees(learner)
    blank: dict[str, list[Any]] = {column.name: [None] for column in manifest.features}
    scored = model.predict(blank)
    if bool(manifest.classes) != (scored.probabilities is not None):
        raise ValueError("its manifest has classes where its learner has none")


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, _DATED), content, zipfile.ZIP_DEFLATED)


def _canonical(archive: bytes) -> bytes:
    """Return skops' archive with nothing of the process in it: it names objects by their place in memory."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(content, "w") as new:
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}

        def renamed(node: Any) -> Any:
            if isinstance(node, list):
                return [renamed(each) for each in node]
            if not isinstance(node, dict):
                return node
            node = {key: renamed(each) for key, each in node.items()}
            if isinstance(node.get("__id__"), int):
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if isinstance(node.get("file"), str):
                suffix = node["file"].rpartition(".")[2]
                node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.{suffix}")
            return node

        schema = renamed(msgspec.json.decode(old.read("schema.json")))
        _write(new, "schema.json", msgspec.json.encode(schema))
        for name, number in files.items():
            _write(new, number, old.read(name))
    return content.getvalue()
