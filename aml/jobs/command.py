"""A user's command as a process: started in a folder, its output in a log, ended with everything that it started."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service import keeper

#: what a command inherits of this server's environment: nothing that may be a secret
_INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP",
    "SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS",
)  # fmt: skip
PAUSE = 0.1  #: seconds between two looks at a command


def environment_of(python: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command, in which `python` is that program."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    folder = str(Path(python).absolute().parent)  # not resolved: a virtual environment's Python is a link
    path = os.pathsep.join([folder, *filter(None, [variables.get("PATH", inherited.get("PATH"))])])
    return {**inherited, "PYTHONUNBUFFERED": "1", **variables, "PATH": path}


def shell(command: str) -> list[str]:
    """Return the program that runs a command line, as the service's images do."""
    return ["cmd", "/c", command] if os.name == "nt" else ["/bin/sh", "-c", command]


def quoted(path: Path) -> str:
    """Return a path as a word of a command line; it stays as it is where no shell reads it otherwise."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


@contextmanager
def running(
    command: list[str], folder: Path, environment: Mapping[str, str], log: Path
) -> Iterator[Callable[[], int | None]]:
    """Run a program until the context ends; yield what returns its exit code, or None while it runs."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,  # it closes when this server ends, and the keeper notices
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
    assert process.stdin is not None
    try:
        yield process.poll
    finally:
        process.stdin.close()
        try:
            process.wait(4 * keeper.GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
