"""Microsoft's own Python runtime for Functions, in its own process, with the app in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local.children import ROOT, stop

PYTHON = os.environ.get("RELEARN_RUNTIME_PYTHON")
MISSING = os.environ.get("RELEARN_RUNTIME_MISSING", "python3 run.py test sets up Microsoft's runtime for Functions")
DRIVER = ROOT / "tests" / "runtime" / "driver.py"


class Runtime:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.indexed: Any = self._read()

    def call(self, function: str, inputs: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Any:
        """Return the outcome of one call of the function, as the host would ask for it."""
        assert self._process.stdin is not None
        call = {"function": function, "inputs": inputs, "metadata": metadata or {}}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        return self._read()

    def blob(self, container: str, name: str) -> Any:
        line = json.dumps({"Connection": "TRAINING_DATA", "ContainerName": container, "BlobName": name})
        data = {
            "version": "1.0",
            "source": "AzureStorageBlobs",
            "content_type": "application/json",
            "content": line,
        }
        return self.call("start_retraining", {"blob": ("model_binding_data", data)})

    def timer(self, function: str = "poll_jobs") -> Any:
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        return self.call(function, {"timer": ("json", json.dumps(info))})

    def message(self, function: str, body: str, message_id: str) -> Any:
        metadata = {"Id": ("string", message_id), "DequeueCount": ("json", "1")}
        return self.call(function, {"message": ("string", body)}, metadata)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(f"the runtime ended: exit code {self._process.wait()}")


@contextmanager
def runtime(settings: Mapping[str, str]) -> Iterator[Runtime]:
    # The machine's own variables for Python belong to this one, not to the runtime's.
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR")}
    process = subprocess.Popen(
        [str(PYTHON), str(DRIVER), str(ROOT)],
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1", **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Runtime(process)
    finally:
        stop(process)  # type: ignore[arg-type]
