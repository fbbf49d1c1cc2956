"""Programs that call an endpoint, ready to run: one template for each language.

A sample reads the endpoint's key from the environment unless it is given, and the storage's connection string always.
Whatever comes from a record is written as a literal of the language, so that it can only be data there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

KEY = "STUDIO_API_KEY"  #: the environment variable with the endpoint's key
STORAGE = "STUDIO_STORAGE"  #: and the one with the connection string of the storage of inputs and outputs
CONTAINER = "samples"  #: where a job's blobs are

_LANGUAGES = {"Python": "python", "C#": "csharp", "R": "r", "curl": "curl"}


@dataclass(frozen=True)
class Sample:
    language: str
    text: str


def score(
    address: str, rows: Mapping[str, Mapping[str, str]], parameters: Mapping[str, str], key: str | None
) -> list[Sample]:
    """Return the programs that score a row of each input port; `address` is that of `execute`, in swagger form."""
    body = {"Inputs": {port: [row] for port, row in rows.items()}, "GlobalParameters": parameters}
    return _samples("score", address=address, body=body, key=key)


def job(
    address: str, inputs: Sequence[str], files: Mapping[str, str], parameters: Mapping[str, str], key: str | None
) -> list[Sample]:
    """Return the programs that submit a batch job, start it, follow it and fetch its results.

    `address` is that of `jobs`, without a query; `files` names what each output port gives.
    """
    body = {
        "Inputs": {port: _blob(f"{port}.csv") for port in inputs},
        "Outputs": {port: _blob(file) for port, file in files.items()},
        "GlobalParameters": parameters,
    }
    blobs = [_place(f"{port}.csv") for port in inputs] or ["what its experiment imports"]
    return _samples("jobs", address=address, body=body, key=key, files=files, blobs=blobs)


def update(address: str, resource: str, key: str | None) -> list[Sample]:
    """Return the call that gives an endpoint another model; `address` is its PATCH address."""
    location = {
        "BaseLocation": "BASE_LOCATION",
        "RelativeLocation": "RELATIVE_LOCATION",
        "SasBlobToken": "SAS_BLOB_TOKEN",
    }
    body = {"Resources": [{"Name": resource, "Location": location}]}
    return _samples("update", ("curl",), address=address, body=body, key=key)


def _blob(name: str) -> dict[str, str]:
    return {"ConnectionString": STORAGE, "RelativeLocation": _place(name)}


def _place(name: str) -> str:
    return f"{CONTAINER}/{name}"


def _samples(kind: str, languages: Iterable[str] = _LANGUAGES, **values: Any) -> list[Sample]:
    given = {"kind": kind, "KEY": KEY, "STORAGE": STORAGE, **values}
    return [
        Sample(language, _TEMPLATES.get_template(f"{_LANGUAGES[language]}.jinja").render(given).strip() + "\n")
        for language in languages
    ]


def _python(value: Any) -> str:
    # Text, lists and objects of JSON are literals of Python as they are.
    return json.dumps(value, indent=4 if isinstance(value, dict) else None, ensure_ascii=False)


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


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


# The samples are plain text; the page that shows them escapes them.
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "samples"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,
)
_TEMPLATES.filters |= {"python": _python, "csharp": _csharp, "r": _r, "shell": _shell}
