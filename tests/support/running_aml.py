"""The local Azure Machine Learning workspace as a program, called over TLS as any client calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from local.children import ROOT, Child, python_child
from tests.support import aml_models
from tests.support.waiting import PATIENCE

VERSION = "2025-12-01"


@dataclass(frozen=True)
class RunningAml:
    """`settings` are the variables that lead a client here."""

    address: str
    workspace: str  #: its ARM id
    settings: dict[str, str]
    child: Child

    def token(self, resource: str = "https://management.azure.com") -> str:
        answer = requests.get(
            self.settings["IDENTITY_ENDPOINT"],
            params={"api-version": "2019-08-01", "resource": resource},
            headers={"X-IDENTITY-HEADER": self.settings["IDENTITY_HEADER"]},
            verify=self.settings["REQUESTS_CA_BUNDLE"],
            timeout=PATIENCE,
        )
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Ask; `path` is below the workspace. What is answered is checked against the service's own types."""
        place = f"{self.workspace}/{path}".rstrip("/")
        answer = requests.request(
            method,
            f"{self.address}{place}",
            params={"api-version": VERSION},
            json=body,
            headers={"Authorization": f"Bearer {self.token()}"},
            verify=self.settings["REQUESTS_CA_BUNDLE"],
            timeout=PATIENCE,
        )
        operation = aml_models.operation_of(method, place) if aml_models.there() else None
        if operation:
            answered = answer.json() if answer.content else None
            found = aml_models.faults_of_answer(operation, answer.status_code, answered)
            assert found == [], (method, place, answer.status_code, found)
        return answer


@contextmanager
def running_aml(folder: Path, storage: str, *flags: str, record: Path | None = None) -> Iterator[RunningAml]:
    """Run the workspace on a free port until the context ends. `storage` is its connection string.

    The file `record` gets its calls and their answers.
    """
    program = ["tests.support.recorded_aml", str(record)] if record else ["aml"]
    with python_child([*program, "serve", "--data", str(folder), *flags], {"AML_STORAGE": storage}) as child:
        settings = json.loads(command(folder, "env", "--shell", "json").stdout)
        yield RunningAml(str(child.said["address"]), str(child.said["workspace"]), settings, child)


def command(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m aml` over the folder."""
    return subprocess.run(
        [sys.executable, "-m", "aml", name, *arguments],
        cwd=ROOT,
        env={**os.environ, "AML_DATA": str(folder), "AML_STORAGE": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
