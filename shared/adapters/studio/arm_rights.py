"""What the identity may do to a New web service, and which storage account the service reads.

GET {id}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01 lists patterns of actions, as role
definitions have them: allowed is what one of `actions` matches and none of its `notActions`.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import requests

from shared.adapters.http import Service
from shared.domain.services import NewTarget

WRITE = "Microsoft.MachineLearning/webServices/write"


class ArmRights:
    def __init__(self, session: requests.Session, target: NewTarget, token: Callable[[], str]) -> None:
        self._id = target.id
        self._service = Service(session, target.name, target.address, lambda: f"Bearer {token()}")

    def storage_account(self) -> str | None:
        """Return the account's name, or None where the definition has none."""
        answer = self._service.call("GET", self._id, **{"api-version": "2017-01-01"})
        return answer.read(
            lambda body: (body["properties"].get("storageAccount") or {}).get("name"), "web service definition"
        )

    def may_write(self) -> bool:
        place = f"{self._id}/providers/Microsoft.Authorization/permissions"
        answer = self._service.call("GET", place, **{"api-version": "2022-04-01"})
        return answer.read(lambda body: allows(body["value"], WRITE), "list of permissions")


def allows(permissions: list[dict[str, Any]], action: str) -> bool:
    def matches(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any(matches(each["actions"]) and not matches(each.get("notActions") or []) for each in permissions)
