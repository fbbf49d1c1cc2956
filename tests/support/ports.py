"""Ports for `run.py up`, which takes numbers that a person chose."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack


def port_of_up() -> int:
    """Return a port that is free, as are the others that `up` takes after it.

    Systems give these ports to nobody by themselves, and each worker of pytest-xdist has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = range(12000, 32000, 20)[worker::workers]
    return next(filter(_all_free, random.Random().sample(own, len(own))))


def _all_free(port: int) -> bool:
    with ExitStack() as taken:
        try:
            for each in (port, port + 1, port + 2, port + 10):
                taken.enter_context(socket.socket()).bind(("127.0.0.1", each))
        except OSError:
            return False
        return True
