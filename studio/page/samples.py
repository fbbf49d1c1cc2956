"""Programs that call an endpoint, ready to run: one template for each language.

A sample reads the endpoint's key from the environment unless it is given, and the storage's connection string always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.page.samples import Programs, Sample

KEY = "STUDIO_API_KEY"  #: the environment variable with the endpoint's key
STORAGE = "STUDIO_STORAGE"  #: and the one with the connection string of the storage of inputs and outputs
CONTAINER = "samples"  #: where a job's blobs are

_LANGUAGES = {"Python": "python.jinja", "C#": "csharp.jinja", "R": "r.jinja", "curl": "curl.jinja"}
_PROGRAMS = Programs(Path(__file__).parent / "samples", _LANGUAGES)


def score(
    address: str, rows: Mapping[str, Mapping[str, str]], parameters: Mapping[str, str], key: str | None
) -> list[Sample]:
    """Return the programs that score a row of each input port; `address` is where to `execute`, in swagger form."""
    body = {"Inputs": {port: [row] for port, row in rows.items()}, "GlobalParameters": parameters}
    return _samples("score", address=address, body=body, key=key)


def job(
    address: str, inputs: Sequence[str], files: Mapping[str, str], parameters: Mapping[str, str], key: str | None
) -> list[Sample]:
    """Return the programs that submit a batch job, start it, follow it and fetch its results.

    `address` is the address of `jobs`, without a query; `files` names what each output port gives.
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


def _samples(kind: str, languages: Iterable[str] | None = None, **values: Any) -> list[Sample]:
    return _PROGRAMS.write(languages, kind=kind, KEY=KEY, STORAGE=STORAGE, **values)
