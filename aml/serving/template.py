"""`python template.py KEEPER CONTAINER`: has the learning libraries loaded, and makes processes of deployments.

Loading scikit-learn takes seconds of a processor and a hundred megabytes; a copy of this process takes neither. Orders
come over standard input, a socket: what is served, and the descriptors of the log and of a socket. The copy has a
keeper, which ends it with everything that it started once the other end of its socket is closed, also when the server
is killed.

It runs in the Python of an environment, which may have none of this project: standard library only, run by its path.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

LOADED = ("numpy", "skops.io", "sklearn.pipeline", "sklearn.compose", "sklearn.preprocessing", "sklearn.linear_model",
          "sklearn.ensemble", "sklearn.impute")  # fmt: skip
LONGEST = 64 << 10  #: bytes of an order


class Copy:
    """A copy of this process as `subprocess.Popen` has one, as far as the keeper asks."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None
        self._waiting = threading.Lock()

    def poll(self) -> int | None:
        with self._waiting:
            if self._status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
            return self._status

    def wait(self, timeout: float | None = None) -> int:
        if timeout is None:
            with suppress(ChildProcessError):  # another thread has asked for its status meanwhile
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        deadline = time.monotonic() + (timeout or 0.0)
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("", timeout or 0.0)
            time.sleep(0.05)
        return status


def main() -> None:
    sys.path.pop(0)  # this folder: its files are not modules of the user's code
    keeper, container = (_loaded(file) for file in sys.argv[1:3])
    for name in LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a copy shares what is never looked at again
    orders = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    orders.sendall(b"+")
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, LONGEST, 2)
        if not message:
            return
        if os.fork() == 0:
            orders.close()
            _keep(keeper, container, json.loads(message), *descriptors)
        for each in descriptors:
            os.close(each)


def _keep(keeper: Any, container: Any, order: dict[str, Any], log: int, life: int) -> NoReturn:
    """Make the copy, and end it once the other end of `life` is closed; say there how it ended."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for each in (1, 2):
            os.dup2(log, each)
        keeper.adopt_orphans()
        if (pid := os.fork()) == 0:
            os.close(life)
            _serve(container, order)
        copy, starter = Copy(pid), socket.socket(fileno=life)
        status = keeper.keep(copy, lambda: starter.recv(1))
        with suppress(OSError):
            starter.sendall(bytes([status & 0xFF]))
    finally:
        os._exit(status & 0xFF)


def _serve(container: Any, order: dict[str, Any]) -> NoReturn:
    """Be the inference server of a deployment."""
    status = 1
    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        container.run(order["settings"])
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _loaded(file: str) -> Any:
    name = Path(file).stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
