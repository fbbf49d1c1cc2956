"""`python -m aml`: run the local Azure Machine Learning workspace, lead programs to it, and look at it.

Exit codes: 0 done, 1 refused by the server, 2 not asked (wrong or missing input).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

try:
    from aml.cli import env, imports, resources, serving, traffic
    from aml.cli.place import add_data
    from aml.faults import Faults
    from service.commands import run_command
    from service.faults import command as faults
except ModuleNotFoundError as missing:
    if str(missing.name).partition(".")[0] in ("aml", "service"):
        raise
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}; run: python3 run.py aml COMMAND, "
        "which installs what it needs"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = make_parser().parse_args(arguments)
    return run_command("aml", lambda: int(chosen.run(chosen)))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aml",
        description="A local Azure Machine Learning workspace: unmodified clients use it as they use the service.",
        epilog="Records are in --data (setting AML_DATA), blobs in the storage of AML_STORAGE; both default "
        "to what `run.py up` made. Exit codes: 0 done, 1 refused, 2 wrong or missing input.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in (serving, env, resources, traffic, imports):
        subject.add(commands)
    faults.add(commands, Faults, add_data, "python -m aml serve --control")
    return parser


if __name__ == "__main__":
    sys.exit(main())
