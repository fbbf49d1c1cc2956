"""A program that says when it is asked to end, and takes a second for that."""

import signal
import sys
import threading
from typing import NoReturn


def end(*_: object) -> NoReturn:
    print("ending", flush=True)
    threading.Event().wait(1)
    sys.exit()


signal.signal(signal.SIGTERM, end)
print("{}", flush=True)
signal.pause()
