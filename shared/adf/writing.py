"""Entries as YAML text, alone or at the end of a file that has others. What the file has stays as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from shared.base.errors import BadConfiguration

_HEADER = """\
# yaml-language-server: $schema=./pipelines.schema.json
pipelines:
"""


def file_text(entries: Mapping[str, Any]) -> str:
    """Return a whole pipelines file with these entries."""
    return _HEADER + textwrap.indent(_dumped(entries), "  ")


def addition(text: str, file: str, entries: Mapping[str, Any]) -> str:
    """Return what has to be added at the end of the file's text, so that no line and comment of it changes.

    Raise `BadConfiguration` when a name is taken, or when the text's form allows no entry at its end.
    """
    import yaml

    try:
        before = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The error's own text shows the line, which may hold a key.
        mark = getattr(error, "problem_mark", None)
        raise BadConfiguration(f"{file} is not YAML{f': line {mark.line + 1}' if mark else ''}") from None
    known = before.get("pipelines") if isinstance(before, dict) and set(before) == {"pipelines"} else None
    if not isinstance(known, dict) or not known:
        raise BadConfiguration(f"{file} has no 'pipelines' with entries; name a file that has some, or a new one")
    for name in entries:
        if name in known:
            raise BadConfiguration(
                f"{file}: pipelines.{name} is there already and is never overwritten; rename it, or name a new file"
            )
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    column = root.value[0][1].value[0][0].start_mark.column  # of the first entry's name
    added = ("" if text.endswith("\n") else "\n") + textwrap.indent(_dumped(entries), " " * column)
    try:
        fits = yaml.safe_load(text + added) == {"pipelines": {**known, **entries}}
    except yaml.YAMLError:
        fits = False
    if not fits:
        raise BadConfiguration(f"{file}: its form allows no entry at its end (is it in braces?); name a new file")
    return added


def _dumped(entries: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=100_000)
