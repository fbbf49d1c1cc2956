"""Which processes there are, where the system has /proc."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HAS_PROC = Path("/proc/self/stat").exists()
NO_PROC = "this system has no /proc, which lists the processes"


def grandchildren(process: int) -> list[int]:
    """Return the ids of its children's children; of a Studio they are the processes of its jobs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return [each for each, parent in parents.items() if parents.get(parent) == process]


def with_variable(setting: str) -> dict[int, str]:
    """Return the command lines, by process id, of those whose environment has this `NAME=value`, orphans too."""
    return dict(_with_variable(setting.encode()))


def _with_variable(setting: bytes) -> Iterator[tuple[int, str]]:
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended meanwhile, or is somebody else's
            if setting in environ.read_bytes().split(b"\0") and lives(process := int(environ.parent.name)):
                yield process, (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def environment_of(process: int) -> str:
    """Return the environment that the process was started with; nothing once it has ended."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def lives(process: int) -> bool:
    """Return whether it is there and at work; one that has ended and was not yet looked at is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
