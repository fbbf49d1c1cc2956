"""A resource manager client of the plainest kind: real HTTP, one method a call, operations followed to their end."""

from __future__ import annotations

from typing import Any

import requests

from tests.support.waiting import PATIENCE, until

VERSION = "2017-01-01"


class Manager:
    """`address` is the Studio's; ids are those of resources, without it."""

    def __init__(self, address: str, token: str, subscription: str) -> None:
        self.address, self._token = address, token
        self.subscription = subscription
        self.group = f"/subscriptions/{subscription}/resourceGroups/relearn/providers/Microsoft.MachineLearning"

    def call(
        self, method: str, place: str, body: Any = None, version: str = VERSION, **query: str
    ) -> requests.Response:
        """Ask; `place` is an id, or an absolute address with its query."""
        absolute = place.startswith("http")
        return requests.request(
            method,
            place if absolute else f"{self.address}{place}",
            params={} if absolute else {"api-version": version, **query},
            json=body,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=PATIENCE,
        )

    def service(self, name: str) -> str:
        return f"{self.group}/webServices/{name}"

    def follow(self, accepted: requests.Response) -> dict[str, Any]:
        """Return the operation's body once it has ended."""
        assert accepted.status_code in (200, 201, 202), accepted.text
        body: dict[str, Any] = {}

        def ended() -> bool:
            body.clear()
            body.update(self.call("GET", accepted.headers["Azure-AsyncOperation"]).json())
            return body["status"] in ("Succeeded", "Failed", "Canceled")

        until(ended, lambda: body)
        return body

    def outcome(self, accepted: requests.Response) -> str:
        """Return `Succeeded`, or the error's detail code."""
        operation = self.follow(accepted)
        return operation["status"] if "error" not in operation else str(operation["error"]["details"][0]["code"])


def error_of(answer: requests.Response) -> tuple[int, str, str]:
    """Return the status, the top code and the detail's code of an error in the documented shape."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    return answer.status_code, error["code"], error["details"][0]["code"]
