"""Members named in any case, as PowerShell and .NET clients send them; Json.NET, which the service read with, took any.

A name in its own case goes before the same name in another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import inspect


def cased(value: Any, kind: type) -> Any:
    """Return the JSON value with the members that the type knows in their own case.

    Keys of maps are the user's (tags, assets, columns, nodes) and stay as they are.
    """
    return _cased(value, _known(kind))


@lru_cache
def _known(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _cased(value: Any, kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType():
            [kind] = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            return _cased(value, kind)
        case inspect.StructType() if isinstance(value, dict):
            fields = {field.encode_name.lower(): field for field in kind.fields}
            known = [(name, fields[name.lower()]) for name in value if name.lower() in fields]
            known.sort(key=lambda each: each[0] == each[1].encode_name)  # the last one of a name stays
            return {field.encode_name: _cased(value[name], field.type) for name, field in known}
        case inspect.DictType() if isinstance(value, dict):
            return {name: _cased(each, kind.value_type) for name, each in value.items()}
        case inspect.ListType() if isinstance(value, list) and _may_have_members(kind.item_type):
            return [_cased(each, kind.item_type) for each in value]
    return value


def _may_have_members(kind: inspect.Type) -> bool:
    """Return whether values of the kind can be objects of known members; the cells of a table cannot."""
    match kind:
        case inspect.UnionType():
            return any(map(_may_have_members, kind.types))
        case inspect.ListType():
            return _may_have_members(kind.item_type)
    return isinstance(kind, (inspect.StructType, inspect.DictType))
