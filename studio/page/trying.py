"""The form that scores one row: its fields, the request that it becomes, and what the service answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any

from studio.errors import StudioError, bad_argument
from studio.learning.scoring import APPEND

Rows = dict[str, dict[str, str]]  #: a row of each input port, by column

#: the query of the call that the form stands for
QUERY = {"api-version": "2.0", "format": "swagger"}


@dataclass(frozen=True)
class Tried:
    """What the service answered: the scores of each output port, or an error."""

    status: int = 200
    scores: Mapping[str, Mapping[str, str]] = member(default_factory=dict)
    error: str = ""
    body: str = ""  #: of the error
    column: str | None = None  #: that the error names


def field(port: str, column: str) -> str:
    """Return the name of a column's field. A browser changes line ends in a name; JSON has none."""
    return json.dumps([port, column])


def read(form: Iterable[tuple[str, str]]) -> Rows:
    """Return the rows that the form's fields hold."""
    rows: Rows = {}
    for name, value in form:
        try:
            port, column = json.loads(name)
            rows.setdefault(str(port), {})[str(column)] = value
        except (ValueError, TypeError, RecursionError):
            raise bad_argument("RequestBodyInvalid", f"The form's field {name[:80]!r} is not a column.") from None
    return rows


def request(rows: Rows) -> bytes:
    """Return the body of the call: the answer has the scored columns only."""
    inputs = {port: [row] for port, row in rows.items()}
    return json.dumps({"Inputs": inputs, "GlobalParameters": {APPEND: "False"}}).encode()


def scored(answer: Any) -> Tried:
    return Tried(scores={port: row for port, [row] in answer["Results"].items()})


def refused(error: StudioError) -> Tried:
    body = json.dumps(error.body, indent=2, ensure_ascii=False)
    return Tried(error.status, error=f"{error.status} {error.code}: {error.message}", body=body, column=error.target)
