"""Finds the Pythons of this machine by version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def pythons(wanted: tuple[int, int]) -> Iterator[Path]:
    """Yield the Pythons of that version: this one, on the PATH, pyenv's."""
    version = ".".join(map(str, wanted))
    if sys.version_info[:2] == wanted:
        yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield from _working(Path(found), wanted)
    beside = Path(sys.base_prefix).parent
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for versions in dict.fromkeys((pyenv, beside)):
        for folder in sorted(versions.glob(f"{version}.*"), reverse=True):
            yield from _working(folder / ("python.exe" if os.name == "nt" else "bin/python"), wanted)


def _working(python: Path, wanted: tuple[int, int]) -> Iterator[Path]:
    """Yield it if it starts and is of the version: a name on the PATH may be a shim for a version not there."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {wanted})"
    try:
        works = subprocess.run([str(python), "-c", check], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return
    if works:
        yield python
