"""`python container.py SETTINGS`: the inference server of one deployment. It loads a model, then answers the gateway.

It runs in the Python of the deployment's environment, which may have none of this project: standard library only, and
run by its path. What it prints is the container's log. The file SETTINGS is JSON; the port goes into a file beside it.

A request is 4 bytes of length and the body; an answer is 4 bytes of length, 2 of status, 4 of the model's
microseconds, and the body. The first request of a connection is the secret of the settings.
"""

from __future__ import annotations

import gc
import hmac
import importlib
import importlib.util
import json
import os
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

READY = "ready"  #: the file with the port, beside the settings, once the model is loaded
LENGTH, HEAD = struct.Struct("!I"), struct.Struct("!IHI")
UNEXPECTED = "An unexpected error occurred in scoring script. Check the logs for more info."

Answer = tuple[int, bytes]
Score = Callable[[bytes], Answer]


class Refused(Exception):
    """The request's body cannot be scored; the message says why."""


def main() -> None:
    sys.path.pop(0)  # this folder: its files are not modules of the user's code
    run(sys.argv[1])


def run(place: str) -> None:
    """Load what the file of settings names, and answer the gateway for ever."""
    file = Path(place)
    settings = json.loads(file.read_text("utf-8"))
    score = load(settings)
    gc.collect()
    gc.freeze()  # the libraries and the model stay: a call does not wait until a collection has looked at them
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    part = file.with_name(READY + ".part")
    part.write_text(str(listening.getsockname()[1]), "utf-8")
    part.replace(file.with_name(READY))
    print("The model is loaded; the server is ready.", flush=True)
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        arguments = (connection, settings["secret"].encode(), score)
        threading.Thread(target=serve, args=arguments, daemon=True).start()


def load(settings: dict[str, Any]) -> Score:
    """Return what answers a body. Raises what loading the model or the script's `init` raises."""
    model = Path(settings["model"]) if settings["model"] else None
    if settings["code"]:
        return script(Path(settings["code"]), settings["script"])
    if model is None:
        raise SystemExit("A deployment has a model, or code with a scoring script, or both.")
    return rows_scorer(load_model(model))


def serve(connection: socket.socket, secret: bytes, score: Score) -> None:
    """Answer the requests of a connection until its other end closes it."""
    with connection:
        reader = connection.makefile("rb")
        if not hmac.compare_digest(secret, _read(reader)):
            return
        while True:
            try:
                body = _read(reader)
            except (EOFError, OSError):
                return
            begun = time.perf_counter()
            status, answer = _answered(score, body)
            took = min(int((time.perf_counter() - begun) * 1e6), 0xFFFFFFFF)
            connection.sendall(HEAD.pack(len(answer), status, took) + answer)


def _read(reader: Any) -> bytes:
    head = reader.read(LENGTH.size)
    body: bytes = reader.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
    if len(head) < LENGTH.size or len(body) < LENGTH.unpack(head)[0]:
        raise EOFError
    return body


def _answered(score: Score, body: bytes) -> Answer:
    try:
        return score(body)
    except Refused as refused:
        return 400, json.dumps({"message": str(refused)}).encode()
    except BaseException:  # the user's code may raise anything, SystemExit too
        traceback.print_exc()
        return 500, json.dumps({"message": UNEXPECTED}).encode()


