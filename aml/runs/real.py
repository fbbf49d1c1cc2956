"""A real MLflow server as a process of this server's: started, watched, and ended with it however it ends."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from aml.errors import ArmError
from aml.jobs.command import PAUSE, environment_of, running
from service.commands import Stopped
from service.private import make_private

START_WITHIN = 300.0  #: seconds
_PAUSE = 1.0  #: seconds between two looks at the jobs that have ended
_TRIES = 3  #: starts that end before the server answers
_START_OF_LOG = 1 << 20  #: bytes in which a server names its address
#: what uvicorn, gunicorn and waitress print, one of which MLflow starts
_LISTENS = re.compile(rb"(?:running on|Listening at:|Serving on) (http://127\.0\.0\.1:[1-9]\d*)\s")
_NEEDED = (
    "mlflow",
    "fastapi",
    "flask",
    "flask_cors",
    "sqlalchemy",
    "alembic",
    "graphene",
    "aiohttp",
    "numpy",
    "pandas",
)
_ASKED = "import importlib.util as u, json, sys; print(json.dumps([m for m in sys.argv[1:] if not u.find_spec(m)]))"
_VARIABLES = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes less
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no other machine is called
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

log = logging.getLogger("aml.mlflow")


def check(python: str) -> None:
    """Raise `Stopped` unless the Python has what MLflow's server needs."""
    try:
        asked = [python, "-I", "-c", _ASKED, *_NEEDED]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
        lacking = json.loads(found.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise Stopped(f"--mlflow: {python} is not a Python that runs") from None
    if lacking:
        message = f"--mlflow: {python} lacks {', '.join(lacking)}; install mlflow there (pip install mlflow), or give"
        raise Stopped(f"{message} the Python that has it: --mlflow PYTHON")


class RealMlflow:
    """`settle` is called from time to time while the server answers."""

    def __init__(self, folder: Path, python: str, settle: Callable[[RealMlflow], None]) -> None:
        self._folder, self._python, self._settle = folder / "mlflow", python, settle
        self._log = self._folder / "server.log"
        self._over, self._ready = threading.Event(), threading.Event()
        self._address, self._failed = "", False
        self._thread = threading.Thread(target=self._run, name="aml-mlflow", daemon=True)

    def start(self) -> None:
        make_private(self._folder)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def wait(self) -> None:
        """Return once it answers. Raises where it does not start."""
        deadline = time.monotonic() + START_WITHIN
        while not self._ready.wait(PAUSE):
            if self._failed or self._over.is_set() or time.monotonic() > deadline:
                raise self._absent()

    def ask(self, method: str, path: str, **given: Any) -> requests.Response:
        """Return the server's answer. `path` is below its address; `given` is as `requests` takes it."""
        if not self._ready.is_set():
            raise self._absent()
        try:
            with requests.Session() as session:
                session.trust_env = False  # neither a proxy nor a password file of the environment
                return session.request(
                    method, f"{self._address}/{path}", allow_redirects=False, timeout=(5, 600), **given
                )
        except requests.RequestException:
            raise self._absent() from None

    def asked(self, method: str, path: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer's members. Raises MLflow's own refusal."""
        body = {"params": dict(members)} if method == "GET" else {"json": dict(members)}
        answer = self.ask(method, f"api/2.0/mlflow/{path}", **body)
        found: dict[str, Any] = answer.json()
        if answer.status_code != 200:
            raise ArmError(answer.status_code, str(found.get("error_code")), str(found.get("message"))[:1000])
        return found

    def _absent(self) -> ArmError:
        state = "did not start" if self._failed else "does not answer yet"
        message = f"MLflow's server {state}; see {self._folder.name}/server.log in the data folder."
        return ArmError(503, "TEMPORARILY_UNAVAILABLE", message, retry_after=1)

    def _run(self) -> None:
        tries = 0
        while tries < _TRIES and not self._over.is_set():
            environment = environment_of(self._python, _VARIABLES)
            before = self._log.stat().st_size if self._log.exists() else 0
            with running(self._command(), self._folder, environment, self._log) as exit_code:
                tries = 0 if self._watched(exit_code, before) else tries + 1
                self._ready.clear()
            if not self._over.is_set():
                log.warning("MLflow's server has ended; %s/server.log says why", self._folder)
        self._failed = True

    def _watched(self, exit_code: Callable[[], int | None], before: int) -> bool:
        """Return whether it has answered, when it has ended or must end. Its log had `before` bytes when it started."""
        while exit_code() is None and not self._over.wait(_PAUSE if self._ready.is_set() else PAUSE):
            if not self._ready.is_set():
                with suppress(requests.RequestException):
                    self._address = self._listens_at(before)
                    if self._address and requests.get(f"{self._address}/version", timeout=5, proxies={"http": ""}).ok:
                        self._ready.set()
                continue
            try:
                self._settle(self)
            except ArmError:
                continue  # it is tried again
        return self._ready.is_set()

    def _listens_at(self, before: int) -> str:
        """Return the address that the server prints, or nothing yet: nobody else knows which port it has."""
        with self._log.open("rb") as log:
            log.seek(before)
            found = _LISTENS.search(log.read(_START_OF_LOG))
        return found[1].decode() if found else ""

    def _command(self) -> list[str]:
        store, artifacts = self._folder.absolute() / "mlflow.db", self._folder.absolute() / "artifacts"
        options = {
            "--backend-store-uri": f"sqlite:///{store.as_posix()}",
            "--artifacts-destination": artifacts.as_uri(),
            "--host": "127.0.0.1",
            "--port": "0",
            "--workers": "1",
        }
        return [self._python, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]
