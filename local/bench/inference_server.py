"""`azureml-inference-server-http` over a model: the server in Azure Machine Learning's images, with a usual script."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from local.bench.load import Target
from local.bench.mlflow import MISSING, PYTHON, free_port, wait_for
from local.children import NotStarted, stop

MODULE = "azureml_inference_server_http"
SCRIPT = """
import json, os, pickle

def init():
    global model
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pickle"), "rb") as opened:
        model = pickle.load(opened)

def run(raw_data):
    return model.predict(json.loads(raw_data)["input_data"]["data"]).tolist()
"""


@contextmanager
def serving(folder: Path, model: Any, row: Sequence[Any]) -> Iterator[Target]:
    """Serve the model. Raises `NotStarted` with the reason why not."""
    python = os.environ.get(PYTHON)
    if not python:
        raise NotStarted(os.environ.get(MISSING) or "run.py bench installs it")
    if subprocess.run([python, "-c", f"import {MODULE}"], capture_output=True, check=False).returncode:
        raise NotStarted(f"{MODULE.replace('_', '-')} is not installed for {python}")
    folder.mkdir(parents=True)
    (folder / "score.py").write_text(SCRIPT)
    (folder / "model.pickle").write_bytes(pickle.dumps(model))
    ports = [str(free_port()) for _ in range(2)]
    command = [python, "-m", MODULE, "--entry_script", "score.py", "--model_dir", str(folder)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", ports[0], "--health_port", ports[1]],
            cwd=folder,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
    try:
        wait_for(process, f"http://127.0.0.1:{ports[0]}/", log)
        body = msgspec.json.encode({"input_data": {"data": [list(row)]}})
        yield Target(f"http://127.0.0.1:{ports[0]}/score", body, lambda answer: [str(label) for label in answer])
    finally:
        stop(process)
