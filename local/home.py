"""What `run.py up` keeps between two starts, in `.relearn/`: the storage, the service, and the settings of the app.

The service is the local Studio or, with `--azureml`, a local Azure Machine Learning workspace.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.azurite import Azurite, azurite
from local.children import ROOT, Child, NotStarted
from local.studio import running_studio
from local.workplace import publish
from service.exclusive import hold
from service.private import make_private
from shared.base.settings import read_settings

FOLDER = ROOT / ".relearn"
SETTINGS = FOLDER / "local.settings.json"
PORT = "RELEARN_PORT"  #: the setting with Azurite's first port; it takes the next two as well, the service the tenth


def load_settings() -> dict[str, str] | None:
    """Return the settings of an earlier start, those of its web services. Raises `BadConfiguration`."""
    if not SETTINGS.exists():
        return None
    return read_settings(SETTINGS)


@contextmanager
def changing(*, wait: bool = True) -> Iterator[bool]:
    """Hold the settings and the pipelines file, which change together; yield whether they are held."""
    with (FOLDER / "changing").open("w") as lock:
        yield hold(lock.fileno(), wait=wait)


def save_settings(values: dict[str, str]) -> None:
    """Write the settings. A reader of the file sees all of them or those of before; only its owner can read it."""
    beside = SETTINGS.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        json.dump({"IsEncrypted": False, "Values": values}, file, indent=2)
    beside.replace(SETTINGS)


def has_workspace(settings: Mapping[str, str]) -> bool:
    """Return whether the service is a local Azure Machine Learning workspace."""
    return "AML_WORKSPACE" in settings


def service_address(settings: Mapping[str, str]) -> str:
    return f"{'https' if has_workspace(settings) else 'http'}://127.0.0.1:{int(settings[PORT]) + 10}"


def is_running(port: int) -> bool:
    """Return whether Azurite of this folder listens, so that another start must not run it too."""
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def services(port: int, *flags: str, workspace: bool = False) -> Iterator[tuple[Azurite, Child, dict[str, str]]]:
    """Run Azurite and the service over the folder; the first time, publish the sample and write its settings."""
    settings = load_settings()
    if settings is not None:
        _refuse_another_start(settings, port, workspace)
    make_private(FOLDER)
    with ExitStack() as running:
        storage = running.enter_context(azurite(FOLDER / "azurite", (port, port + 1, port + 2)))
        flags = ("--port", str(port + 10), *flags)
        connection, published = storage.connection_string, dict[str, str]()
        if workspace:
            from local import azureml

            place = running.enter_context(azureml.running_workspace(FOLDER / "aml", connection, *flags))
            if settings is None:
                published = azureml.publish(storage, place, apart="").settings
        else:
            studio = running.enter_context(running_studio(FOLDER / "studio", connection, *flags))
            if settings is None:
                published = publish(storage, studio, apart="").settings
        if settings is None:
            settings = {**published, PORT: str(port)}
            save_settings(settings)
        yield storage, place.child if workspace else studio.child, settings


def _refuse_another_start(settings: Mapping[str, str], port: int, workspace: bool) -> None:
    if settings.get(PORT) != str(port):
        raise NotStarted(f"{FOLDER.name}/ was made with --port {settings.get(PORT)}; give that, or remove that folder")
    if has_workspace(settings) != workspace:
        made = "with --azureml; give that" if has_workspace(settings) else "without --azureml; leave that out"
        raise NotStarted(f"{FOLDER.name}/ was made {made}, or remove that folder")
    if is_running(port):
        raise NotStarted(
            f"port {port} is in use: python3 run.py up runs in this folder already, or another program took its port; "
            "stop that first"
        )


def pipelines_file(settings: Mapping[str, str]) -> Path:
    return Path(settings["PIPELINES_FILE"])
