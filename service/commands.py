"""How a command of a local service is run, and how it ends. Each message is one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class Failed(Exception):
    """What the command asked for was refused; the message says why."""


class Stopped(Exception):
    """The command cannot start; the message says what to do."""


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run a command of the program and return its exit code.

    That is 1 for `Failed`, 2 for `Stopped`, 130 after Ctrl-C, and 141 when the reader of its output is gone.
    """
    try:
        code = command()
        sys.stdout.flush()  # the reader may have closed the pipe
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes nowhere
        return 141
    except KeyboardInterrupt:
        return 130
    except (Failed, Stopped) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1 if isinstance(error, Failed) else 2
