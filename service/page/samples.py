"""Programs that call a service, ready to run: one template for each language.

Whatever comes from a record is written as a literal of the language, so that it can only be data there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_LINE = 100  #: signs of a line


@dataclass(frozen=True)
class Sample:
    language: str
    text: str


class Programs:
    """The templates of a folder. `languages` are those that there are, with the names of their files."""

    def __init__(self, folder: Path, languages: Mapping[str, str]) -> None:
        self._languages = languages
        # The samples are plain text; the page that shows them escapes them.
        self._templates = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
        )
        self._templates.filters |= {"python": _python, "csharp": _csharp, "r": _r, "shell": _shell}

    def write(self, languages: Iterable[str] | None = None, **values: Any) -> list[Sample]:
        """Return the programs in the languages, or in all."""
        return [
            Sample(language, self._templates.get_template(self._languages[language]).render(values).strip() + "\n")
            for language in languages or self._languages
        ]


def _python(value: Any) -> str:
    # Text, lists and objects of JSON are literals of Python as they are.
    return _json(value, 4)


def _csharp(value: Any) -> str:
    text = value if isinstance(value, str) else _json(value)
    return '@"' + text.replace('"', '""') + '"'


def _r(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    text, dashes = _json(value), ""
    while f'){dashes}"' in text:
        dashes += "-"
    return f'r"{dashes}({text}){dashes}"'


def _shell(value: Any) -> str:
    return shlex.quote(value if isinstance(value, str) else _json(value))


def _json(value: Any, indent: int = 2) -> str:
    """Return the value in one line, or a long object in one for each of its values."""
    line = json.dumps(value, ensure_ascii=False)
    long = isinstance(value, dict) and len(line) > _LINE
    return json.dumps(value, indent=indent, ensure_ascii=False) if long else line
