"""`run.py up`: Azurite, the local Studio and the triggers stay running, with everything kept between two starts."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

from rich.console import Console
from rich.markup import escape

from local.children import NotStarted, end_in_order
from local.home import SETTINGS, services
from local.triggers import triggers
from local.workplace import PIPELINE


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py up", description="Keep the whole product running on this machine.")
    parser.add_argument("--port", type=_port, default=10000, help="Azurite takes this and the next two, the Studio +10")
    parser.add_argument("--no-triggers", action="store_true", help="for Core Tools: func start runs them instead")
    parser.add_argument("--faults", action="store_true", help="let `python -m studio fault` have the Studio misbehave")
    chosen = parser.parse_args()
    stopping = threading.Event()
    end_in_order()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    console = Console(highlight=False)
    try:
        with ExitStack() as running:
            processes = _start(running, console, chosen)
            while not stopping.wait(0.5):
                for name, process in processes.items():
                    if process.poll() is not None:
                        raise NotStarted(f"{name} ended with exit code {process.returncode}")
            console.print("stopping")
    except NotStarted as error:
        console.print(f"[bold red]up:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65525:
        raise argparse.ArgumentTypeError(f"{port} leaves no room for the ports after it; give 1 to 65525")
    return port


def _start(running: ExitStack, console: Console, chosen: argparse.Namespace) -> dict[str, subprocess.Popen[bytes]]:
    flags = ["--control"] if chosen.faults else []
    storage, studio, settings = running.enter_context(services(chosen.port, *flags))
    processes = {"Azurite": storage.process, "the local Studio": studio.child.process}
    if not chosen.no_triggers:
        processes["the trigger loop"] = running.enter_context(triggers(settings, _show)).process
    _tell(console, settings, storage.connection_string, studio.address)
    return processes


def _show(line: str) -> None:
    if " INFO " not in line or "'poll_jobs'" not in line:  # a poll a second that went well is no news
        print(line, flush=True)


def _tell(console: Console, settings: dict[str, str], storage: str, studio: str) -> None:
    container = settings["TRAINING_DATA_PATH"].split("/")[0]
    for name, told in (
        ("drop data at", f"container {container}, {PIPELINE}/NAME.csv"),
        ("send messages to", f"queue {settings['PROMOTIONS_QUEUE']} (JSON, as it is or in base64)"),
        ("storage", storage),
        ("local Studio", studio),
        ("training service", settings["BREAST_CANCER_TRAINING_ADDRESS"]),
        ("Classic endpoint", settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"]),
        ("New web service", settings["BREAST_CANCER_NEW_SCORING_ADDRESS"]),
        ("all settings, keys", os.path.relpath(SETTINGS)),
        ("stop", "Ctrl-C"),
    ):
        console.print(f"[cyan]{name:<20}[/]{escape(told)}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
