"""Azurite, the blob and queue storage of this machine, as a child process on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.children import BACKGROUND, PATIENCE, NotStarted, running
from service.private import make_private

_FOLDER = Path(__file__).parent / "azurite"
PROGRAM = _FOLDER / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
LIFELINE = _FOLDER / "lifeline.cjs"
ACCOUNT = "devstoreaccount1"
#: The account key that every copy of Azurite has; Microsoft documents it, so it protects nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A running Azurite. The addresses carry the account's name."""

    connection_string: str = field(repr=False)
    blob_address: str
    queue_address: str
    process: subprocess.Popen[bytes] = field(repr=False)


@contextmanager
def azurite(
    folder: Path | None = None,
    ports: tuple[int, int, int] | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Azurite]:
    """Run Azurite until the context ends: in memory unless a folder is given, on free ports unless they are given.

    With the files of a certificate and its key it answers HTTPS, and takes tokens of an identity too.
    """
    blob, queue, table = ports or _free_ports(3)
    for port in ports or ():
        # Another Azurite on them, such as an editor's, would answer in place of this one.
        if _listens(port):
            raise NotStarted(f"port {port} is taken; stop what uses it, or give another --port")
    if not PROGRAM.exists():
        raise NotStarted("Azurite is not installed; python3 run.py installs it")
    if folder is not None:
        make_private(folder)
    command = [os.environ.get("RELEARN_NODE") or shutil.which("node") or "node"]
    command += ["--require", str(LIFELINE), str(PROGRAM)]
    # The storage libraries are newer than the newest Azurite, which would refuse them by their version alone.
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    if certificate:
        command += ["--oauth", "basic", "--cert", str(certificate[0]), "--key", str(certificate[1])]
    scheme = "https" if certificate else "http"
    for name, port in (("blob", blob), ("queue", queue), ("table", table)):
        command += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
    with running(command, **BACKGROUND) as process:
        _wait_until_it_listens(process, (blob, queue, table))
        yield Azurite(
            connection_string=(
                f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
                f"BlobEndpoint={scheme}://127.0.0.1:{blob}/{ACCOUNT};QueueEndpoint={scheme}://127.0.0.1:{queue}/{ACCOUNT};"
                f"TableEndpoint={scheme}://127.0.0.1:{table}/{ACCOUNT};"
            ),
            blob_address=f"{scheme}://127.0.0.1:{blob}/{ACCOUNT}",
            queue_address=f"{scheme}://127.0.0.1:{queue}/{ACCOUNT}",
            process=process,
        )


def _wait_until_it_listens(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    for port in ports:
        while not _listens(port):
            if process.poll() is not None:
                output = process.stdout.read().decode(errors="replace") if process.stdout else ""
                raise NotStarted(f"Azurite did not start: {output.strip()[-300:] or 'it gave no reason'}")
            if time.monotonic() > deadline:
                raise NotStarted(f"Azurite did not listen on port {port} within {PATIENCE:.0f} s")
            time.sleep(0.02)  # it does not say when it listens


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)
    finally:
        for each in sockets:
            each.close()
