"""Programs that call an endpoint or read a job, ready to run with the variables of `python3 run.py aml env`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.page.samples import Programs, Sample

KEY = "AML_ENDPOINT_KEY"  #: the environment variable with the endpoint's key

_DATA = "azureml://datastores/workspaceblobstore/paths/YOUR/DATA"
_VALUES = {"integer": "1", "number": "0.5", "boolean": "true"}
_LANGUAGES = {"Python, azure-ai-ml": "sdk.jinja", "Python, REST": "rest.jinja", "curl": "curl.jinja"}
_PROGRAMS = Programs(Path(__file__).parent / "samples", _LANGUAGES)


def score(
    name: str, address: str, management: str, auth: str, body: Mapping[str, Any] | None, key: str | None
) -> list[Sample]:
    """Return the programs that call an endpoint. `management` is where its tokens are, `body` a request for it."""
    known = {"name": name, "address": address, "management": management, "auth": auth}
    return _PROGRAMS.write(kind="score", KEY=KEY, key=key, known=body is not None, body=dict(body or {}), **known)


def batch(name: str, address: str, needed: Mapping[str, Mapping[str, str]]) -> list[Sample]:
    """Return the programs that start a job of a batch endpoint. `needed` are the inputs that a call must have."""
    given = {port: _invoked(declared) for port, declared in needed.items()}
    body = {"properties": {"inputData": given}}
    [first, *rest] = _LANGUAGES
    known = {"address": address, "management": "", "auth": "AADToken", "known": True, "key": None, "KEY": KEY}
    return [
        *_PROGRAMS.write([first], kind="batch", name=name, inputs=needed),
        *_PROGRAMS.write(rest, kind="score", body=body, **known),
    ]


def needed_inputs(component: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the inputs of a component that have no default, each with its type and an example."""
    found = {}
    for name, declared in (component.get("inputs") or {}).items():
        if declared.get("default") is None and not declared.get("optional"):
            kind = str(declared.get("type", "string")).lower()
            is_data = kind.startswith(("uri_", "mltable")) or kind.endswith("_model")
            found[name] = {"type": kind, **({"path": _DATA} if is_data else {"value": _VALUES.get(kind, "a")})}
    return found


def _invoked(declared: Mapping[str, str]) -> dict[str, str]:
    """Return an input as the call of a batch endpoint names it."""
    if "path" not in declared:
        return {"jobInputType": "Literal", "value": declared["value"]}
    return {"jobInputType": "".join(part.capitalize() for part in declared["type"].split("_")), "uri": declared["path"]}


def job(name: str, management: str) -> list[Sample]:
    """Return the programs that read a job."""
    return _PROGRAMS.write(kind="job", name=name, management=management)
