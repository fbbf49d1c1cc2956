"""The process of a deployment: its files are fetched, it is started, and it is watched until it is ready."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from azure.core.exceptions import AzureError

from aml.errors import ArmError
from aml.jobs.command import environment_of, running
from aml.jobs.pythons import Pythons
from aml.serving import container
from aml.serving.backend import Backend, Limits
from aml.serving.templates import Template, Templates
from aml.state.workspace import Workspace
from aml.storage.addresses import place_of
from aml.storage.blobs import download
from service.durations import seconds_of
from service.private import make_private

PAUSE = 0.05  #: seconds between two looks at a process that starts
START_WITHIN = 600.0  #: seconds
#: names of the containers' logs, in the folder of what is served
LOGS = {"InferenceServer": "inference.log", "StorageInitializer": "storage.log"}
NO_CODE = "/environments/mlflow/versions/1"  #: the environment of what names none, as `environments.yaml` may name it
_SETTINGS, _MODEL, _CODE = "container.json", "model", "code"


class Stopped(Exception):
    """The start was broken off: the deployment is deleted, or the server stops."""


@dataclass(frozen=True)
class Order:
    """What is served: the folder of its files, the properties of the deployment, and how many instances."""

    folder: Path
    properties: dict[str, Any]
    instances: int

    @property
    def limits(self) -> Limits:
        settings = self.properties["requestSettings"]
        at_once = settings["maxConcurrentRequestsPerInstance"] * self.instances
        return Limits(at_once, seconds_of(settings["requestTimeout"]) or 5.0)


@dataclass(frozen=True)
class Started:
    """A process that is ready. `exit_code` is None while it runs; `stop` ends it with everything that it started."""

    backend: Backend
    exit_code: Callable[[], int | None]
    stop: Callable[[], None]


def fetch(workspace: Workspace, order: Order) -> None:
    """Download the model and the code, unless an earlier server has done it. Raises `ArmError`."""
    make_private(order.folder)
    with (order.folder / LOGS["StorageInitializer"]).open("a", encoding="utf-8") as log:
        try:
            for part, address in _parts(order.properties).items():
                if not (order.folder / part).exists():
                    print(f"Downloading {address}", file=log, flush=True)
                    _fetch(workspace, order.folder / part, address, part)
                    print("Done.", file=log, flush=True)
        except ArmError as error:
            print(f"{error.code}: {error.message}", file=log, flush=True)
            raise
        except AzureError as error:
            message = f"The storage could not be used: {type(error).__name__}."
            print(message, file=log, flush=True)
            raise ArmError(503, "StorageError", message) from None


def start(order: Order, pythons: Pythons, templates: Templates, is_over: Callable[[], bool]) -> Started:
    """Start the process and wait until it is ready. Raises `ArmError` if it ends before, and `Stopped`."""
    folder, secret = order.folder, secrets.token_hex(16)
    model = folder / _MODEL
    given = {
        "secret": secret,
        "model": str(_only_entry(model)) if model.exists() else "",
        "code": str(folder / _CODE) if (folder / _CODE).exists() else "",
        "script": (order.properties.get("codeConfiguration") or {}).get("scoringScript", ""),
    }
    (folder / container.READY).unlink(missing_ok=True)
    _write_privately(folder / _SETTINGS, json.dumps(given))
    python = pythons.of(order.properties.get("environmentId") or NO_CODE)
    variables = {**order.properties["environmentVariables"]}
    if model.exists():
        variables["AZUREML_MODEL_DIR"] = str(model)
    place = (folder, environment_of(python, variables), folder / LOGS["InferenceServer"])
    # A script, or variables of its own, may want the libraries loaded otherwise.
    template = None if given["code"] or order.properties["environmentVariables"] else templates.of(python)
    with ExitStack() as starting:
        exit_code = _begun(starting, template, python, place)
        port = _wait(folder, exit_code, is_over)
        return Started(Backend(port, secret, order.limits), exit_code, starting.pop_all().close)


def _begun(
    starting: ExitStack, template: Template | None, python: str, place: tuple[Path, dict[str, str], Path]
) -> Callable[[], int | None]:
    settings = (place[0] / _SETTINGS).resolve()
    if template:
        with suppress(OSError):  # it has ended since
            return starting.enter_context(template.running(settings, *place))
    return starting.enter_context(running([python, str(Path(container.__file__).resolve()), str(settings)], *place))


def _wait(folder: Path, exit_code: Callable[[], int | None], is_over: Callable[[], bool]) -> int:
    deadline = time.monotonic() + START_WITHIN
    while True:
        with suppress(OSError, ValueError):
            return int((folder / container.READY).read_text("utf-8"))
        if exit_code() is not None:
            message = "User container has crashed or terminated. Please see troubleshooting guide; getLogs has its log."
            raise ArmError(400, "ResourceNotReady", message)
        if is_over():
            raise Stopped
        if time.monotonic() > deadline:
            message = f"The container was not ready within {START_WITHIN:g} seconds; getLogs has its log."
            raise ArmError(400, "ResourceNotReady", message)
        time.sleep(PAUSE)


def _parts(properties: dict[str, Any]) -> dict[str, str]:
    code = (properties.get("codeConfiguration") or {}).get("codeId")
    return {
        **({_MODEL: properties["model"]} if "model" in properties else {}),
        **({_CODE: code} if code else {}),
    }


def _fetch(workspace: Workspace, folder: Path, address: str, part: str) -> None:
    """Download into a folder beside, and rename it: an interrupted download leaves nothing that looks whole."""
    place = place_of(workspace, address, f"properties.{part}")
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    # The model is below AZUREML_MODEL_DIR with the last name of its address, as in the service.
    name = PurePosixPath(place.path.rstrip("/")).name or place.container
    inner = beside / name if part == _MODEL else beside
    inner.mkdir(parents=True)
    found = download(workspace.account, place, inner, one_file=False)
    if part == _MODEL and found != inner:  # a blob alone
        found.rename(beside / f".{name}")
        inner.rmdir()
        (beside / f".{name}").rename(inner)
    beside.rename(folder)


def _only_entry(folder: Path) -> Path:
    """Return the model's file or folder."""
    return next(iter(sorted(folder.iterdir())), folder)


def _write_privately(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)