def script(folder: Path, name: str) -> Score:
    """Return the `run` of a user's scoring script, whose `init` has been called."""
    file = folder / name
    sys.path.insert(0, str(file.parent))
    os.chdir(folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SystemExit(f"The scoring script {name!r} is not in the code.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "run", None)):
        raise SystemExit(f"The scoring script {name!r} has no function run().")
    if callable(getattr(module, "init", None)):
        module.init()

    def score(body: bytes) -> Answer:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise Refused("The body is not text in UTF-8.") from None
        return 200, json.dumps(module.run(text)).encode()

    return score


def load_model(folder: Path) -> Any:
    """Return what predicts rows: an MLflow model, by mlflow where it is installed, or a scikit-learn model."""
    described = sorted(each.parent for each in [folder / "MLmodel", *folder.glob("*/MLmodel")] if each.is_file())
    if described and importlib.util.find_spec("mlflow"):
        return MlflowModel(described[0])
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.skops"))
    if len(files) == 1 and files[0].suffix == ".skops":
        return SklearnModel(files[0], _description(described[0]) if described else {})
    if described:
        raise SystemExit(f"This is an MLflow model, and mlflow is not installed for {sys.executable}.")
    raise SystemExit(
        "Without a scoring script a deployment serves an MLflow model, or a scikit-learn model in one file *.skops."
    )


def rows_scorer(model: Any) -> Score:
    """Return what answers MLflow's requests: `{"input_data": {"columns", "index", "data"}}`, or rows alone."""

    def score(body: bytes) -> Answer:
        columns, rows = read_rows(body)
        return 200, json.dumps(model.predict(columns, rows)).encode()

    return score


def read_rows(body: bytes) -> tuple[list[Any], list[list[Any]]]:
    """Return the names of the columns, none where the request names none, and the rows."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON.") from None
    if not isinstance(given, dict) or "input_data" not in given:
        raise Refused("The body has no member 'input_data'.")
    data = given["input_data"]
    columns: list[Any] = []
    if isinstance(data, dict):
        columns, data = data.get("columns") or [], data.get("data")
    elif isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        columns = list(data[0])
        data = [[row.get(name) for name in columns] for row in data]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise Refused("'input_data' is rows, or an object of 'columns' and 'data'.")
    rows = [row if isinstance(row, list) else [row] for row in data]
    width = len(columns) or len(rows[0] if rows else [])
    if any(len(row) != width for row in rows):
        raise Refused(f"A row of 'data' does not have {width} cells.")
    return columns, rows


class SklearnModel:
    """A scikit-learn model in skops' format: loading it makes objects of scikit-learn's types, and runs no code."""

    def __init__(self, file: Path, described: dict[str, Any]) -> None:
        import warnings

        import numpy
        import sklearn
        import skops.io

        sklearn.set_config(skip_parameter_validation=True)  # the model's own parameters: they no longer change
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        self._numpy = numpy
        self._model = skops.io.load(file, trusted=_trusted(skops.io.get_untrusted_types(file=file)))
        names = _names_of(self._model)
        self._names = names or [column.get("name") for column in described.get("inputs") or []]
        method = described.get("predict") or "predict"
        self._method = getattr(self._model, method)
        by_position(self._model)
        self._quick = linear(self._model) if method == "predict" else None

    def predict(self, columns: list[Any], rows: list[list[Any]]) -> Any:
        if not rows:
            return []
        cells = self._cells(columns, rows)
        if self._quick and self._is_plain(cells):
            return self._quick(cells).tolist()
        try:
            return self._method(cells).tolist()
        except (ValueError, TypeError, IndexError) as error:
            traceback.print_exc()
            raise Refused(f"The model cannot score these rows: {str(error).partition(chr(10))[0]}") from None

    def _is_plain(self, cells: Any) -> bool:
        """Return whether there is a finite number for each column of the model."""
        width = self._model.n_features_in_
        return bool(cells.dtype == float and cells.shape[1] == width and self._numpy.isfinite(cells).all())

    def _cells(self, columns: list[Any], rows: list[list[Any]]) -> Any:
        """Return the rows as an array, the columns in the order in which the model knows them."""
        if columns and self._names and columns != self._names:
            missing = [name for name in self._names if name not in columns]
            if missing:
                raise Refused(f"The model needs the columns {missing}.")
            order = [columns.index(name) for name in self._names]
            rows = [[row[index] for index in order] for row in rows]
        nan = float("nan")
        if all(isinstance(cell, (int, float)) or cell is None for row in rows for cell in row):
            return self._numpy.array(rows, dtype=float)
        cells = self._numpy.empty((len(rows), len(rows[0])), dtype=object)
        cells[:] = [[nan if cell is None else cell for cell in row] for row in rows]
        return cells


def _trusted(types: list[str]) -> list[str]:
    """Return those of the types that skops does not know and that are safe: a type of a number, and sklearn's classes.

    A function is never one of them: a model could have it called with the rows.
    """
    return [name for name in types if name == "numpy.dtype" or (name.startswith("sklearn.") and _is_class(name))]


def _is_class(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        return isinstance(getattr(importlib.import_module(module), attribute, None), type)
    except ImportError:
        return False


def _names_of(model: Any) -> list[Any]:
    return [str(name) for name in getattr(model, "feature_names_in_", [])]


def by_position(model: Any) -> None:
    """Have each ColumnTransformer take its columns by position: arrays have no names, and pandas is not needed."""
    for _, step in getattr(model, "steps", []):
        by_position(step)
    names = _names_of(model)
    if names and hasattr(model, "transformers_"):
        place = {name: index for index, name in enumerate(names)}
        model.transformers_ = [(name, part, _positions(columns, place)) for name, part, columns in model.transformers_]
        for _, part, _ in model.transformers_:
            by_position(part)


def linear(model: Any) -> Callable[[Any], Any] | None:
    """Return what predicts finite numbers as the model does, where it is scalers and a linear learner.

    scikit-learn's own checks of a row take it twenty times as long as the sums. What is returned makes the same sums,
    and is compared with the model first. None is returned for other models.
    """
    import numpy
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    *scalers, learner = [step for _, step in model.steps] if type(model) is Pipeline else [model]
    learned = _linear_learner(learner)
    if learned is None or any(type(each) is not StandardScaler for each in scalers):
        return None

    def predict(rows: Any) -> Any:
        for scaler in scalers:
            rows = rows - scaler.mean_ if scaler.with_mean else rows
            rows = rows / scaler.scale_ if scaler.with_std else rows
        return learned(rows)

    try:
        tried = numpy.random.default_rng(0).normal(size=(64, model.n_features_in_))
        for scaler in scalers[:1]:
            tried = scaler.inverse_transform(tried)
        pairs = [(predict(rows), model.predict(rows)) for rows in (tried, tried[:1])]
    except Exception:  # whatever is wrong with the model: its own method says it, when it is asked
        return None
    return predict if all(numpy.array_equal(quick, own) for quick, own in pairs) else None


def _linear_learner(learner: Any) -> Callable[[Any], Any] | None:
    """Return what predicts scaled rows as the learner does, where that is a sum of weighted cells."""
    import numpy

    try:
        from sklearn.linear_model._base import LinearClassifierMixin as Classifier
        from sklearn.linear_model._base import LinearModel as Regressor

        if not type(learner).__module__.startswith("sklearn."):
            return None
        if isinstance(learner, Classifier):
            weights, beside, classes = numpy.atleast_2d(learner.coef_).T, learner.intercept_, learner.classes_
            if weights.shape[1] == 1:
                return lambda rows: classes[((rows @ weights + beside).ravel() > 0).astype(int)]
            return lambda rows: classes[(rows @ weights + beside).argmax(axis=1)]
        if isinstance(learner, Regressor):
            return lambda rows: rows @ learner.coef_.T + learner.intercept_
    except (ImportError, AttributeError):  # another version of scikit-learn, or a learner that is not fitted
        pass
    return None


def _positions(columns: Any, place: dict[str, int]) -> Any:
    if isinstance(columns, str):
        return place[columns]
    if isinstance(columns, (slice, bool)) or not hasattr(columns, "__iter__"):
        return columns
    return [place.get(each, each) if isinstance(each, str) else each for each in columns]


class MlflowModel:
    """A model that mlflow loads, with its signature enforced."""

    def __init__(self, folder: Path) -> None:
        import mlflow.pyfunc
        import pandas

        self._pandas = pandas
        self._model = mlflow.pyfunc.load_model(str(folder))
        self._error = mlflow.exceptions.MlflowException

    def predict(self, columns: list[Any], rows: list[list[Any]]) -> Any:
        signature = self._model.metadata.signature
        names = columns or (signature.inputs.input_names() if signature and signature.inputs else None)
        try:
            answer = self._model.predict(self._pandas.DataFrame(rows, columns=names or None))
        except (self._error, ValueError, TypeError, KeyError) as error:
            traceback.print_exc()
            raise Refused(f"The model cannot score these rows: {str(error).partition(chr(10))[0]}") from None
        if isinstance(answer, self._pandas.DataFrame):
            return json.loads(answer.to_json(orient="records"))
        return answer.tolist() if hasattr(answer, "tolist") else answer


def _description(folder: Path) -> dict[str, Any]:
    """Return the columns and the method of a model that MLflow describes."""
    import yaml

    described = yaml.safe_load((folder / "MLmodel").read_text("utf-8"))
    signature = described.get("signature") or {}
    flavor = (described.get("flavors") or {}).get("python_function") or {}
    return {"inputs": json.loads(signature.get("inputs") or "[]"), "predict": flavor.get("predict_fn")}


if __name__ == "__main__":
    main()
