"""The one command to remember. Standard library only; everything else is installed on first use.

python3 run.py demo     the whole product on this machine, live, in a minute
python3 run.py test     every test
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (an older Python must get a clear line)
    sys.exit(f"Relearn needs Python 3.11 or later; this is {sys.version.split()[0]}. Install it and run again.")

from local import setup
from local.children import running

ROOT = Path(__file__).resolve().parent

COMMANDS = {
    "demo": "show the whole product live, and check each step",
    "up": "keep everything running until Ctrl-C: Azurite, Studio, triggers",
    "new": "make a pipeline of your own data: new NAME DATA --label COLUMN",
    "test": "run every test (arguments are passed to pytest)",
    "check": "run ruff and mypy",
    "bench": "measure it all, or one: bench app, arrival, studio, fleet",
    "clean": "remove what this command installed and made",
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Relearn on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, told in COMMANDS.items():
        commands.add_parser(name, help=told, description=told, add_help=name not in ("test",))
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.command == "clean":
        parser.error(f"clean takes no arguments: {' '.join(rest)}")
    # A script that starts it in the background has SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run(chosen.command, rest)
    except setup.Missing as missing:
        print(f"run.py: {missing}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(command: str, rest: Sequence[str]) -> int:
    if command == "clean":
        setup.clean(ROOT)
        return 0
    if command == "check":
        steps = [
            ["ruff", "check", "."],
            ["ruff", "format", "--check", "."],
            ["mypy"],
        ]
        ready = setup.for_checks(ROOT)
        return max(_call(ready, step) for step in steps)
    if command == "test":
        # A file's tests share a Studio, so they stay together; much of a test's time is waiting for one.
        spread = ["-n", str(1 + (os.cpu_count() or 2)), "--dist", "loadfile", "--no-loadscope-reorder"]
        return _call(setup.for_tests(ROOT), ["pytest", *spread, *rest])
    if command == "bench":
        with_mlflow = not {"app", "arrival", "fleet", "-h", "--help"} & set(rest)
        return _call(setup.for_bench(ROOT, with_mlflow), ["local.bench", *rest])
    return _call(setup.for_running(ROOT), [f"local.{command}", *rest])


def _call(ready: setup.Ready, module: Sequence[str]) -> int:
    """Run a module as a child that shares the terminal. A signal to end goes on to it; it cleans up before we go on."""
    with running([str(ready.python), "-m", "local.lifeline", *module], ready.settings, cwd=ROOT) as process:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _: process.send_signal(number))
        status = process.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
