"""Azurite, the blob and queue storage of this machine, as a child process on loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.children import NotStarted, background
from service.private import make_private

_FOLDER = Path(__file__).parent / "azurite"
PROGRAM = _FOLDER / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
LIFELINE, BY_NAME = _FOLDER / "lifeline.cjs", _FOLDER / "by_name.cjs"
ACCOUNT = "devstoreaccount1"
_LISTENS = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (\S+)")
_TAKEN = re.compile(r"EADDRINUSE.*:(\d+)")
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
    ports: tuple[int, int, int] = (0, 0, 0),
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Azurite]:
    """Run Azurite until the context ends: in memory unless a folder is given; a port 0 becomes a free one.

    With the files of a certificate and its key it answers HTTPS, and takes tokens of an identity too.
    """
    if not PROGRAM.exists():
        raise NotStarted("Azurite is not installed; python3 run.py installs it")
    if folder is not None:
        make_private(folder)
    command = [os.environ.get("RELEARN_NODE") or shutil.which("node") or "node"]
    command += ["--require", str(LIFELINE), "--require", str(BY_NAME), str(PROGRAM)]
    # The storage libraries are newer than the newest Azurite, which would refuse them by their version alone.
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    if certificate:
        command += ["--oauth", "basic", "--cert", str(certificate[0]), "--key", str(certificate[1])]
    for name, port in zip(("blob", "queue", "table"), ports, strict=True):
        command += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
    addresses: dict[str, str] = {}

    def ready(line: str) -> bool:
        # Only Azurite itself says where it listens: another program may answer on a port that was free before.
        if taken := _TAKEN.search(line):
            raise NotStarted(f"port {taken[1]} is taken; stop what uses it, or give another --port")
        if found := _LISTENS.match(line):
            addresses[found[1]] = f"{found[2]}/{ACCOUNT}"
        return len(addresses) == 3

    with background(command, "Azurite", ready) as process:
        yield Azurite(
            connection_string=(
                f"DefaultEndpointsProtocol={addresses['Blob'].partition(':')[0]};"
                f"AccountName={ACCOUNT};AccountKey={KEY};"
                + "".join(f"{name}Endpoint={address};" for name, address in addresses.items())
            ),
            blob_address=addresses["Blob"],
            queue_address=addresses["Queue"],
            process=process,
        )
