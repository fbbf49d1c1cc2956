"""What an identity may do to a resource: GET {id}/providers/Microsoft.Authorization/permissions.

It lists patterns of actions, as role definitions have them: allowed is what one of `actions` matches and none of its
`notActions`.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

PERMISSIONS, VERSION = "providers/Microsoft.Authorization/permissions", "2022-04-01"


def allows(permissions: Iterable[Mapping[str, Any]], action: str) -> bool:
    def matches(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any(matches(each["actions"]) and not matches(each.get("notActions") or []) for each in permissions)
