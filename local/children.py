"""Starts child processes, waits until they say that they are ready, and stops them by their id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from local.lifeline import DESCRIPTOR

ROOT = Path(__file__).resolve().parent.parent
#: seconds that a start, a call or a step may take before it counts as failed: also on a slow machine that is busy
PATIENCE = 300.0


class NotStarted(Exception):
    """A program did not start; the message says why and what to do."""


@dataclass(frozen=True)
class Child:
    """A running program and the first line that it printed, which is JSON."""

    pid: int
    said: Mapping[str, Any]
    process: subprocess.Popen[bytes]


@contextmanager
def running(
    command: Sequence[str], settings: Mapping[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the context ends. If this process is killed, the program sees its lifeline end."""
    ends, held = os.pipe()
    try:
        environment = {**os.environ, **(settings or {})}
        if os.name == "posix":  # Windows hands over no descriptors by number
            environment[DESCRIPTOR] = str(ends)
            options["pass_fds"] = [ends]
        process = subprocess.Popen(command, env=environment, **options)
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(ends)
    try:
        yield process
    finally:
        stop(process)
        os.close(held)


#: for a program in the background: its output is read here, and Ctrl-C in the terminal reaches this process, which
#: stops its children in order
BACKGROUND: Mapping[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "start_new_session": os.name == "posix",
}


@contextmanager
def background(
    command: Sequence[str],
    name: str,
    ready: Callable[[str], bool],
    heard: Callable[[str], None] | None = None,
    settings: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the context ends, which begins when `ready` returns True for a line that it prints.

    `ready` may raise `NotStarted` with a clearer reason. `heard` gets each later line.
    All output is read to its end: a program whose pipe is full stops.
    """
    started: Future[None] = Future()
    with running(command, settings, **BACKGROUND, **options) as process:
        listener = threading.Thread(target=_listen, args=(process, name, ready, started, heard), daemon=True)
        listener.start()
        try:
            try:
                started.result(PATIENCE)
            except TimeoutError:
                raise NotStarted(f"{name} did not start within {PATIENCE:.0f} s") from None
            yield process
        finally:
            stop(process)
            listener.join(5)


@contextmanager
def python_child(
    module: Sequence[str], settings: Mapping[str, str], heard: Callable[[str], None] | None = None
) -> Iterator[Child]:
    """Run a module with its arguments until the context ends. `heard` gets each line after the first."""
    first: list[str] = []

    def ready(line: str) -> bool:
        first[:] = [line]
        return line.startswith("{")

    command = [sys.executable, "-m", "local.lifeline", *module]
    with background(command, " ".join(module[:2]), ready, heard, settings, cwd=ROOT) as process:
        yield Child(process.pid, dict(json.loads(first[0])), process)


def end_in_order(leave: Callable[[int], NoReturn] = lambda number: sys.exit(128 + number)) -> None:
    """Have Ctrl-C, a request to end or a closed terminal leave every context, so that children are stopped too."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def end(number: int, _: object) -> NoReturn:
        # A closed terminal asks more than once; the second time must not break off what the first began.
        for each in numbers:
            signal.signal(each, lambda *_: None)
        leave(number)

    for number in numbers:
        signal.signal(number, end)


def stop(process: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """End a child process: ask, wait, and only then force it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(
    process: subprocess.Popen[bytes],
    name: str,
    ready: Callable[[str], bool],
    started: Future[None],
    heard: Callable[[str], None] | None,
) -> None:
    assert process.stdout is not None
    said = ""
    with process.stdout as output:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            if started.done():
                if heard:
                    heard(line)
                continue
            said = line or said
            try:
                if ready(line):
                    started.set_result(None)
            except NotStarted as error:
                started.set_exception(error)
    if not started.done():
        started.set_exception(NotStarted(f"{name} did not start: {said[-300:] or 'it gave no reason'}"))
