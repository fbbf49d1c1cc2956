"""The inference server of a deployment: what it loads, and how it reads and scores rows."""

from __future__ import annotations

import json
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDOneClassSVM,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from aml.serving import container
from aml.serving.container import HEAD, LENGTH, Refused, Score, linear, load_model, read_rows, rows_scorer, script

FRAME = pd.DataFrame(
    {
        "age": [20.0, 30.0, 40.0, 50.0, 60.0, 70.0],
        "town": ["a", "b", "a", "c", "b", "c"],
        "text": ["one two", "two", "one", "three", "two three", "one"],
    }
)
LABELS = ["low", "high", "low", "high", "high", "low"]


def pipeline(*columns: Any) -> Any:
    return make_pipeline(ColumnTransformer(list(columns), remainder="drop"), LogisticRegression())


NESTED = ColumnTransformer([("numbers", StandardScaler(), ["age"]), ("words", OneHotEncoder(), ["town"])])
#: pipelines that name their columns in each way that a ColumnTransformer takes
PIPELINES = {
    "by names": pipeline(
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), ("words", OneHotEncoder(), ["town"])
    ),
    "by one name": pipeline(("text", CountVectorizer(), "text"), ("numbers", StandardScaler(), ["age"])),
    "by type": pipeline(("numbers", StandardScaler(), make_column_selector(dtype_include="number"))),
    "by position": pipeline(("numbers", StandardScaler(), [0]), ("words", OneHotEncoder(), slice(1, 2))),
    "nested": pipeline(("both", NESTED, ["age", "town"])),
}


def saved(model: Any, folder: Path) -> Score:
    """Return what scores with the model after it was saved and loaded."""
    skops.io.dump(model, folder / "model.skops")
    return rows_scorer(load_model(folder))


def answers(score: Score, rows: Any) -> Any:
    status, body = score(json.dumps({"input_data": rows}).encode())
    assert status == 200
    return json.loads(body)


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_pipeline_that_was_fitted_on_a_frame_scores_arrays_as_frames(kind: str, tmp_path: Path) -> None:
    model = PIPELINES[kind].fit(FRAME, LABELS)
    score = saved(model, tmp_path)
    rows = FRAME.to_numpy(dtype=object).tolist()
    assert answers(score, {"columns": list(FRAME), "data": rows}) == model.predict(FRAME).tolist()
    turned = {"columns": [*list(FRAME)[::-1], "more"], "data": [[*row[::-1], None] for row in rows]}
    assert answers(score, turned) == model.predict(FRAME).tolist()
    assert answers(score, rows) == model.predict(FRAME).tolist()  # without names, in the order of the columns
    assert answers(score, FRAME.to_dict("records")) == model.predict(FRAME).tolist()


@pytest.mark.parametrize(
    "learner", [HistGradientBoostingClassifier, GradientBoostingClassifier, RandomForestClassifier]
)
def test_the_trees_of_scikit_learn_are_loaded(learner: Any, tmp_path: Path) -> None:
    model = learner().fit(FRAME[["age"]], LABELS)
    assert answers(saved(model, tmp_path), [[25], [55]]) == model.predict(pd.DataFrame({"age": [25, 55]})).tolist()


def test_a_missing_number_is_scored_as_missing(tmp_path: Path) -> None:
    model = PIPELINES["by names"].fit(FRAME, LABELS)
    missing = FRAME.assign(age=[np.nan, *FRAME["age"][1:]])
    rows = [[None if cell != cell else cell for cell in row] for row in missing.to_numpy(dtype=object).tolist()]
    assert answers(saved(model, tmp_path), {"columns": list(FRAME), "data": rows}) == model.predict(missing).tolist()


