"""Entries as YAML text, alone or at the end of a file that has others. What the file has stays as it is."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.base.errors import BadConfiguration

_HEADER = """\
# yaml-language-server: $schema=./pipelines.schema.json
pipelines:
"""
_REMARKS_FROM = 50  #: column of the remarks, where the value before leaves room
_REMARK = "\0"  #: between a line and its remark; YAML has no such character


@dataclass(frozen=True)
class Remarked:
    """A value of an entry on one line, and what a person should know about it: a comment behind the value."""

    value: Any
    remark: str


def write_entries(file: Path, entries: Mapping[str, Any]) -> None:
    """Add the entries to the pipelines file, which is made if it is not there.

    Raise `BadConfiguration` when a name is taken, when the file's form allows no entry at its end, or when the file
    cannot be written.
    """
    try:
        before = file.read_text("utf-8") if file.exists() else None
        text = file_text(entries) if before is None else before + addition(before, file.name, entries)
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(text, "utf-8")
        beside.replace(file)  # a reader of the file sees all of the entries or none
    except UnicodeDecodeError:
        raise BadConfiguration(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be written: {error.strerror}") from None


def file_text(entries: Mapping[str, Any]) -> str:
    """Return a whole pipelines file with these entries."""
    return _HEADER + textwrap.indent(_dumped(entries), "  ")


def addition(text: str, file: str, entries: Mapping[str, Any]) -> str:
    """Return what is added at the end of the file's text, so that no line and comment of it changes."""
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
        fits = yaml.safe_load(text + added) == {"pipelines": {**known, **_plain(entries)}}
    except yaml.YAMLError:
        fits = False
    if not fits:
        raise BadConfiguration(f"{file}: its form allows no entry at its end (is it in braces?); name a new file")
    return added


def _dumped(entries: Mapping[str, Any]) -> str:
    lines = [line.partition(_REMARK) for line in _lines(entries)]
    return "".join(f"{line.ljust(_REMARKS_FROM)}  # {remark}\n" if remark else f"{line}\n" for line, _, remark in lines)


def _lines(node: Mapping[str, Any] | list[Any]) -> Iterator[str]:
    """Yield a block of keys or of list items; the remark of a line stands behind its own sign."""
    named = [(f"{_scalar(key)}:", value) for key, value in node.items()] if isinstance(node, Mapping) else None
    for key, given in named if named is not None else [("-", item) for item in node]:
        value, remark = (given.value, f"{_REMARK}{given.remark}") if isinstance(given, Remarked) else (given, "")
        if not value or not isinstance(value, Mapping | list) or remark:
            yield f"{key} {_scalar(value)}{remark}"
        elif key == "-":
            first, *rest = _lines(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield key
            yield from (f"  {line}" for line in _lines(value))


def _scalar(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(node: Any) -> Any:
    """Return the node without its remarks."""
    if isinstance(node, Remarked):
        return _plain(node.value)
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(each) for each in node] if isinstance(node, list) else node
