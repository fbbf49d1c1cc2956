"""Which processes there are, where the system has /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

TELLS = Path("/proc/self/stat").exists()
UNTOLD = "this system has no /proc that tells which processes there are"


def grandchildren(process: int) -> list[int]:
    """Return the ids of its children's children; of a Studio they are the processes of its jobs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return [each for each, parent in parents.items() if parents.get(parent) == process]


def lives(process: int) -> bool:
    """Return whether it is there and at work; one that has ended and was not yet looked at is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
