"""Where the results of the training go: metrics to the job's run, the model to a folder in MLflow's form.

MLflow does both where it is installed, as in the environments of Azure Machine Learning. In a Python without it, such
as the local workspace's, the run's REST address is called, and the model is kept in skops' format, which runs no
code.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None


def log_metrics(metrics: Mapping[str, float]) -> None:
    if HAS_MLFLOW:
        import mlflow

        mlflow.log_metrics(dict(metrics))
        return
    import requests

    now = int(time.time() * 1000)
    values = [{"key": name, "value": float(value), "timestamp": now, "step": 0} for name, value in metrics.items()]
    answer = requests.post(
        f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/runs/log-batch",
        json={"run_id": os.environ["MLFLOW_RUN_ID"], "metrics": values},
        headers={"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"},
        verify=os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"],
        timeout=60,
    )
    answer.raise_for_status()


def save_model(model: Any, names: Sequence[str], example: Any, folder: Path) -> None:
    """Save a scikit-learn model whose columns have these names; served, it gives the probability of each class."""
    if HAS_MLFLOW:
        import mlflow.sklearn
        import pandas

        row = pandas.DataFrame(example, columns=list(names))
        mlflow.sklearn.save_model(model, str(folder), input_example=row, pyfunc_predict_fn="predict_proba")
        return
    import skops.io
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, folder / "model.skops")
    inputs = [{"name": name, "type": "double", "required": True} for name in names]
    described = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "predict_fn": "predict_proba"}},
        "signature": {"inputs": json.dumps(inputs)},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(described), "utf-8")


def load_model(folder: Path, names: Sequence[str]) -> Callable[[Any], Any]:
    """Return what gives the probability of each class for rows, by a model that `save_model` has saved."""
    if HAS_MLFLOW:
        import mlflow.pyfunc
        import pandas

        model = mlflow.pyfunc.load_model(str(folder))
        return lambda rows: model.predict(pandas.DataFrame(rows, columns=list(names)))
    import skops.io

    return skops.io.load(folder / "model.skops").predict_proba
