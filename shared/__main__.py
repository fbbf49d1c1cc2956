"""`python -m shared`: what people ask of the app, with its own settings. Parses and delegates."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

try:
    if find_spec("rich") is None:  # it is imported late, as it takes long
        raise ModuleNotFoundError(name="rich")
    from shared.base.errors import RetrainingError, TryLater
    from shared.cli import changes, compare, config, data, decisions, history, init, jobs, requests, rollouts, status
    from shared.cli.doctor import command as doctor
    from shared.cli.output import show_json, tell
    from shared.cli.place import EXIT_CODES, FAILED, WAITING, Commands, Stopped, add_common
except ModuleNotFoundError as missing:
    if str(missing.name).startswith("shared"):
        raise
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}. On this machine: python3 run.py app COMMAND, which "
        "installs what it needs; elsewhere: pip install -r requirements-commands.txt"
    )

SUBJECTS = (status, jobs, data, requests, history, compare, decisions, changes, rollouts, doctor, config, init)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a wrong command line raises `SystemExit` as argparse does."""
    chosen = make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if chosen.verbose else logging.CRITICAL, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    try:
        return int(chosen.run(chosen))
    except Stopped as stopped:
        return _failed(chosen, str(stopped), stopped.code)
    except TryLater as error:
        return _failed(chosen, f"{error}; ask again later", WAITING)
    except RetrainingError as error:
        return _failed(chosen, str(error), FAILED)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read the output has read enough
        return 141


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shared",
        description="Relearn's commands; they read the app's own settings.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser, before=True)
    commands = Commands(parser)
    for subject in SUBJECTS:
        subject.add(commands)
    for command in commands.parsers.choices.values():
        if command.get_default("json") is None:  # of the others it is fixed
            add_common(command)
    return parser


def _failed(chosen: argparse.Namespace, text: str, code: int) -> int:
    if chosen.json:
        show_json({"error": text, "exit": code})
    tell(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
