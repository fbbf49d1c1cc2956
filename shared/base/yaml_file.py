"""YAML in which a key that stands twice is a mistake; PyYAML would silently take the second."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen |= {name} if name else set()
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """Return the document, or raise `yaml.YAMLError`."""
    return yaml.load(text, _Loader)
