"""The commands of `run.py` and their options. Standard library only: `--help` installs nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

OWN = {
    "demo": "show the whole product live, and check each step",
    "up": "keep everything running until Ctrl-C: Azurite, the service, triggers",
    "addresses": "show where `up` takes data and answers, without keys",
    "sample": "print rows of the breast cancer data as CSV, to drop them",
    "drop": "put a file where a pipeline looks for data: drop FILE PATH",
    "new": "make a pipeline of your own data: new NAME DATA --label COLUMN",
    "studio": "a command of the local Studio: studio list, studio keys",
    "aml": "a command of the local Azure ML workspace: aml serve, aml env",
    "app": "a command of the app by its full name: app check, app status",
    "test": "run every test; arguments are passed on to pytest",
    "check": "run ruff, mypy, pip-audit, checkov and azure-functions-doctor",
    "mutations": "check that the tests notice the deliberate faults of tests/mutations.yaml",
    "predeploy": "check that the app could read the pipelines.yaml that azd is about to deploy",
    "azure-settings": "write the deployed app's settings to a file, for the app's commands",
    "bench": "measure it all, or one: bench app, package, arrival, poll, checks, azureml, studio, ...",
    "lock": "pin the requirements with hashes, from the *.in files",
    "clean": "remove what this command installed and made",
}
#: Commands of the app that need no `app` before them. Its `check` does: here that name is for the code.
APP = (
    "status", "jobs", "job", "data", "requests", "history", "verify", "compare", "approve", "reject", "cancel",
    "promote", "rollback", "retrain", "replay", "rollout", "resume", "doctor", "init", "schema", "import-adf",
)  # fmt: skip
REFERENCE = "docs/commands.md"


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of one of the own commands, without what belongs to pytest, the app or the Studio."""
    parser = argparse.ArgumentParser(prog=f"run.py {command}", description=_sentence(OWN[command]))
    match command:
        case "demo":
            parser.add_argument("--svg", type=Path, metavar="FILE", help="write the terminal's picture to this file")
            parser.add_argument("--keep", action="store_true", help="keep the folder with its records and models")
            parser.add_argument(
                "--azureml", action="store_true", help="with a local Azure Machine Learning v2 workspace"
            )
        case "up":
            _add_up(parser)
        case "sample":
            parser.add_argument("rows", type=int, nargs="?", help="how many of the 569 rows; all unless given")
        case "azure-settings":
            parser.add_argument("group", metavar="GROUP", help="the resource group in Azure")
            parser.add_argument("app", metavar="APP", help="the function app")
            parser.add_argument("--file", default="azure.settings.json", help="where to write; azure.settings.json")
        case "drop":
            parser.add_argument("file", type=Path, metavar="FILE", help="the file on this machine")
            parser.add_argument("path", metavar="PATH", help="its place in the container: penguins/, penguins/may.csv")
        case "bench":
            subjects = ("app", "package", "arrival", "poll", "checks", "azureml", "studio", "endpoints", "fleet")
            parser.add_argument("subject", nargs="?", choices=subjects, help="one of them; all unless given")
            parser.add_argument("--gib", type=float, default=2.0, help="size of the large data sets; 2")
            parser.add_argument("--endpoints", type=int, default=1000, help="endpoints of the fleet; 1000")
            parser.add_argument("--trace", action="store_true", help="print the calls of a retraining instead")
        case "lock":
            parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
            parser.add_argument(
                "--package", action="append", default=[], metavar="NAME", help="take the newest version of this one"
            )
        case "test":
            parser.usage = "run.py test [ARGUMENT ...]"
            parser.epilog = "pytest takes the arguments: run.py test tests/unit -k gate -n 2"
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=10000, help="Azurite takes this and the next two, the Studio +10")
    parser.add_argument(
        "--azureml", action="store_true", help="a local Azure Machine Learning v2 workspace in place of the Studio"
    )
    parser.add_argument("--no-triggers", action="store_true", help="for Core Tools: func start runs them instead")
    parser.add_argument(
        "--faults", action="store_true", help="let `run.py studio fault` or `aml fault` have it misbehave"
    )
    parser.add_argument("--log", action="store_true", help="show the log of the triggers instead of the events")


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65525:
        raise argparse.ArgumentTypeError(f"{port} leaves no room for the ports after it; give 1 to 65525")
    return port


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
