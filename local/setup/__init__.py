"""Installs what the product needs into its own folder. Standard library only: nothing is installed yet.

What is there is looked at in each start: whether it was made from the files as they are, by this Python, and whether
all of it is there. What is not, is made beside and put in place, by one start at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local.setup import node
from local.setup.environments import Environment
from local.setup.node import NodePackages
from local.setup.problems import MB, Missing, full
from local.setup.progress import Progress, say
from local.setup.pythons import pythons
from local.setup.staging import FOLDER, alone

__all__ = [
    "Missing",
    "Ready",
    "clean",
    "for_bench",
    "for_checks",
    "for_commands",
    "for_running",
    "for_tests",
    "has_commands",
    "prepare",
]

RUNTIME_PYTHON = (3, 13)
AZMLCLIENT_PYTHON = (3, 7)
_USED_BY_THE_APP = (
    "azure.functions",
    "azure.identity",
    "azure.storage.blob",
    "msgspec",
    "numpy",
    "requests",
    "rich",
    "yaml",
)
_USED_HERE = (*_USED_BY_THE_APP, "jinja2", "skops.io", "sklearn.ensemble", "starlette", "uvicorn")
MADE = (
    ".venv",
    ".venv-local",
    ".venv-node",
    ".venv-runtime",
    ".venv-mlflow",
    ".venv-azmlclient",
    ".venv-azureml",
    ".venv-judges",
    FOLDER,
    ".relearn",
    "local/azurite/node_modules",
    "tests/clients/node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
)


@dataclass(frozen=True)
class Ready:
    """The Python to run a command with, and the settings that say where the rest is."""

    python: Path
    settings: Mapping[str, str] = field(default_factory=dict)


def for_commands(root: Path) -> Ready:
    """Return what the commands of the app and of the Studio need."""
    prepare(root, local := _local(root))
    return Ready(local.python)


def has_commands(root: Path) -> bool:
    """Return whether the commands can run without an installation."""
    return _local(root).lack() is None


def for_running(root: Path) -> Ready:
    """Return what the demo and `up` need: the commands' environment and Azurite."""
    prepare(root, local := _local(root), _azurite(root))
    return Ready(local.python, _node_setting(root))


def for_checks(root: Path) -> Ready:
    """Return what the checks need; those by others say themselves why they are not there."""
    prepare(root, development := _development(root))
    judges = Environment(root, ".venv-judges", "infra/requirements.txt", 310, ("checkov", "azure_functions_doctor"))
    try:
        prepare(root, judges)
    except Missing as missing:
        return Ready(development.python, {"RELEARN_JUDGES_MISSING": f"not installed: {missing}"})
    return Ready(development.python, {"RELEARN_JUDGES_PYTHON": str(judges.python)})


def for_bench(root: Path, mlflow: bool) -> Ready:
    """Return what the benchmarks need; the ones with mlflow say themselves why it is not there."""
    prepare(root, development := _development(root), _azurite(root))
    settings = _node_setting(root)
    if mlflow:
        modules = ("mlflow", "azureml_inference_server_http")
        environment = Environment(root, ".venv-mlflow", "local/bench/mlflow.txt", 950, modules)
        try:
            prepare(root, environment)
            settings["RELEARN_MLFLOW_PYTHON"] = str(environment.python)
        except Missing as missing:
            settings["RELEARN_MLFLOW_MISSING"] = f"not installed: {missing}"
    return Ready(development.python, settings)


