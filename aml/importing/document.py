"""A YAML file with its lines, so that every error names where it is. Reads the file, and calls nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from shared.base.errors import printable
from shared.base.suggestion import suggestion
from shared.base.yaml_file import load

Keys = Mapping[str, Any]  #: known keys; the value is None, or the known keys of a map below it
Where = tuple[str | int, ...]  #: keys that lead to a value

_REMOTE = re.compile(r"(azureml|https?|wasbs?|abfss?):|\$\{\{", re.IGNORECASE)
_LARGEST = 4 << 20  #: bytes of a file


class NotImported(Exception):
    """The file cannot be imported; the message names the file, the line and what is wrong."""


@dataclass(frozen=True)
class Document:
    """A map from a YAML file, or one below it. `texts` are its values as they are written, `lines` where they are."""

    file: Path
    content: Mapping[str, Any]
    lines: Mapping[Where, int]
    texts: Mapping[Where, str]
    where: Where = ()

    def error(self, message: str, *where: str | int) -> NotImported:
        place: Where = (*self.where, *where)
        while place and place not in self.lines:
            place = place[:-1]
        return NotImported(f"{self.file}:{self.lines.get(place, 1)}: {printable(message)}")

    def below(self, name: str) -> Document:
        """Return the map of that key; an empty one where the key is not there."""
        value = self.content.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error(f"{name!r} must be a map of names and values", name)
        return Document(self.file, value or {}, self.lines, self.texts, (*self.where, name))

    def maps(self) -> Iterator[tuple[str, Document]]:
        """Return each key whose value is a map."""
        return ((name, self.below(name)) for name, value in self.content.items() if isinstance(value, dict))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text as it is written, so that the version 1.10 stays what it is. Raises where it is missing."""
        value = self.content.get(name)
        if value is None:
            if default is None:
                raise self.error(f"{name!r} is missing")
            return default
        if isinstance(value, dict | list):
            raise self.error(f"{name!r} must be a text", name)
        return self.texts.get((*self.where, name), str(value))

    def check_keys(self, known: Keys, what: str) -> None:
        """Raise for a key that is not known, with the known one that it may mean."""
        for name in self.content:
            if name not in known:
                hint = suggestion(str(name), known, all_of="it can have:")
                raise self.error(f"{str(name)!r} is not a key of {what}; {hint}", name)
            if isinstance(known[name], Mapping) and isinstance(self.content[name], dict):
                self.below(name).check_keys(known[name], f"{name!r} of {what}")

    def local(self, name: str) -> Path | None:
        """Return the file or folder that a key names, or None where it names something else. Raises for a missing."""
        given = self.content.get(name)
        if not isinstance(given, str) or _REMOTE.match(given):
            return None
        if not given.strip():
            raise self.error(f"{name!r} is empty; give a file or folder", name)
        if given.startswith("git+"):
            raise self.error(f"{name!r} is in a Git repository; give a folder of this machine", name)
        path = self.file.parent / given.removeprefix("file://").removeprefix("file:")
        if not path.exists():
            raise self.error(f"{name!r} is {given!r}, and {path} is not there", name)
        return path


def check_local_files(document: Document) -> None:
    """Raise for a local file or folder that is not there, wherever a key can name one."""
    for name in ("code", "path", "conda_file", "component"):
        document.local(name)
    for name in ("code_configuration", "model", "environment", "build", "component"):
        if isinstance(document.content.get(name), dict):
            check_local_files(document.below(name))
    for _, port in document.below("inputs").maps():
        port.local("path")
    for _, step in document.below("jobs").maps():
        check_local_files(step)


def read_document(file: Path) -> Document:
    """Return the map that a file holds. Raises `NotImported`."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise NotImported(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise NotImported(f"{file} has more than {_LARGEST:,} bytes, the most that is read")
    try:
        found = load(content)
        node = yaml.compose(content, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise NotImported(f"{place}: {printable(str(getattr(error, 'problem', None) or error))}") from None
    if not isinstance(found, dict):
        raise NotImported(f"{file}:1: a file of az ml is a map of names and values")
    lines, texts = dict[Where, int](), dict[Where, str]()
    _walk(node, (), lines, texts)
    document = Document(file, {}, lines, texts)
    return replace(document, content=_plain(document, found, ()))


def _plain(document: Document, value: Any, where: Where) -> Any:
    """Return the value as JSON can have it: a date as it is written. Raises for a binary and a set."""
    if isinstance(value, dict):
        return {str(name): _plain(document, each, (*where, str(name))) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(document, each, (*where, number)) for number, each in enumerate(value)]
    if isinstance(value, date):
        return document.texts.get(where, value.isoformat())
    if value is None or isinstance(value, str | int | float):
        return value
    raise document.error(f"a {type(value).__name__} is not a value that is imported", *where)


def _walk(node: yaml.Node | None, where: Where, lines: dict[Where, int], texts: dict[Where, str]) -> None:
    lines.setdefault(where, node.start_mark.line + 1 if node else 1)
    if isinstance(node, yaml.ScalarNode):
        texts[where] = node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                lines[(*where, key.value)] = key.start_mark.line + 1
                _walk(value, (*where, key.value), lines, texts)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(value, (*where, number), lines, texts)
