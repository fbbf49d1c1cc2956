"""The commands of run.py: what --help says without an installation, and which are passed on to the app."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that --help needs, in a folder where nothing is installed."""
    for name in ("run.py", "local", "service", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    copied = tmp_path / "run.py"
    copied.unlink()
    copied.write_bytes((ROOT / "run.py").read_bytes())
    for path in ROOT.glob("requirements*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_help_describes_each_command_in_one_line(checkout: Path) -> None:
    said = bare(checkout, "--help").stdout
    lines = said.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines if line[4] != " "] == list(OWN)
    assert all(name in said for name in APP)


@pytest.mark.parametrize("command", [*OWN, *APP])
def test_help_of_each_command_installs_nothing(checkout: Path, command: str) -> None:
    before = sorted(path.name for path in checkout.iterdir())
    done = bare(checkout, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert sorted(path.name for path in checkout.iterdir() if path.name != "__pycache__") == before


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
