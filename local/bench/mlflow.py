"""`mlflow models serve` over the pipeline of one of the Studio's models, in its own environment."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from local.bench.load import Target
from local.children import NotStarted, stop

PYTHON, MISSING = "RELEARN_MLFLOW_PYTHON", "RELEARN_MLFLOW_MISSING"
_SECONDS = 120.0
_SAVE = (
    "import pickle, sys, mlflow.sklearn; "
    "mlflow.sklearn.save_model(pickle.load(open(sys.argv[1], 'rb')), sys.argv[2], serialization_format='cloudpickle')"
)


@contextmanager
def serving(folder: Path, pipeline: Any, columns: Sequence[str], row: Sequence[Any]) -> Iterator[Target]:
    """Serve the pipeline as mlflow does by default. Raises `NotStarted` with the reason why not."""
    python = os.environ.get(PYTHON)
    if not python:
        raise NotStarted(os.environ.get(MISSING) or "run.py bench installs it")
    folder.mkdir(parents=True)
    dumped, model = folder / "pipeline.pickle", folder / "model"
    dumped.write_bytes(pickle.dumps(pipeline))
    # Nothing of the machine's own mlflow, and no message to its makers.
    settings = {**os.environ, "MLFLOW_TRACKING_URI": folder.as_uri(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    settings["PATH"] = f"{Path(python).parent}{os.pathsep}{settings.get('PATH', '')}"
    saved = subprocess.run(
        [python, "-c", _SAVE, str(dumped), str(model)], cwd=folder, env=settings, capture_output=True, check=False
    )
    if saved.returncode:
        raise NotStarted(f"mlflow did not save the model: {saved.stderr.decode(errors='replace').strip()[-200:]}")
    port = free_port()
    command = [python, "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
    try:
        wait_for(process, f"http://127.0.0.1:{port}/ping", log)
        body = {"dataframe_split": {"columns": list(columns), "data": [list(row)]}}
        yield Target(
            f"http://127.0.0.1:{port}/invocations",
            msgspec.json.encode(body),
            lambda answer: [str(label) for label in answer["predictions"]],
        )
    finally:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):  # its server is its own child
                os.killpg(process.pid, signal.SIGTERM)
        stop(process)


def wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"it did not start: {log.read_text(errors='replace')[-200:]}") from None
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
