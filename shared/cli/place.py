"""What commands share: where settings come from, the app they make, exit codes, and how a command stops."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration
from shared.base.settings import Settings, read_settings

if TYPE_CHECKING:  # the storage libraries behind it take a second to load, which --help need not wait for
    from shared.app import App

Run = Callable[[argparse.Namespace], int]  #: carries a command out, and returns its exit code

DONE, FAILED, USAGE, NOTHING, WAITING = 0, 1, 2, 3, 4
EXIT_CODES = """exit codes:
  0  done, or all is well
  1  refused or failed, or something is wrong; stderr says what to do
  2  the command line is wrong
  3  what was named does not exist, or there is nothing to show
  4  not now: another run is at work, or a service does not answer; try later"""
LOCAL = Path(__file__).resolve().parent.parent.parent / "local.settings.json"
_STORE = "RETRAINING_STORE"


class Stopped(Exception):
    """The command cannot go on; the message is one line that says what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def add_common(parser: argparse.ArgumentParser, *, before: bool = False) -> None:
    """Add the options that every command takes, behind its name or `before` it."""
    # What is not given behind the name must not replace what was given before it.
    absent: dict[str, Any] = {} if before else {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        **absent,
        help="take the settings from this local.settings.json alone; else they are the environment's, or, where that "
        f"has no {_STORE}, those of the local.settings.json beside function_app.py",
    )
    parser.add_argument("--json", action="store_true", **absent, help="print JSON, for machines")
    parser.add_argument("--verbose", action="store_true", **absent, help="log to stderr what happens meanwhile")


class Commands:
    """The commands of a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, summary: str, **texts: Any) -> argparse.ArgumentParser:
        """Return the parser of a new command."""
        parser = self.parsers.add_parser(name, help=summary, **texts)
        parser.set_defaults(run=run)
        return parser


def add_person(parser: argparse.ArgumentParser, why: str = "--reason") -> None:
    parser.add_argument("--by", default=None, metavar="NAME", help="who asks for it; else the name of the login")
    parser.add_argument(why, dest="reason", metavar="TEXT", help="why; kept in the records")


def person(chosen: argparse.Namespace) -> str:
    if chosen.by:
        return str(chosen.by)
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise Stopped("this system does not say who you are; give --by NAME", USAGE) from None


def chosen_settings(
    given: Path | None, environment: Mapping[str, str] = os.environ, local: Path = LOCAL
) -> tuple[Mapping[str, str], str]:
    """Return the settings and where they are from. They come from one place: parts of two would fit neither app."""
    if given is None and (_names_store(environment) or not local.exists()):
        return environment, "the environment"
    try:
        return read_settings(given or local), str(given or local.name)
    except BadConfiguration as error:
        raise Stopped(str(error), USAGE) from None


def open_app(chosen: argparse.Namespace) -> App:
    """Return the app as the settings say; nothing is called yet."""
    from shared.app import App

    values, source = chosen_settings(chosen.settings)
    if not _names_store(values):
        where = "" if chosen.settings else f", and {LOCAL.name} does not exist beside function_app.py"
        raise Stopped(f"{source} has no setting {_STORE}{where}; set the app's settings, or give --settings FILE")
    return App(Settings(values))


def _names_store(values: Mapping[str, str]) -> bool:
    return any(name == _STORE or name.startswith(f"{_STORE}__") for name in values)
