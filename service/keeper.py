"""`python keeper.py COMMAND ...`: runs a command, and ends it with everything that it started.

The starter holds the other end of this process's standard input and never writes to it. The system closes that end
however the starter ends, also by SIGKILL; then the command is ended too, as it is by SIGTERM to this process. Standard
library only, and run by its path: nothing of this project is imported.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GRACE = 5.0  #: seconds between the request to end and the end by force
_PR_SET_CHILD_SUBREAPER = 36
_lock = threading.Lock()


def main(command: list[str]) -> int:
    adopt_orphans()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=os.name == "posix")
    return keep(process, lambda: os.read(0, 1))


def keep(process: subprocess.Popen[bytes], hear: Callable[[], bytes]) -> int:
    """Wait for the process, end what it started, and return its exit code. `hear` returns nothing at the starter's end.

    The process is the leader of a session.
    """
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=(process,), daemon=True).start())
    threading.Thread(target=_end_with_the_starter, args=(process, hear), daemon=True).start()
    status = process.wait()
    _end(process)
    return status if status >= 0 else 128 - status


def _end_with_the_starter(process: subprocess.Popen[bytes], hear: Callable[[], bytes]) -> None:
    with suppress(OSError):
        while hear():
            pass
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it started: ask, wait, and only then force it."""
    with _lock:  # one thread does it; a second one finds it done
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            process.poll()
            orphans = _orphans(process.pid)
            for each in orphans:
                with suppress(OSError):
                    os.kill(each, signal.SIGKILL)
            # A process that is not gone yet may still leave an orphan behind.
            if not orphans and not _group_lives(process):
                break
            time.sleep(0.01)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if os.name == "posix":
        with suppress(OSError):
            os.killpg(process.pid, number)
    elif process.poll() is None:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    if os.name != "posix":
        return False
    try:
        os.killpg(process.pid, 0)
    except OSError:
        return False
    return True


def adopt_orphans() -> None:
    """Have what the command leaves behind become a child of this process, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _orphans(command: int) -> list[int]:
    """Return the children of this process that are not the command itself; those that have ended are taken away."""
    if sys.platform != "linux":
        return []
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            child = int(stat.parent.name)
            if int(parent) != os.getpid() or child == command:
                continue
            if state == "Z":
                os.waitpid(child, os.WNOHANG)
            else:
                found.append(child)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
