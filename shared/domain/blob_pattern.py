"""Which blobs belong to a pipeline: `income/*.csv`. `*` stays within a folder, `**` crosses folders.

In the pattern of a fleet one `{name}` stands for the value that differs between its members: `bike/{location}/*.csv`.
Upper and lower case differ, as for blobs, except in the extension: `*.csv` takes `DATA.CSV`.
"""

import re
from functools import cache

_PLACE = re.compile(r"\{[a-z][a-z0-9_]*\}")
_SEPARATORS = re.compile(r"[/\\]")  #: the storage takes a backslash for a slash
#: among them the marks that change the direction of writing, so that a name looks like another
_UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_EXTENSION = re.compile(r"(?<=[^/])\.[A-Za-z]+\Z")


def fault_of(path: str) -> str | None:
    """Return why this cannot be the path of a blob, or None.

    An HTTP client takes a segment `..` for the folder above, so such a path could lead out of its container.
    """
    if not path:
        return "it is empty"
    if _UNPRINTED.search(path):
        return "it has a control character"
    if {".", ".."} & {*_SEPARATORS.split(path)}:
        return "it has a segment . or .., which could lead out of its container"
    return None


def matches(pattern: str, path: str) -> bool:
    """Return whether the blob's path within its container fits the pattern. An impossible path fits none."""
    return _fitting(_compiled(pattern), path) is not None


def captured(pattern: str, path: str) -> str | None:
    """Return what the path has in the place of the pattern's `{name}`, or None when it does not fit."""
    before, after = _PLACE.split(pattern)
    fitting = _fitting(_around(before, after), path)
    return fitting[1] if fitting else None


def _fitting(pattern: re.Pattern[str], path: str) -> re.Match[str] | None:
    if fault_of(path):
        return None
    return pattern.fullmatch(path) or pattern.fullmatch(_lower_extension(path))


def _lower_extension(text: str) -> str:
    return _EXTENSION.sub(lambda match: match[0].lower(), text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_translated(_lower_extension(pattern)) + "|" + _translated(pattern), re.DOTALL)


@cache
def _around(before: str, after: str) -> re.Pattern[str]:
    return re.compile(
        f"{_translated(before)}([^/]*)(?:{_translated(_lower_extension(after))}|{_translated(after)})", re.DOTALL
    )


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part, re.escape(part)) for part in parts)
