"""Processes that have the learning libraries loaded: a deployment's process is a copy of one, where that can be.

On other systems than Linux a deployment's process is started by itself: there a copied process may not use some
libraries, or cannot be made.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from aml.jobs.command import environment_of
from aml.serving import container, template
from service import keeper

READY_WITHIN = 300.0  #: seconds


class Templates:
    """One for each Python, started when it is needed first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Template] = {}

    def of(self, python: str) -> Template | None:
        """Return the one of this Python, or None where there can be none."""
        if sys.platform != "linux":
            return None
        with self._lock:
            made = self._made.get(python)
            if made is None or not made.lives:
                made = self._made[python] = Template(python)
            return made if made.lives else None

    def stop(self) -> None:
        with self._lock:
            for made in self._made.values():
                made.stop()
            self._made.clear()


class Template:
    def __init__(self, python: str) -> None:
        self._lock = threading.Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = (template.__file__, keeper.__file__, container.__file__)
        with theirs:
            self._process = subprocess.Popen(
                [python, *(str(Path(each).resolve()) for each in files)],
                env=environment_of(python, {}),
                stdin=theirs.fileno(),  # it closes when this server ends, and the process notices
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._orders.settimeout(READY_WITHIN)
        with suppress(OSError):
            if self._orders.recv(1):
                return
        self.stop()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._orders.close()
        try:
            self._process.wait(keeper.GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def running(
        self, settings: Path, folder: Path, environment: Mapping[str, str], log: Path
    ) -> Iterator[Callable[[], int | None]]:
        """Run an inference server until the context ends; yield what returns its exit code, or None while it runs.

        Raises `OSError` when the process can no longer be copied.
        """
        order = {"settings": str(settings), "folder": str(folder), "environment": dict(environment)}
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, log.open("ab") as output, self._lock:
                message = json.dumps(order).encode()
                socket.send_fds(self._orders, [message], [output.fileno(), theirs.fileno()])
            ended: list[int] = []

            def exit_code() -> int | None:
                if not ended:
                    with suppress(BlockingIOError):
                        ours.setblocking(False)
                        ended.append(int.from_bytes(_said(ours)))
                return ended[0] if ended else None

            try:
                yield exit_code
            finally:
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_WR)
                    ours.settimeout(4 * keeper.GRACE)
                    while _said(ours):
                        pass


def _said(life: socket.socket) -> bytes:
    """Return how the process ended; nothing where its keeper was ended too."""
    try:
        return life.recv(1)
    except ConnectionResetError:
        return b""
