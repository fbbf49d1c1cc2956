"""`run.py lock`: pins every requirement with its hashes, from the short `*.in` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local.setup.installers import uv_program
from local.setup.problems import Failed, Missing
from local.setup.programs import run
from local.setup.progress import say
from local.setup.staging import alone

#: Each source and the oldest Python that it is for; one that is constrained by another comes after it.
SOURCES = {
    "local/setup/uv.in": "3.11",
    "local/setup/node.in": "3.11",
    "requirements.in": "3.11",
    "requirements-telemetry.in": "3.11",
    "requirements-commands.in": "3.11",
    "requirements-local.in": "3.11",
    "requirements-dev.in": "3.11",
    "tests/runtime/requirements.in": "3.13",
    "tests/clients/requirements.in": "3.7.1",
    "tests/clients/azureml/requirements.in": "3.11",
    "local/bench/mlflow.in": "3.11",
    "infra/requirements.in": "3.11",
}
_OPTIONS = ("--quiet", "--universal", "--fork-strategy", "fewest", "--generate-hashes", "--annotation-style", "line")


def lock(root: Path, upgrade: Sequence[str], upgrade_all: bool) -> None:
    """Write the requirements files again. Pinned versions stay, except those of the packages to upgrade."""
    options = [*_OPTIONS, *(["--upgrade"] if upgrade_all else [])]
    for name in upgrade:
        options += ["--upgrade-package", name]
    with alone(root):
        uv = uv_program(root)
        for name, python in SOURCES.items():
            source = root / name
            command = [str(uv), "pip", "compile", *options, "--python-version", python, source.name]
            say(f"{name} -> {source.with_suffix('.txt').name}")
            try:
                run(
                    [*command, "--output-file", source.with_suffix(".txt").name],
                    {"UV_CUSTOM_COMPILE_COMMAND": "python3 run.py lock"},
                    cwd=source.parent,
                )
            except Failed as failed:
                raise Missing(f"{name}: {' '.join(failed.output.split())}") from None
