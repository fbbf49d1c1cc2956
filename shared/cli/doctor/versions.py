"""Checks the running Python and packages against those that the app was tested with."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.cli.doctor.finding import Finding, ok, warning, wrong

REQUIREMENTS = Path(__file__).resolve().parent.parent.parent.parent / "requirements.txt"
_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)\s*(?P<marker>;)?")
_OLDEST, _NEWEST = (3, 11), (3, 13)


def look(requirements: Path = REQUIREMENTS) -> Iterator[Finding]:
    running = sys.version_info[:2]
    python = ".".join(map(str, sys.version_info[:3]))
    if _OLDEST <= running <= _NEWEST:
        yield ok("Python", python)
    else:
        yield warning("Python", f"{python} was not tried", "take one of 3.11 to 3.13")
    if not requirements.exists():
        return
    others = [other for name, pins in _pins(requirements).items() if (other := _other(name, pins))]
    if others:
        yield wrong("packages", "; ".join(others), "install them: pip install -r requirements.txt")
    else:
        yield ok("packages", "have the versions of requirements.txt")


def _pins(requirements: Path) -> dict[str, dict[str, bool]]:
    """Return each package's versions, and whether a version is for every Python and system."""
    found: dict[str, dict[str, bool]] = {}
    for line in requirements.read_text("utf-8").splitlines():
        if pin := _PIN.match(line):
            found.setdefault(pin["name"], {})[pin["version"]] = pin["marker"] is None
    return found


def _other(name: str, pins: dict[str, bool]) -> str | None:
    """Return what is installed instead of the pinned version. A package for some Pythons only may be missing."""
    try:
        there = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed" if any(pins.values()) else None
    return None if there in pins else f"{name} is {there}, and {' or '.join(pins)} was tried"
