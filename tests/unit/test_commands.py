"""The commands of run.py: what --help says without an installation, and which are passed on to the app."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aml.__main__ import make_parser as aml
from local import reference
from local.children import ROOT
from local.commands import APP, OWN, REFERENCE, parser_of
from local.new.__main__ import make_parser as own_data
from shared.__main__ import make_parser
from studio.__main__ import make_parser as studio

#: A Python that sees no installed package, as on a new machine.
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import run; sys.exit(run.main(sys.argv[1:]))"
BARE = [sys.executable, "-S", "-I", "-c", START]


def bare(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run([*BARE, str(root), *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that --help needs, in a folder where nothing is installed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("local", "service", "docs"):
        (folder / name).symlink_to(ROOT / name)
    for path in (ROOT / "run.py", *ROOT.glob("requirements*")):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_help_describes_each_command_in_one_line(checkout: Path) -> None:
    said = bare(checkout, "--help").stdout
    lines = said.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines if line[4] != " "] == list(OWN)
    assert all(name in said for name in APP)


#: The help of each command, one after the other: its status, what it printed, and what is in the folder then.
HELP_OF_EACH = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import contextlib, io, json, os, run
found = {}
for command in sys.argv[1:]:
    printed, problems = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(problems):
        try:
            status = run.main([command, "--help"])
        except SystemExit as ended:
            status = ended.code
    found[command] = status, printed.getvalue(), problems.getvalue(), os.listdir(run.ROOT)
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def helped(checkout: Path) -> dict[str, Any]:
    command = [sys.executable, "-S", "-I", "-c", HELP_OF_EACH, str(checkout), *OWN, *APP]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("command", [*OWN, *APP])
def test_help_of_each_command_installs_nothing(checkout: Path, helped: dict[str, Any], command: str) -> None:
    status, printed, problems, there = helped[command]
    assert (status, problems) == (0, "")
    assert printed.startswith("usage: ")
    copied = {"run.py", "local", "service", "docs", *(path.name for path in checkout.glob("requirements*"))}
    assert {*there} - {"__pycache__"} == copied


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (["up"], ["--port", "--faults", "--no-triggers", "--log"]),
        (["demo"], ["--keep", "--svg"]),
        (["new"], ["--label", "--yes"]),
        (["jobs"], ["--state", "--limit", "--before"]),
        (["studio", "publish"], ["--classic", "--training"]),
        (["studio", "fault", "add"], ["--count", "--seed"]),
        (["app", "check"], ["--settings"]),
    ],
)
def test_help_shows_every_option(checkout: Path, command: list[str], options: list[str]) -> None:
    said = bare(checkout, *command, "--help").stdout
    assert [option for option in options if option not in said] == []


def test_every_command_of_the_app_is_passed_on() -> None:
    actions = [each for each in make_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    assert set(APP) == set(actions[0].choices) - {"check"}, "add it to APP in local/commands.py"
    assert not set(APP) & set(OWN)


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the reference is written by Python 3.11; others lay out help otherwise"
)
def test_the_reference_is_what_the_commands_say() -> None:
    assert (ROOT / REFERENCE).read_text("utf-8") == reference.text(), "run: .venv/bin/python -m local.reference"


def examples() -> list[str]:
    """Return the command lines of run.py in the documentation: those in blocks, and in sentences those with options."""
    found = []
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = document.read_text("utf-8")
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            lines = re.findall(r"^(?:\w+=\S+ )?python3 run\.py (.+)$", block.replace("\\\n", ""), re.MULTILINE)
            found += [re.split(r" [>|] ", line)[0] for line in lines]
        found += re.findall(r"`python3 run\.py ([a-z][^`]* --[^`]+)`", text)
    return found


@pytest.mark.parametrize("example", examples())
def test_every_example_of_the_documentation_is_a_command_with_its_options(example: str) -> None:
    command, *rest = shlex.split(example, comments=True)
    if command == "new":
        own_data().parse_args(rest)
    elif command in ("studio", "aml"):
        {"studio": studio, "aml": aml}[command]().parse_args(rest)
    elif command == "app" or command in APP:
        make_parser().parse_args(rest if command == "app" else [command, *rest])
    else:
        parser_of(command).parse_args([] if command == "test" else rest)


def test_the_documentation_has_examples() -> None:
    assert len(examples()) > 20


@pytest.mark.parametrize(("module", "name"), [("shared", "status"), ("studio", "list"), ("aml", "serve")])
def test_without_the_packages_the_message_says_what_to_run(module: str, name: str) -> None:
    command = [sys.executable, "-S", "-m", module, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "is not installed for" in line
    assert "python3 run.py" in line


def test_a_port_that_cannot_be_is_refused_before_anything_starts() -> None:
    with pytest.raises(SystemExit) as refused:
        parser_of("up").parse_args(["--port", "70000"])
    assert refused.value.code == 2
