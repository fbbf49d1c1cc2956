"""`python -m studio`: run the local Studio, publish on it, look after its web services.

Exit codes: 0 done, 1 refused (the experiment, the Studio or the server said no), 2 not asked (wrong or missing input).
"""

from __future__ import annotations

import argparse
import sys

try:
    from service.commands import Failed, run_command
    from service.faults import command as faults
    from studio.cli import definitions, experiments, services, serving
    from studio.cli.place import add_data
    from studio.errors import ModuleError, StudioError
    from studio.faults.orders import Faults
except ModuleNotFoundError as missing:
    if str(missing.name).partition(".")[0] in ("studio", "service"):
        raise
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}; run: python3 run.py studio COMMAND, "
        "which installs what it needs"
    )


def main() -> int:
    chosen = make_parser().parse_args()
    return run_command("studio", lambda: _carried_out(chosen))


def _carried_out(chosen: argparse.Namespace) -> int:
    try:
        return int(chosen.run(chosen))
    except ModuleError as error:
        raise Failed(str(error)) from None
    except StudioError as error:
        raise Failed(error.message) from None


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m studio",
        description="The local Studio: train experiments, deploy them as web services, serve them on this machine.",
        epilog="Records are in --data (setting STUDIO_DATA), blobs in the storage of the setting STUDIO_STORAGE; "
        "both default to what `run.py up` made. Exit codes: 0 done, 1 refused, 2 wrong or missing input.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in (serving, experiments, services, definitions):
        subject.add(commands)
    start = "python -m studio serve --control, or run.py up --faults"
    faults.add(commands, Faults, add_data, start)
    return parser


if __name__ == "__main__":
    sys.exit(main())
