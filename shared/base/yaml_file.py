"""YAML in which a key that stands twice is a mistake; PyYAML would silently take the second.

`.nan`, `.inf` and a document that grows without bounds by its aliases are mistakes too.
"""

import math
from typing import Any

import yaml

AT_MOST = 1_000_000  #: values, those counted again that an alias repeats


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen |= {name} if name else set()
        return super().construct_mapping(node, deep)


def load(text: str | bytes) -> Any:
    """Return the document, or raise `yaml.YAMLError`."""
    try:
        document = yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, OverflowError) as error:  # of a date or a number
        raise yaml.YAMLError(str(error)) from None
    _look_at_all(document)
    return document


def _look_at_all(document: Any) -> None:
    """Raise `yaml.YAMLError` if something is not a number, or if there is too much."""
    count, pending = 0, [document]
    while pending:
        value = pending.pop()
        count += 1
        if count > AT_MOST:
            raise yaml.YAMLError(f"it has more than {AT_MOST} values; do its aliases repeat each other?")
        if isinstance(value, float) and not math.isfinite(value):
            raise yaml.YAMLError(f"{value} is not a number that can be used")
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple | set):
            pending += value
