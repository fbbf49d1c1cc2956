"""The ilearner file: what a stranger sends runs no code, brings no process down, and leaves nothing behind."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import skops.io
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import NODE_DTYPE
from threadpoolctl import threadpool_info, threadpool_limits

from local.children import ROOT
from studio.errors import StudioError
from studio.learning import rowwise
from studio.learning.ilearner import FEW, TrainedModel, pack, unpack
from studio.learning.manifest import Column
from studio.learning.trees import freeze
from studio.state.models import Models, check_replaces
from tests.support.samples import LEARNT, cellar, learn, trained

LOGISTIC, FOREST, BOOSTED = LEARNT[0], LEARNT[1], LEARNT[2]
RIDGE, FOREST_OF_NUMBERS, BOOSTED_NUMBERS = LEARNT[6], LEARNT[7], LEARNT[8]
MARK = "ran-a-strangers-code"


@cache
def model(number: int) -> TrainedModel:
    """Return a model of that number in the list of learners, as it comes out of its file."""
    return unpack(pack(trained(LEARNT[number], cellar()).model))


def strangers(
    number: int,
    change: Callable[[Any, Any], Any] = lambda *_: None,
    frozen: bool = True,
    **manifest: Any,
) -> bytes:
    """Return a model file as somebody else may write it, after `change` was at its learner and its pipeline."""
    pipeline = copy.deepcopy(model(number).pipeline)
    name, learner = pipeline.steps[-1]
    learner = freeze(learner) if frozen else learner
    pipeline.steps[-1] = (name, learner)
    pipeline = change(learner, pipeline) or pipeline
    shown = msgspec.structs.replace(model(number).manifest, **manifest)
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))) as old, zipfile.ZipFile(content, "w") as new:
        new.writestr("manifest.json", msgspec.json.encode(shown))
        for part in old.namelist():
            new.writestr(part, old.read(part))
    return content.getvalue()


def with_part(name: str, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return the logistic model with another part of that name."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(strangers(0))) as old, zipfile.ZipFile(content, "w") as new:
        for part in old.namelist():
            if part.endswith(name):
                new.writestr(part, change(old.read(part)), compression)
            else:
                new.writestr(part, old.read(part))
    return content.getvalue()


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {MARK}",)


def having(**values: Any) -> Callable[[Any, Any], None]:
    """Return a change that gives the learner these attributes."""
    return lambda learner, _: vars(learner).update(values)


def nodes(field: str, value: Any, place: int = 0) -> Callable[[Any, Any], None]:
    """Return a change of one field of one node of the trees."""

    def change(learner: Any, _: Any) -> None:
        frozen, kind = (
            (learner.estimators_, NODE_DTYPE)
            if hasattr(learner, "estimators_")
            else (learner._predictors, PREDICTOR_RECORD_DTYPE)
        )
        forged = np.frombuffer(bytearray(frozen["nodes"].tobytes()), kind)
        forged[field][place] = value
        frozen["nodes"] = np.frombuffer(forged.tobytes(), np.uint8)

    return change


def trees(name: str, change: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    """Return a change of one of the arrays of the trees."""

    def changed(learner: Any, _: Any) -> None:
        frozen = learner.estimators_ if hasattr(learner, "estimators_") else learner._predictors
        frozen[name] = change(frozen[name])

    return changed


def prepared(step: int, **values: Any) -> Callable[[Any, Any], None]:
    """Return a change of the attributes of a step for the columns: 0 medians, 1 scales, 2 texts, 3 categories."""

    def change(_: Any, pipeline: Any) -> None:
        steps = [each for _, part, _ in pipeline[0].transformers_ for _, each in part.steps]
        vars(steps[step]).update(values)

    return change


def _another_step(_: Any, pipeline: Any) -> Any:
    return make_pipeline(FunctionTransformer(np.sqrt), *(step for _, step in pipeline.steps))


def _another_scaler(_: Any, pipeline: Any) -> None:
    part = pipeline[0].transformers_[0][1]
    part.steps[1] = ("scaler", FunctionTransformer(np.sqrt))


def _tree_in_full(learner: Any, _: Any) -> None:
    state = learner.estimators_[0].tree_.__getstate__()
    learner.estimators_[0].tree_.__setstate__({**state, "node_count": state["node_count"]})


def _one_longer(array: Any) -> Any:
    return np.concatenate([array, array[:1]])


def _npy(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return content.getvalue()


def _is_in(text: bytes, other: bytes) -> Callable[[bytes], bytes]:
    def change(schema: bytes) -> bytes:
        assert text in schema
        return schema.replace(text, other)

    return change


MANIFEST = model(0).manifest
WIDTH = model(0).encoder.width
NUMERIC = len(model(0).encoder.numeric)
FORGED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"import os",
    "a pickle": lambda: pickle.dumps(Evil()),
    "cut off": lambda: strangers(0)[:-500],
    "half of it": lambda: strangers(0)[:20_000],
    "no manifest": lambda: with_part("manifest.json", lambda _: b"{}"),
    "a pickle as the schema": lambda: with_part("schema.json", lambda _: pickle.dumps(Evil())),
    "a pickle as an array": lambda: with_part(".npy", lambda _: pickle.dumps(Evil())),
    "a compressed part": lambda: with_part("schema.json", lambda _: b" " * (8 << 20), zipfile.ZIP_DEFLATED),
    "a part packed by lzma": lambda: with_part("schema.json", lambda _: b" " * (1 << 20), zipfile.ZIP_LZMA),
    "an array of petabytes": lambda: with_part(".npy", lambda _: _npy((1 << 50,))),
    "an array of negative length": lambda: with_part(".npy", lambda _: _npy((-1,))),
    "deep nesting": lambda: with_part("schema.json", lambda _: b"[" * 100_000 + b"]" * 100_000),
    "a deep number": lambda: with_part(
        "schema.json", _is_in(b'"content": "true"', b'"content": "' + b"[" * 9999 + b'"')
    ),
    "a function as the class": lambda: with_part(
        "schema.json",
        lambda schema: _is_in(b'"sklearn.linear_model._logistic"', b'"os"')(
            _is_in(b'"LogisticRegression"', b'"system"')(schema)
        ),
    ),
    "a function by name": lambda: with_part(
        "schema.json", _is_in(b'"__loader__": "TypeNode"', b'"__loader__": "FunctionNode"')
    ),
    "a method": lambda: with_part("schema.json", _is_in(b'"__loader__": "TypeNode"', b'"__loader__": "MethodNode"')),
    "another learner": lambda: strangers(0, lambda _, pipe: make_pipeline(pipe[0], GaussianProcessClassifier())),
    "a lone tree": lambda: strangers(0, lambda _, pipe: make_pipeline(pipe[0], DecisionTreeClassifier())),
    "a step more": lambda: strangers(0, _another_step),
    "a pipeline in its pipeline": lambda: strangers(0, lambda _, pipe: make_pipeline(pipe[0], make_pipeline(pipe[-1]))),
    "no pipeline": lambda: strangers(0, lambda learner, _: learner),
    "a function for a scaler": lambda: strangers(0, _another_scaler),
    "scikit-learn's own trees": lambda: strangers(1, _tree_in_full, frozen=False),
    "scikit-learn's own boosted trees": lambda: strangers(2, frozen=False),
    "a hidden method": lambda: strangers(0, having(predict_proba=[0.5])),
    "a hidden method of a forest": lambda: strangers(1, having(_validate_X_predict=1)),
    "a million workers": lambda: strangers(1, having(n_jobs=1_000_000)),
    "another loss": lambda: strangers(2, having(loss="quantile")),
    "coefficients of fewer columns": lambda: strangers(0, having(coef_=np.zeros((1, WIDTH - 1)))),
    "coefficients of more classes": lambda: strangers(0, having(coef_=np.zeros((3, WIDTH)))),
    "coefficients of text": lambda: strangers(0, having(coef_="1")),
    "coefficients that are not numbers": lambda: strangers(0, having(coef_=np.full((1, WIDTH), np.nan))),
    "coefficients in another precision": lambda: strangers(0, having(coef_=np.zeros((1, WIDTH), np.float32))),
    "an intercept a row": lambda: strangers(0, having(intercept_=np.zeros((1, 2)))),
    "an infinite intercept": lambda: strangers(6, having(intercept_=np.inf)),
    "a slope a class": lambda: strangers(6, having(coef_=np.zeros((2, WIDTH)))),
    "another width": lambda: strangers(0, having(n_features_in_=WIDTH + 1)),
    "other classes inside": lambda: strangers(0, having(classes_=np.array(["False", "Maybe"], object))),
    "classes in a square": lambda: strangers(0, having(classes_=np.array([["False", "True"]], object))),
    "medians that are not numbers": lambda: strangers(0, prepared(0, statistics_=np.full(NUMERIC, np.nan))),
    "too few means": lambda: strangers(0, prepared(1, mean_=np.zeros(NUMERIC - 1))),
    "a scale of zero": lambda: strangers(0, prepared(1, scale_=np.zeros(NUMERIC))),
    "scales of text": lambda: strangers(0, prepared(1, scale_=np.array(["1"] * NUMERIC, object))),
    "a category twice": lambda: strangers(0, prepared(3, categories_=[np.array(["a", "a"], object)] * 3)),
    "categories of one column": lambda: strangers(0, prepared(3, categories_=[np.array(["a"], object)])),
    "categories that are numbers": lambda: strangers(0, prepared(3, categories_=[np.array([1.0, 2.0, 3.0])] * 3)),
    "a width of thousands": lambda: strangers(
        0, prepared(3, categories_=[np.array([str(number) for number in range(3_000)], object)] * 3)
    ),
    "another feature": lambda: strangers(0, features=[*MANIFEST.features, Column("more", "Double")]),
    "a feature twice": lambda: strangers(0, features=[*MANIFEST.features, MANIFEST.features[0]]),
    "no features": lambda: strangers(0, features=[]),
    "text for a number": lambda: strangers(0, features=[Column(each.name, "String") for each in MANIFEST.features]),
    "classes in another order": lambda: strangers(0, classes=["True", "False"]),
    "a class more": lambda: strangers(0, classes=["False", "Maybe", "True"]),
    "no classes": lambda: strangers(0, classes=[]),
    "another kind": lambda: strangers(0, kind="regression"),
    "another kind without classes": lambda: strangers(0, kind="regression", classes=[]),
    "a regression for two classes": lambda: strangers(6, kind="two-class", classes=["False", "True"]),
    "two classes as many": lambda: strangers(3, kind="two-class"),
}
for place, kind in ((1, "forest"), (4, "forest of classes"), (7, "forest of numbers")):
    FORGED |= {
        f"{kind}: {name}": (lambda place=place, change=change: strangers(place, change))  # type: ignore[misc]
        for name, change in {
            "a child out of bounds": nodes("left_child", 1 << 40),
            "a child before memory": nodes("right_child", -1 << 40),
            "a child that is not a leaf's mark": nodes("right_child", -1),
            "a loop": nodes("left_child", 0),
            "a column out of bounds": nodes("feature", WIDTH + 7),
            "a negative column": nodes("feature", -2),
            "values of another width": trees("values", lambda values: np.hstack([values, values])),
            "too many values": trees("values", _one_longer),
            "values that are not numbers": trees("values", lambda values: values * np.nan),
            "whole values": trees("values", lambda values: values.astype(np.int64)),
            "cut nodes": trees("nodes", lambda nodes: nodes[:-1]),
            "a node less": trees("nodes", lambda nodes: nodes[: -NODE_DTYPE.itemsize]),
            "nodes as numbers": trees("nodes", lambda nodes: nodes.astype(np.float64)),
            "a tree more": trees("counts", _one_longer),
            "a tree without nodes": trees("counts", lambda counts: np.array([0, *counts.tolist()])),
            "a tree of negative length": trees("counts", lambda counts: np.array([-1, counts.sum() + 1])),
            "counts that overflow": trees("counts", lambda counts: np.array([1 << 62] * 4 + [int(counts.sum())])),
            "depths of text": trees("depths", lambda depths: np.array(["1"] * len(depths), object)),
            "a depth more": trees("depths", _one_longer),
            "no trees": having(estimators_=[]),
            "another number of trees": having(n_estimators=3),
        }.items()
    }
for place, kind in ((2, "boosted"), (5, "boosted classes"), (8, "boosted numbers")):
    FORGED |= {
        f"{kind}: {name}": (lambda place=place, change=change: strangers(place, change))  # type: ignore[misc]
        for name, change in {
            "a child out of bounds": nodes("left", 1 << 31),
            "a child behind the last": nodes("right", 1000),
            "a loop": nodes("right", 0),
            "a column out of bounds": nodes("feature_idx", 1 << 40),
            "a negative column": nodes("feature_idx", -5),
            "a category": nodes("is_categorical", 1),
            "a bitset out of bounds": lambda learner, pipe: (
                nodes("is_categorical", 1)(learner, pipe) or nodes("bitset_idx", 1 << 31)(learner, pipe)
            ),
            "a leaf that is none": nodes("is_leaf", 0, -1),
            "a leaf without a number": nodes("value", np.nan, -1),
            "cut nodes": trees("nodes", lambda nodes: nodes[:-1]),
            "a tree more": trees("counts", _one_longer),
            "no trees": trees("counts", lambda counts: counts[:0]),
            "fewer rounds": having(max_iter=3),
            "a baseline of another width": having(_baseline_prediction=np.zeros((1, 9))),
            "a baseline that is not a number": having(_baseline_prediction=np.full((1, 1), np.nan)),
            "no baseline": having(_baseline_prediction=None),
        }.items()
    }

CHILD = """
import sys
from pathlib import Path
from studio.errors import StudioError
from studio.state.models import Models
models = Models(Path("studio"))
for file in sorted(Path(".").glob("*.forged"), key=lambda file: int(file.stem)):
    print(file.stem, end=" ", flush=True)
    try:
        print("kept as", models.keep(file.read_bytes()), flush=True)
    except StudioError as error:
        print(error.detail, repr(error.message), flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the Studio says of each forged file, in its own process, as one that gets through may crash it."""
    folder = tmp_path_factory.mktemp("forged")
    for number, make in enumerate(FORGED.values()):
        (folder / f"{number}.forged").write_bytes(make())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD], cwd=folder, env=environment, capture_output=True, text=True
    )
    shown = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    lost = f"the process ended with {done.returncode}: {done.stderr[-300:]}"
    left = [file.name for file in (folder / "studio" / "models").iterdir()] + [MARK] * (folder / MARK).exists()
    return {"left behind": str(left)} | {name: shown.get(str(number), lost) for number, name in enumerate(FORGED)}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_file_is_refused(answers: dict[str, str], case: str) -> None:
    assert answers[case].startswith("InvalidBlob "), answers[case]
    assert "The provided blob is not a trained model" in answers[case]


def test_a_forged_file_leaves_nothing_behind(answers: dict[str, str]) -> None:
    assert answers["left behind"] == "[]"


@pytest.mark.parametrize("number", range(len(LEARNT)))
def test_what_a_stranger_wrote_without_a_change_is_taken(number: int, tmp_path: Path) -> None:
    models = Models(tmp_path)
    for content in (strangers(number), pack(model(number))):
        sha256 = models.keep(content)
        assert models.keep(content) == sha256
        assert models.read(sha256) == content
        assert models.load(sha256).manifest == model(number).manifest
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_a_learner_that_says_it_is_in_training_scores_as_any_other() -> None:
    table = cellar(5)
    said = unpack(strangers(2, having(_in_fit=True))).predict(table)
    np.testing.assert_array_equal(said.probabilities, model(2).predict(table).probabilities)


@pytest.mark.parametrize(
    ("new", "old", "detail", "says"),
    [
        (3, 0, "IncompatibleModel", "is a multiclass model; a two-class model is needed"),
        (6, 3, "IncompatibleModel", "is a regression model; a multiclass model is needed"),
        ({"features": MANIFEST.features[1:]}, 0, "ModelOutputMetadataMismatch", "it has no feature 'alcohol'"),
        (
            {"features": [*MANIFEST.features, Column("more", "Double")]},
            0,
            "ModelOutputMetadataMismatch",
            "it has the feature 'more', which the service's input has not",
        ),
        (
            {"features": [Column("alcohol", "String"), *MANIFEST.features[1:]]},
            0,
            "ModelOutputMetadataMismatch",
            "its feature 'alcohol' was text, and the service's input is numeric",
        ),
        ({"label": Column("weak", "String")}, 0, "ModelOutputMetadataMismatch", "it predicts 'weak', not 'strong'"),
        ({"classes": ["a", "b"]}, 0, "ModelOutputMetadataMismatch", "its labels are a, b; they were False, True"),
    ],
)
def test_a_model_that_does_not_fit_is_the_documented_error(new: Any, old: int, detail: str, says: str) -> None:
    manifest = model(new).manifest if isinstance(new, int) else msgspec.structs.replace(MANIFEST, **new)
    with pytest.raises(StudioError) as refused:
        check_replaces(manifest, model(old).manifest)
    assert refused.value.detail == detail
    assert says in refused.value.message


def test_a_model_with_its_columns_in_another_order_fits() -> None:
    table = cellar()
    turned = learn({name: table[name] for name in reversed(table)}, "strong", "two-class", "random forest")
    assert turned.model.manifest.features == MANIFEST.features[::-1]
    check_replaces(turned.model.manifest, MANIFEST)


@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (FEW, 1), (FEW + 1, 2)])
def test_few_rows_are_scored_by_one_thread(rows: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = learn(cellar(), "cultivar", learner="boosted trees").model
    table = {name: [cells[0]] * rows for name, cells in cellar().items()}
    probabilities, seen = rowwise.probabilities, set()

    def watched(learner: Any, matrix: Any) -> Any:
        seen.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp")
        return probabilities(learner, matrix)

    monkeypatch.setattr(rowwise, "probabilities", watched)
    with threadpool_limits(2, user_api="openmp"):
        model.predict(table)
        assert seen == {threads}
        assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"} == {2}
