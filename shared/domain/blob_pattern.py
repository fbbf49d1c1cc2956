"""Which blobs belong to a pipeline: `income/*.csv`. `*` stays within a folder, `**` crosses folders.

In the pattern of a fleet one `{name}` stands for what tells its members apart: `bike/{location}/*.csv`.
"""

from __future__ import annotations

import re
from functools import cache

_PLACE = re.compile(r"\{[a-z][a-z0-9_]*\}")


def matches(pattern: str, path: str) -> bool:
    """Return whether the blob's path within its container fits the pattern (case counts, as for blobs)."""
    return _compiled(pattern).fullmatch(path) is not None


def captured(pattern: str, path: str) -> str | None:
    """Return what the path has in the place of the pattern's `{name}`, or None when it does not fit."""
    before, after = _PLACE.split(pattern)
    fitting = _around(before, after).fullmatch(path)
    return fitting[1] if fitting else None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_translated(pattern), re.DOTALL)


@cache
def _around(before: str, after: str) -> re.Pattern[str]:
    return re.compile(f"{_translated(before)}([^/]*){_translated(after)}", re.DOTALL)


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part, re.escape(part)) for part in parts)
