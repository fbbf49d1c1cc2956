"""What `run.py up` keeps between two starts, in `.relearn/`: the storage, the Studio, and the settings of the app."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.azurite import Azurite, azurite
from local.children import ROOT, NotStarted
from local.studio import RunningStudio, running_studio
from local.workplace import publish
from service.exclusive import hold
from service.private import make_private
from shared.base.settings import read_settings

FOLDER = ROOT / ".relearn"
SETTINGS = FOLDER / "local.settings.json"
PORT = "RELEARN_PORT"  #: the setting with Azurite's first port; it takes the next two as well, the Studio the tenth


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


def studio_address(port: int) -> str:
    return f"http://127.0.0.1:{port + 10}"


def is_running(port: int) -> bool:
    """Return whether Azurite of this folder listens, so that another start must not run it too."""
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def services(port: int, *flags: str) -> Iterator[tuple[Azurite, RunningStudio, dict[str, str]]]:
    """Run Azurite and the Studio over the folder; the first time, publish the sample and write its settings."""
    settings = load_settings()
    if settings is not None and settings.get(PORT) != str(port):
        raise NotStarted(
            f"{FOLDER.name}/ was made with --port {settings.get(PORT)}; give that, or remove it: python3 run.py clean"
        )
    if settings is not None and is_running(port):
        raise NotStarted(
            f"port {port} is in use: python3 run.py up runs in this folder already, or another program took its port; "
            "stop that first"
        )
    make_private(FOLDER)
    with ExitStack() as running:
        storage = running.enter_context(azurite(FOLDER / "azurite", (port, port + 1, port + 2)))
        flags = ("--port", str(port + 10), *flags)
        studio = running.enter_context(running_studio(FOLDER / "studio", storage.connection_string, *flags))
        if settings is None:
            settings = {**publish(storage, studio, apart="").settings, PORT: str(port)}
            save_settings(settings)
        yield storage, studio, settings


def pipelines_file(settings: dict[str, str]) -> Path:
    return Path(settings["PIPELINES_FILE"])