@pytest.mark.parametrize(
    "learner",
    [
        LogisticRegression(),
        LogisticRegression(fit_intercept=False),
        RidgeClassifier(),
        SGDClassifier(random_state=0),
        LinearSVC(),
        LinearRegression(),
        Ridge(),
        Lasso(alpha=0.01),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(with_mean=False), StandardScaler(with_std=False), Ridge()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_model_scores_as_its_own_method_does(learner: Any, classes: int) -> None:
    random = np.random.default_rng(0)
    rows, labels = random.normal(10, 5, size=(300, 4)), random.integers(0, classes, 300)
    rows[:, 0] += labels * 8
    model = clone(learner).fit(rows, labels)
    quick = linear(model)
    assert quick is not None
    for part in (rows, rows[:1], rows[7:9] * 1e6):
        assert np.array_equal(quick(part), model.predict(part))


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(n_estimators=2),
        make_pipeline(SimpleImputer(), LogisticRegression()),
        SGDOneClassSVM(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_is_not_scalers_and_a_linear_learner_is_scored_by_its_own_method(model: Any, tmp_path: Path) -> None:
    rows = np.array([[0.0, 1.0], [5.0, 1.0]] * 4)
    model.fit(rows, ["low", "high"] * 4)
    assert linear(model) is None
    assert answers(saved(model, tmp_path), rows.tolist()) == model.predict(rows).tolist()


def test_a_linear_model_that_is_not_what_it_seems_is_scored_by_its_own_method() -> None:
    class Other(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return super().predict(X)[::-1]

    rows = np.array([[0.0], [5.0]])
    assert linear(Other().fit(rows, [0, 1])) is None
    assert linear(LogisticRegression()) is None  # not fitted


def test_rows_that_a_linear_model_cannot_score_are_refused(tmp_path: Path) -> None:
    score = saved(make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0, 0.0], [5.0, 0.0]], [0, 1]), tmp_path)
    for rows in ([[1]], [[1, 2, 3]], [[1, None]]):
        with pytest.raises(Refused, match="cannot score"):
            score(json.dumps({"input_data": rows}).encode())


def test_a_regression_answers_numbers(tmp_path: Path) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    assert answers(saved(model, tmp_path), [[2.0]]) == [pytest.approx(4.0)]
    assert answers(rows_scorer(load_model(tmp_path / "model.skops")), [[2.0]]) == [pytest.approx(4.0)]


def test_a_column_that_the_model_needs_is_named(tmp_path: Path) -> None:
    score = saved(PIPELINES["by names"].fit(FRAME, LABELS), tmp_path)
    with pytest.raises(Refused, match=r"needs the columns \['town', 'text'\]"):
        score(b'{"input_data": {"columns": ["age"], "data": [[1]]}}')


def test_a_model_of_mlflow_gives_its_columns_and_its_method(tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression().fit([[0.0, 0.0], [5.0, 0.0]], ["low", "high"]), tmp_path / "model.skops")
    inputs = json.dumps([{"name": "first", "type": "double"}, {"name": "second", "type": "double"}])
    flavor = {"python_function": {"predict_fn": "predict_proba"}}
    (tmp_path / "MLmodel").write_text(json.dumps({"flavors": flavor, "signature": {"inputs": inputs}}))
    score = rows_scorer(load_model(tmp_path))
    [[high, _]] = answers(score, {"columns": ["second", "first"], "data": [[0, 5]]})
    assert high > 0.8


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


def test_a_model_that_would_run_code_is_not_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SystemExit, match="serves an MLflow model, or a scikit-learn model"):
        load_model(tmp_path)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a"], ["b"]], [0, 1])
    model.steps.insert(0, ("evil", Evil()))
    calls = make_pipeline(FunctionTransformer(sklearn.datasets.load_files), LogisticRegression())
    for hostile in (model, calls):
        skops.io.dump(hostile, tmp_path / "model.skops")
        with pytest.raises(Exception, match=r"[Uu]ntrusted"):
            load_model(tmp_path)
    assert "code ran" not in capsys.readouterr().out


def test_an_mlflow_model_without_mlflow_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "MLmodel").write_text("flavors: {}")
    with pytest.raises(SystemExit, match="mlflow is not installed"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("code", "why"), [("", "no function run"), (None, "is not in the code"), ("def run(raw): pass", "")]
)
def test_a_script_needs_a_function_run_alone(
    code: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["kept"])
    if code is not None:
        (tmp_path / "scored.py").write_text(code)
    if why:
        with pytest.raises(SystemExit, match=why):
            script(tmp_path, "scored.py")
    else:
        assert script(tmp_path, "scored.py")(b"{}") == (200, b"null")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps({"input_data": value}).encode()))
def test_any_body_is_rows_or_refused(body: bytes) -> None:
    try:
        columns, rows = read_rows(body)
    except Refused:
        return
    assert all(len(row) == (len(columns) or len(rows[0])) for row in rows)


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """A connection to a server that answers with what it got, and fails on `fail`."""

    def score(body: bytes) -> tuple[int, bytes]:
        if body == b"fail":
            raise SystemExit("on purpose")
        return 200, body

    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=container.serve, args=(theirs, b"secret", score))
    thread.start()
    yield ours
    ours.close()
    thread.join()


def sent(connection: socket.socket, *bodies: bytes) -> None:
    connection.sendall(b"".join(LENGTH.pack(len(body)) + body for body in bodies))


def received(connection: socket.socket) -> tuple[int, bytes]:
    with connection.makefile("rb") as reader:
        length, status, _ = HEAD.unpack(reader.read(HEAD.size))
        return status, reader.read(length)


def test_one_request_after_the_other_is_answered(connection: socket.socket) -> None:
    sent(connection, b"secret", b"first")
    assert received(connection) == (200, b"first")
    sent(connection, b"fail")
    assert received(connection)[0] == 500
    sent(connection, b"x" * (1 << 20))
    assert received(connection) == (200, b"x" * (1 << 20))


def test_without_the_secret_nothing_is_answered(connection: socket.socket) -> None:
    sent(connection, b"another", b"first")
    assert connection.recv(1) == b""
