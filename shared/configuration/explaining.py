"""Explains an error of msgspec about the file: names the key and says what would be right."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from shared.base.suggestion import suggestion
from shared.configuration.file import Entry
from shared.domain.services import KINDS

_LONGEST_SHOWN = 20  #: characters
#: what would be right, by the type that was expected
_RIGHT = {
    "str": "write it in quotes",
    "float": "write a number, without quotes",
    "bool": "write true or false",
    "array": "write a list: [a, b]",
    "object": "write keys and their values below it",
}


def explain(error: str, body: object, written: object) -> tuple[str, str]:
    """Return the path of the key (`.gate.rules[0]`) and the message, with what would be right.

    `body` has the settings filled in; `written`, which is shown, has not, as a setting may be a key.
    """
    message, _, path = error.partition(" - at `$")
    path = path.rstrip("`")
    if unknown := re.match(r"Object contains unknown field `(.+)`", message):
        hint = suggestion(unknown[1], _fields_at(path, body), all_of="known keys:")
        return f"{path}.{unknown[1]}", f"is not a key here; {hint}"
    if message.startswith("Invalid value") and path.endswith(".kind"):
        return path, f"{message}; write one of: {', '.join(KINDS)}"
    if expected := re.match(r"Expected `(\w+)", message):
        message += f"; {_RIGHT[expected[1]]}" if expected[1] in _RIGHT else ""
        if path.endswith("[...]"):  # a value of free keys: msgspec does not say which one
            path = path.removesuffix("[...]")
            right = str if expected[1] == "str" else (int, float)
            path += next((f".{key}" for key, value in _at(body, path).items() if not isinstance(value, right)), "")
        message = f"{_shown(written, path)}{message}"
    return path, message


def _shown(written: object, path: str) -> str:
    """Return what stands there, if it is short: what is long may be a key in the wrong place."""
    value = _at(written, path)
    if isinstance(value, dict | list) or len(str(value)) > _LONGEST_SHOWN:
        return ""
    return f"is {value!r}: "


def _at(body: Any, path: str) -> Any:
    """Return the part of the file that the path leads to."""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        body = body[key] if key else body[int(index)]
    return body


def _fields_at(path: str, body: object) -> set[str]:
    kinds: list[Any] = [Entry]
    for key in re.findall(r"\.(\w+)", path):
        kinds = [hint for kind in kinds for hint in _structs(get_type_hints(kind).get(key))]
    if set(kinds) == set(KINDS.values()):
        kind = KINDS[_at(body, path)["kind"]]
        return {"kind", *kind.__struct_fields__}
    return {field for kind in kinds for field in kind.__struct_fields__}


def _structs(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return []
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in _structs(argument)]
