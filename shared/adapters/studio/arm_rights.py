"""What the identity may do to a New web service, and which storage account the service reads."""

from collections.abc import Callable

import requests

from shared.adapters.http import Service
from shared.adapters.permissions import PERMISSIONS, VERSION, allows
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
        answer = self._service.call("GET", f"{self._id}/{PERMISSIONS}", **{"api-version": VERSION})
        return answer.read(lambda body: allows(body["value"], WRITE), "list of permissions")
