"""Where a service listens, and how its commands find it: its addresses stand in its data folder while it runs."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.commands import Stopped
from service.exclusive import hold

_RUNNING = "running.json"
_LOCK = "serving.lock"  #: held while a server works on the folder; the system releases it when the server is killed


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    # Without the protocol's number asyncio leaves Nagle's algorithm on, which delays every answer by 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(1024)  # a reader of the address may call at once, and waits
    return listening


def address_of(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()
    return f"{scheme}://{host}:{port}"


@contextmanager
def announced(folder: Path, **addresses: str) -> Iterator[None]:
    """Have other commands find this server's addresses until the context ends.

    Raises `Stopped` if another server works on the folder: both would run the same jobs.
    """
    with (folder / _LOCK).open("w") as lock:
        if not hold(lock.fileno(), wait=False):
            raise Stopped(f"another server works on {folder}; stop it, or give another folder as --data")
        file = folder / _RUNNING
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
            json.dump(addresses, opened)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def running(folder: Path, what: str) -> str | None:
    """Return the address of that name of the server that runs over the folder."""
    address = noted(folder).get(what)
    return address if isinstance(address, str) and _listens(address) else None


def noted(folder: Path) -> dict[str, Any]:
    """Return what the server that runs over the folder announced, or the last one if it was killed."""
    try:
        return dict(json.loads((folder / _RUNNING).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _listens(address: str) -> bool:
    """A server that was killed leaves its addresses behind."""
    try:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=1):
            return True
    except (OSError, ValueError):
        return False
