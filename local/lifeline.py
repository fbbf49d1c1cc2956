"""`python -m local.lifeline MODULE ...`: runs the module, and ends it when the process that started it is gone.

The starter holds the other end of a pipe and never writes to it. The system closes that end however the starter ends,
also by SIGKILL, so an end of file means that nobody is left to stop this process. Standard library only: other
environments than this project's run it too.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

DESCRIPTOR = "RELEARN_LIFELINE"  #: number of the file descriptor of the pipe; Azurite's Node reads it too
ORDERLY_SECONDS = 30.0  #: for stopping in order; nobody is left to force an end after that


def hold() -> None:
    """Watch the pipe if there is one, and have SIGINT end this process although a script ignores it for its jobs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    number = os.environ.pop(DESCRIPTOR, "")  # not for the processes that this one starts
    if number:
        os.set_inheritable(int(number), False)
        threading.Thread(target=_end_with_the_starter, args=(int(number),), name="lifeline", daemon=True).start()


def _end_with_the_starter(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(ORDERLY_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    hold()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
