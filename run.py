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
    python = setup.local(ROOT) if command in ("demo", "up", "new") else setup.development(ROOT)
    if command == "check":
        steps = [
            ["ruff", "check", "."],
            ["ruff", "format", "--check", "."],
            ["mypy"],
        ]
        return max(_call(python, step) for step in steps)
    node = setup.azurite(ROOT, python)
    settings = {"RELEARN_NODE": str(node)}
    if command == "test":
        settings |= setup.runtime(ROOT) | setup.clients(ROOT, python)
        # A file's tests share a Studio, so they stay together; much of a test's time is waiting for one.
        spread = ["-n", str(1 + (os.cpu_count() or 2)), "--dist", "loadfile", "--no-loadscope-reorder"]
        return _call(python, ["pytest", *spread, *rest], settings)
    if command == "bench" and not {"app", "arrival", "fleet", "-h", "--help"} & set(rest):
        settings |= setup.mlflow(ROOT)
    return _call(python, [f"local.{command}", *rest], settings)


def _call(python: Path, module: Sequence[str], settings: dict[str, str] | None = None) -> int:
    """Run a module as a child that shares the terminal. A signal to end goes on to it; it cleans up before we go on."""
    with running([str(python), "-m", "local.lifeline", *module], settings, cwd=ROOT) as process:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _: process.send_signal(number))
        status = process.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
