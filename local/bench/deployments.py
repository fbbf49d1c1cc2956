"""Deployments of the local workspace without its gateway, and a hundred of them at once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from aml.serving.container import HEAD, LENGTH, READY
from local.bench.rows import Row, ms
from local.bench.workspace import Bench

MANY, OF_ENDPOINT = 100, 20


class Direct:
    """A connection to the process of a deployment, as the gateway has it."""

    def __init__(self, data: Path, body: bytes) -> None:
        folder = next(each.parent for each in sorted((data / "deployments").glob(f"*/{READY}")))
        secret = json.loads((folder / "container.json").read_text("utf-8"))["secret"].encode()
        self._body = LENGTH.pack(len(body)) + body
        self._connection = socket.create_connection(("127.0.0.1", int((folder / READY).read_text("utf-8"))))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(LENGTH.pack(len(secret)) + secret)
        self._reader = self._connection.makefile("rb")

    def score(self) -> bytes:
        self._connection.sendall(self._body)
        length, status, _ = HEAD.unpack(self._reader.read(HEAD.size))
        assert status == 200
        return self._reader.read(length)


def many(bench: Bench, data: Path, properties: dict[str, Any]) -> Iterator[Row]:
    """Make a hundred deployments and wait until each answers."""
    before, begun = _memory(data), time.perf_counter()
    operations = []
    for number in range(MANY):
        endpoint = f"onlineEndpoints/many{number // OF_ENDPOINT}"
        if number % OF_ENDPOINT == 0:
            bench.put(endpoint, authMode="Key")
        place = f"{endpoint}/deployments/d{number:03}"
        answer = bench.call("PUT", place, {"properties": properties, "identity": {"type": "SystemAssigned"}})
        operations.append(str(answer.headers["azure-asyncoperation"]))
    for operation in operations:
        while not _has_ended(bench, operation):
            time.sleep(0.2)
    took, after = time.perf_counter() - begun, _memory(data)
    beside = f"{(after - before) / MANY:.0f} MB for each" if after else "memory is measured on Linux only"
    yield f"{MANY} deployments started", ms(took), beside, ""


def _has_ended(bench: Bench, operation: str) -> bool:
    try:
        status = bench.status(operation)
    except requests.HTTPError:  # too many calls: again later
        return False
    assert status in ("InProgress", "Succeeded"), status
    return status == "Succeeded"


def _memory(data: Path) -> float:
    """Return the megabytes of the deployments' processes and their keepers; what they share counts once."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "cmdline").read_bytes() + str((process / "cwd").readlink()).encode()
            if str(data).encode() in environment or b"template.py" in environment:
                rollup = (process / "smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024