def for_tests(root: Path) -> Ready:
    """Return what the tests need: also Microsoft's runtime for Functions and the clients, or why one is not there."""
    development = _development(root)
    parts: list[Environment | NodePackages] = [development, _azurite(root)]
    parts.append(NodePackages(root, "the clients of the tests", "tests/clients", 85))
    settings = {
        "RELEARN_CLIENTS": str(root / "tests" / "clients" / "node_modules"),
        "PYTHONDONTWRITEBYTECODE": "",  # the hundreds of programs that are started do not compile the project again
    }
    runtime = next(pythons(RUNTIME_PYTHON), None)
    if runtime:
        requirements = "tests/runtime/requirements.txt"
        environment = Environment(root, ".venv-runtime", requirements, 130, ("azure_functions_runtime",), runtime)
        parts.append(environment)
        settings["RELEARN_RUNTIME_PYTHON"] = str(environment.python)
    else:
        settings["RELEARN_RUNTIME_MISSING"] = _no_python("Microsoft's runtime for Functions", RUNTIME_PYTHON)
    old = next(pythons(AZMLCLIENT_PYTHON), None)
    if old:
        environment = Environment(root, ".venv-azmlclient", "tests/clients/requirements.txt", 150, ("azmlclient",), old)
        parts.append(environment)
        settings["RELEARN_AZMLCLIENT_PYTHON"] = str(environment.python)
    else:
        settings["RELEARN_AZMLCLIENT_MISSING"] = _no_python("azmlclient", AZMLCLIENT_PYTHON)
    prepare(root, *parts)
    settings |= azureml_clients(root)
    return Ready(development.python, settings | _node_setting(root))


def azureml_clients(root: Path) -> dict[str, str]:
    """Return where Microsoft's clients of Azure Machine Learning are, or why they are not there."""
    modules = ("azure.ai.ml", "azureml.mlflow", "mlflow.sklearn", "mlflow.pyfunc", "pandas", "skops.io")
    environment = Environment(root, ".venv-azureml", "tests/clients/azureml/requirements.txt", 490, modules)
    try:
        prepare(root, environment)
    except Missing as missing:
        return {"RELEARN_AZUREML_MISSING": f"not installed: {missing}"}
    return {"RELEARN_AZUREML_PYTHON": str(environment.python)}


def prepare(root: Path, *parts: Environment | NodePackages) -> None:
    """Have every part there and whole. Raises `Missing` with the reason if one cannot be."""
    if not any(part.lack() for part in parts):
        return
    with alone(root) as new:
        wanted = [(part, reason) for part in parts if (reason := part.lack())]  # another start may just have made it
        if not wanted:
            return
        size = sum(part.size for part, _ in wanted)
        if any(isinstance(part, NodePackages) for part, _ in wanted):
            size += node.size_of_node(root)
        for part, reason in wanted:
            say(f"installing {part.name}: {part.packages} packages, {part.size} MB ({reason})")
        if shutil.disk_usage(root).free < size * MB:
            raise full("nothing was installed", root, size)
        say(f"{size} MB in all, once; 10 to 60 s with a usual connection")
        _make([part for part, _ in wanted], new)


def clean(root: Path) -> None:
    """Remove what was installed and made."""
    for name in MADE:
        if (root / name).exists():
            say(f"removing {name}")
            shutil.rmtree(root / name)
    for cache in _compiled(root):
        shutil.rmtree(cache, ignore_errors=True)


def _compiled(root: Path) -> list[Path]:
    """Return the folders of compiled modules beside the project's own files."""
    rooms = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [root / "__pycache__", *(path for room in rooms for path in room.rglob("__pycache__"))]


def _make(parts: Sequence[Environment | NodePackages], new: Path) -> None:
    progress = Progress()
    try:
        # Two at a time: one waits for the network while the other writes.
        with ThreadPoolExecutor(max_workers=2) as pool:
            for made in [pool.submit(part.make, new, progress) for part in parts]:
                made.result()
    finally:
        progress.end()


def _local(root: Path) -> Environment:
    return Environment(root, ".venv-local", "requirements-local.txt", 310, _USED_HERE)


def _development(root: Path) -> Environment:
    modules = (*_USED_HERE, "pandas", "pycep", "pytest", "xdist", "mypy", "hypothesis", "playwright")
    return Environment(root, ".venv", "requirements-dev.txt", 650, modules)


def _azurite(root: Path) -> NodePackages:
    return NodePackages(root, "Azurite", "local/azurite", 65)


def _node_setting(root: Path) -> dict[str, str]:
    return {"RELEARN_NODE": str(node.node(root))}


def _no_python(what: str, version: tuple[int, int]) -> str:
    return f"{what} needs Python {'.'.join(map(str, version))}; none was found"
