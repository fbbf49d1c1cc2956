"""Reads JSON files that people hand over, with a byte order mark or in UTF-16; an error names line and column."""

import json
from pathlib import Path
from typing import Any

from shared.base.errors import BadConfiguration

AT_MOST = 64 << 20  #: bytes


def read_json(file: Path, name: str = "") -> Any:
    """Return what the file says, or raise `BadConfiguration` that says the name, the place and the mistake."""
    name = name or str(file)
    try:
        if file.stat().st_size > AT_MOST:
            raise BadConfiguration(f"{name} has more than {AT_MOST} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be read: {error.strerror}") from None
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        kind = encoding.upper().removesuffix("-SIG")
        raise BadConfiguration(f"{name} is not {kind} text: line {line}; save it as UTF-8") from None
    try:
        return json.loads(text, parse_constant=_refused)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadConfiguration(f"{name} is not JSON: {place}: {_mistake(error)}") from None
    except ValueError as error:  # of a number
        raise BadConfiguration(f"{name} is not JSON: {error}") from None
    except RecursionError:
        raise BadConfiguration(f"{name} is not JSON that can be read: it is nested too deep") from None


def _mistake(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    before = error.doc[: error.pos].rstrip()
    if rest[:2] in ("//", "/*") or rest[:1] == "#":
        return "JSON has no remarks; remove this one"
    if rest[:1] in ("}", "]") and before[-1:] == ",":
        return "there is a comma too many before this bracket"
    if rest[:1] == "," and error.doc[error.pos + 1 :].lstrip()[:1] in ("}", "]"):
        return "there is a comma too many before the bracket"
    return "the text ends here" if not rest else error.msg


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")
