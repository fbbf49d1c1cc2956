"""Explains an error of msgspec about the file: names the key and says what would be right."""

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from shared.base.suggestion import suggestion
from shared.configuration.file import Entry

_LONGEST_SHOWN = 20  #: characters
_SECRETS = {"key", "token", "sas"}
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
        return f"{path}.{unknown[1]}", _unknown(unknown[1], path, body)
    if message.startswith("Invalid value") and path.endswith(".kind"):
        kinds, _ = _kinds_at(path.removesuffix(".kind"), body)
        return path, f"{message}; write one of: {', '.join(map(_tag, kinds))}"
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


def _unknown(key: str, path: str, body: object) -> str:
    """Return what is right in place of a key that is not known there."""
    allowed, by_identity = _kinds_at(path, body)
    if by_identity and key in _SECRETS:
        return "is not a key here: the app's identity is used, and no secret is configured; remove this line"
    kinds = _of_body(allowed, _at(body, path))
    others = [_tag(kind) for kind in allowed if kind not in kinds and key in kind.__struct_fields__]
    names = [name for kind in kinds for name in kind.__struct_fields__]
    hint = suggestion(key, {*names, *(("kind",) if any(map(_tag, kinds)) else ())}, all_of="known keys:")
    return f"is not a key here; {hint}" + (f"; it is one of kind: {' or '.join(others)}" if others else "")


def _kinds_at(path: str, body: Any) -> tuple[list[Any], bool]:
    """Return the kinds of part that may be at the path, and whether they are of a service that the identity opens."""
    kinds: list[Any] = [Entry]
    by_identity = False
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if key:
            kinds = [hint for kind in _of_body(kinds, body) for hint in _structs(get_type_hints(kind).get(key))]
        body = body[key] if key else body[int(index)]
        by_identity |= isinstance(body, dict) and str(body.get("kind")).startswith("azureml")
    return kinds, by_identity


def _of_body(kinds: list[Any], body: object) -> list[Any]:
    """Return those that have the kind that is written; all of them where none is, or an unknown one."""
    written = body.get("kind") if isinstance(body, dict) else None
    return [kind for kind in kinds if _tag(kind) == written] or kinds


def _tag(kind: Any) -> Any:
    return kind.__struct_config__.tag


def _structs(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return []
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in _structs(argument)]
