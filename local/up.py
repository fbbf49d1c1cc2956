"""`run.py up`: Azurite, the local service and the triggers stay running, with everything kept between two starts."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from local import home
from local.addresses import places, show
from local.children import NotStarted, end_in_order
from local.commands import parser_of
from local.events import Events, starting
from local.triggers import triggers
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.fleets import Pipelines

LOG = "triggers.log"


def main() -> int:
    chosen = parser_of("up").parse_args()
    stopping = threading.Event()
    end_in_order()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    console = Console(highlight=False)
    try:
        with ExitStack() as running:
            _run(running, console, chosen, stopping)
            console.print("stopping: what is being done is finished first", soft_wrap=True)
        console.print("stopped; python3 run.py up goes on with it", soft_wrap=True)
    except (NotStarted, BadConfiguration) as error:
        console.print(f"[bold red]up:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    return 0


def _run(running: ExitStack, console: Console, chosen: argparse.Namespace, stopping: threading.Event) -> None:
    service = "the local workspace" if chosen.azureml else "the local Studio"
    with starting(console, f"starting Azurite and {service}"):
        flags = ["--control"] if chosen.faults else []
        opened = home.services(chosen.port, *flags, workspace=chosen.azureml)
        storage, child, settings = running.enter_context(opened)
    processes = {"Azurite": storage.process, service: child.process}
    show(console, [*places(settings), ("web services", "python3 run.py addresses")])
    loop: TriggerLoop | None = None
    if not chosen.no_triggers:
        events = Events(console, home.FOLDER / LOG, chosen.log)
        running.callback(events.close)
        loop = running.enter_context(TriggerLoop(console, events.hear))
        show(console, [("log", os.path.relpath(home.FOLDER / LOG))])
    show(console, [("stop", "Ctrl-C")])
    while not stopping.wait(0.5):
        for name, process in (processes | (loop.process if loop else {})).items():
            if process.poll() is not None:
                raise NotStarted(f"{name} ended with exit code {process.returncode}")
        if loop:
            loop.take_over_changes()


class TriggerLoop:
    """The triggers, over the settings and the pipelines file as they are; a change of either starts them again."""

    def __init__(self, console: Console, heard: Callable[[str], None]) -> None:
        self._console, self._heard = console, heard
        self._running = ExitStack()
        self._seen: object = None
        self.process: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> TriggerLoop:
        settings = _settings()
        self._seen = _state(settings)
        load_pipelines(Settings(settings).pipelines_file, Settings(settings))
        self._start(settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def take_over_changes(self) -> None:
        """Start the triggers again if a file changed and is right; say what is wrong with it otherwise."""
        with home.changing(wait=False) as whole:
            changed = self._changed() if whole else None  # else `new` is between its changes of the two files
        if changed is None:
            return
        settings, pipelines = changed
        name = escape(os.path.relpath(Settings(settings).pipelines_file))
        self._console.print(f"{name} changed: the triggers are started with it", soft_wrap=True)
        self._running.close()
        self._start(settings)
        names = ", ".join([*pipelines.alone, *pipelines.fleets])
        self._console.print(f"[green]{name} is taken over:[/] {escape(names)}", soft_wrap=True)

    def _changed(self) -> tuple[dict[str, str], Pipelines] | None:
        """Return the settings and the pipelines of a change that is right."""
        file = home.SETTINGS
        try:
            settings = _settings()
            file, seen = Settings(settings).pipelines_file, self._seen
            self._seen = _state(settings)
            return (settings, load_pipelines(file, Settings(settings))) if self._seen != seen else None
        except BadConfiguration as error:
            if file == home.SETTINGS and self._seen == str(error):
                return None
            self._seen = str(error) if file == home.SETTINGS else self._seen
            name = escape(os.path.relpath(file))
            self._console.print(
                f"[red]{name} is not taken over, and what ran goes on:[/] {escape(str(error))}", soft_wrap=True
            )
            return None

    def _start(self, settings: dict[str, str]) -> None:
        self._running = ExitStack()
        self.process = {"the trigger loop": self._running.enter_context(triggers(settings, self._heard)).process}


def _settings() -> dict[str, str]:
    settings = home.load_settings()
    if settings is None:
        raise NotStarted(f"{home.SETTINGS} is gone; start again")
    return settings


def _state(settings: dict[str, str]) -> object:
    """Return what differs after a change: the settings, and when the pipelines file was written."""
    file = Path(Settings(settings).pipelines_file)
    try:
        found = file.stat()
    except OSError:
        return settings, None
    return settings, found.st_mtime_ns, found.st_size, found.st_ino


if __name__ == "__main__":
    sys.exit(main())
