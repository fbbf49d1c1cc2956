"""An environment of Python: whether it is whole, and how it is made."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.setup import installers
from local.setup.problems import Failed, Missing, cause
from local.setup.programs import run
from local.setup.progress import Progress
from local.setup.staging import put_in_place

STAMP = ".stamp"
#: The modules that are tried are compiled, also where PYTHONDONTWRITEBYTECODE is set: else each program that starts
#: compiles them again and takes six times as long.
_COMPILE = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Environment:
    """`size` in MB is what it takes when it is installed; `modules` are imported before it is put in place."""

    root: Path
    name: str
    requirements: str
    size: int
    modules: tuple[str, ...] = ()
    base: Path | None = None  #: the Python that it is made from; this one unless given

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def python(self) -> Path:
        return installers.python_of(self.folder)

    @property
    def packages(self) -> int:
        return len(installers.names(self.root / self.requirements))

    def lack(self) -> str | None:
        """Return why it must be made, or None if it is whole."""
        try:
            stamp = json.loads((self.folder / STAMP).read_text("utf-8"))
        except (OSError, ValueError):
            return "not installed yet" if not self.folder.exists() else "its installation did not end"
        wanted = self._stamp()
        if stamp["python"] != wanted["python"]:
            return f"Python changed from {stamp['python']} to {wanted['python']}"
        if stamp["requirements"] != wanted["requirements"]:
            return f"{self.requirements} changed"
        if not os.access(self.python, os.X_OK):
            return "its Python is gone"
        missing = next(_missing(self.folder), None)
        return f"{missing} is missing" if missing else None

    def make(self, new: Path, progress: Progress) -> None:
        """Make it beside, try its modules, put it in place."""
        made = new / self.name
        file = self.root / self.requirements
        heard = partial(self._heard, progress, self.packages)
        try:
            python = installers.make(self.root, self.base or installers.base_python(), made, file, heard)
        except Failed as failed:
            raise cause(self.name, failed.output, self.root, self.size) from None
        try:
            run([str(python), "-c", "\n".join(f"import {module}" for module in self.modules)], _COMPILE)
        except Failed as failed:
            last = failed.output.strip().splitlines()[-1]
            raise Missing(f"{self.name} was installed and does not work: {last}") from None
        (made / STAMP).write_text(json.dumps(self._stamp()), "utf-8")
        put_in_place(made, self.folder)
        installers.move_scripts(self.folder, made)

    def _heard(self, progress: Progress, total: int, done: int, name: str) -> None:
        progress.show(self.name, done, total, name)

    def _stamp(self) -> dict[str, str]:
        content = (self.root / self.requirements).read_bytes()
        version = str(self.base) if self.base else sys.version.split()[0]
        return {"python": version, "requirements": hashlib.sha256(content).hexdigest()}


def _missing(folder: Path) -> Iterator[str]:
    """Yield the files of installed packages that are not there, or are empty and should not be."""
    records = [
        *folder.glob("lib/python*/site-packages/*.dist-info/RECORD"),
        *folder.glob("Lib/site-packages/*.dist-info/RECORD"),
    ]
    if not records:
        yield "every package"
    for record in records:
        packages = record.parent.parent
        with record.open(newline="", encoding="utf-8") as lines:
            for path, _, size in csv.reader(lines):
                if size and size != "0" and not path.startswith(".."):
                    try:
                        there = os.stat(f"{packages}/{path}").st_size  # noqa: PTH116 (thousands of them: Path is slow)
                    except OSError:
                        there = 0
                    if not there:
                        yield path
