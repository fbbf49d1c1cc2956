"""Starts child processes, waits until they say that they are ready, and stops them by their id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
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
def python_child(
    module: Sequence[str], settings: Mapping[str, str], heard: Callable[[str], None] | None = None
) -> Iterator[Child]:
    """Run a module with its arguments until the context ends. `heard` gets each line after the first."""
    lines: Queue[str | None] = Queue()
    with running([sys.executable, "-m", "local.lifeline", *module], settings, cwd=ROOT, **BACKGROUND) as process:
        listener = threading.Thread(target=_listen, args=(process, lines, heard), daemon=True)
        listener.start()
        try:
            yield Child(process.pid, _first(lines, module), process)
        finally:
            stop(process)
            listener.join(5)


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


def _listen(process: subprocess.Popen[bytes], lines: Queue[str | None], heard: Callable[[str], None] | None) -> None:
    assert process.stdout is not None
    ready = False
    with process.stdout as output:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            if ready and heard:
                heard(line)
            elif not ready:
                lines.put(line)
                ready = line.startswith("{")
    lines.put(None)  # it ended


def _first(lines: Queue[str | None], module: Sequence[str]) -> Mapping[str, Any]:
    name, said = " ".join(module[:2]), ""
    while True:
        try:
            line = lines.get(timeout=PATIENCE)
        except Empty:
            line = None
        if line is None:
            raise NotStarted(f"{name} did not start: {said or 'it gave no reason'}")
        if line.startswith("{"):
            return dict(json.loads(line))
        said = line
