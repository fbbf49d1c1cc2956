"""The local Studio as a child process, and the workspace behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.children import Child, python_child
from studio.publishing import Studio


@dataclass(frozen=True)
class RunningStudio:
    address: str
    studio: Studio  #: for publishing; the server sees what it writes
    control: str  #: address of the faults' control; empty unless the flag --control was given
    child: Child


@contextmanager
def running_studio(folder: Path, storage: str, *flags: str) -> Iterator[RunningStudio]:
    """Run the local Studio on a free port until the context ends. `storage` is its connection string."""
    command = ["studio", "serve", "--data", str(folder), *flags]
    with python_child(command, {"STUDIO_STORAGE": storage}) as child:
        yield RunningStudio(
            str(child.said["address"]), Studio(folder, storage), str(child.said.get("control", "")), child
        )
