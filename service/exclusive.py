"""A lock among processes: a file that one of them holds. The system releases it when its holder is killed."""

from __future__ import annotations

import sys
import time


def hold(descriptor: int, *, wait: bool) -> bool:
    """Return whether the open file is held by this process from now on, until it is closed."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.2)  # this system waits 10 s at most by itself
            else:
                return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
