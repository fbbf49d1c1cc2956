"""Which Python runs the jobs of an environment: what the file of environments says, else this one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parent.parent / "environments.yaml"
_ID = re.compile(r".*/environments/(?P<name>[^/]+)/(?:versions|labels)/(?P<version>[^/]+)/?", re.IGNORECASE)


class NotEnvironments(ValueError):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class Pythons:
    """Programs by the name of an environment, or by `name:version`, in lower case."""

    programs: Mapping[str, str] = field(default_factory=dict)

    def of(self, environment: str) -> str:
        """Return the Python of an environment, given by its id."""
        found = _ID.fullmatch(environment)
        if not found:
            return sys.executable
        name, version = found["name"].lower(), found["version"].lower()
        return self.programs.get(f"{name}:{version}") or self.programs.get(name) or sys.executable


def read_pythons(file: Path) -> Pythons:
    """Read the file. Raises `NotEnvironments` for one that cannot be used."""
    try:
        content = yaml.safe_load(file.read_text("utf-8")) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise NotEnvironments(f"{file} cannot be read: {type(error).__name__}") from None
    if not isinstance(content, dict) or not isinstance(given := content.get("environments") or {}, dict):
        raise NotEnvironments(f"{file} has no mapping 'environments' from a name to the path of a Python")
    programs = {}
    for name, program in given.items():
        place = Path(os.path.expandvars(str(program))).expanduser()
        if not os.access(place, os.X_OK) or place.is_dir():
            raise NotEnvironments(f"{file}: the Python of the environment {name!r}, {program}, is not a program")
        programs[str(name).lower()] = str(place)
    return Pythons(programs)
