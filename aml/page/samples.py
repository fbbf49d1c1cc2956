"""Programs that call an endpoint or read a job, ready to run with the variables of `python3 run.py aml env`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.page.samples import Programs, Sample

KEY = "AML_ENDPOINT_KEY"  #: the environment variable with the endpoint's key

_LANGUAGES = {"Python, azure-ai-ml": "sdk.jinja", "Python, REST": "rest.jinja", "curl": "curl.jinja"}
_PROGRAMS = Programs(Path(__file__).parent / "samples", _LANGUAGES)


def score(
    name: str, address: str, management: str, auth: str, body: Mapping[str, Any] | None, key: str | None
) -> list[Sample]:
    """Return the programs that call an endpoint. `management` is where its tokens are, `body` a request for it."""
    known = {"name": name, "address": address, "management": management, "auth": auth}
    return _PROGRAMS.write(kind="score", KEY=KEY, key=key, known=body is not None, body=dict(body or {}), **known)


def job(name: str, management: str) -> list[Sample]:
    """Return the programs that read a job."""
    return _PROGRAMS.write(kind="job", name=name, management=management)
