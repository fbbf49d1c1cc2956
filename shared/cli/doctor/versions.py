"""The Python and the packages that run, against those that the app was tried with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.cli.doctor.finding import Finding, ok, warning, wrong

REQUIREMENTS = Path(__file__).resolve().parent.parent.parent.parent / "requirements.txt"
_OLDEST, _NEWEST = (3, 11), (3, 13)


def look(requirements: Path = REQUIREMENTS) -> Iterator[Finding]:
    running = sys.version_info[:2]
    told = ".".join(map(str, sys.version_info[:3]))
    if _OLDEST <= running <= _NEWEST:
        yield ok("Python", told)
    else:
        yield warning("Python", f"{told} was not tried", "take one of 3.11 to 3.13")
    if not requirements.exists():
        return
    others = [other for line in requirements.read_text("utf-8").splitlines() if (other := _other(line))]
    if others:
        yield wrong("packages", "; ".join(others), "install them: pip install -r requirements.txt")
    else:
        yield ok("packages", "are those of requirements.txt")


def _other(line: str) -> str | None:
    """Return what is installed instead of the line's version; lines for some Pythons only are not looked at."""
    name, sign, wanted = line.partition("==")
    if not sign or ";" in line or line.startswith("#"):
        return None
    try:
        there = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    return None if there == wanted.strip() else f"{name} is {there}, and {wanted.strip()} was tried"
