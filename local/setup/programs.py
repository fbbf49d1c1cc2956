"""Runs the programs that install, and hears what they print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.setup.problems import Failed


def run(
    command: Sequence[str],
    settings: Mapping[str, str] | None = None,
    heard: Callable[[str], None] | None = None,
    cwd: Path | None = None,
) -> str:
    """Return what the program printed; `heard` gets each line as it comes. Raises `Failed` with the output."""
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise Failed(str(error)) from None
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if heard:
                heard(line.strip())
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    output = "".join(lines)
    if process.returncode:
        raise Failed(output or f"{command[0]} ended with exit code {process.returncode}")
    return output
