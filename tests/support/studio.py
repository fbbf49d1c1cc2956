"""The local Studio asked over plain HTTP, as a user's own program would ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import requests

from local.workplace import Workplace
from tests.support.waiting import PATIENCE, until

FINAL = ("Finished", "Failed", "Cancelled")

Error = tuple[int, str, str]  #: HTTP status, top code, code of the first detail


class Client:
    """One address, called with one key unless another is given."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self.key = address, key

    def call(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        version: str | None = "2.0",
        key: str | None = None,
        **query: str,
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self.address}{path}",
            params={**({"api-version": version} if version else {}), **query},
            json=body,
            headers={"Authorization": f"Bearer {self.key if key is None else key}"},
            timeout=PATIENCE,
        )

    def score(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], **query: str) -> requests.Response:
        table = {"ColumnNames": list(columns), "Values": [list(row) for row in rows]}
        return self.call("POST", "/execute", {"Inputs": {"input1": table}}, **query)

    def submit(self, body: dict[str, Any]) -> str:
        """Create and start a job; return its id."""
        created = self.call("POST", "/jobs", body)
        assert created.status_code == 200, created.text
        job = str(created.json())
        assert self.call("POST", f"/jobs/{job}/start").status_code == 204
        return job

    def wait(self, job: str, wanted: Callable[[str], bool] = lambda state: state in FINAL) -> dict[str, Any]:
        """Return the job's status once its state is wanted."""
        status: dict[str, Any] = {}

        def reached() -> bool:
            status.update(self.call("GET", f"/jobs/{job}").json())
            return wanted(status["StatusCode"])

        until(reached, lambda: status)
        return status


def training_of(place: Workplace) -> Client:
    return Client(place.settings["BREAST_CANCER_TRAINING_ADDRESS"], place.settings["BREAST_CANCER_TRAINING_KEY"])


def scoring_of(place: Workplace) -> Client:
    """Return the client of the Classic endpoint `retrained`."""
    return Client(f"{place.studio.address}{place.classic.path}", place.classic.key)


def blob(place: Workplace, name: str, content: bytes) -> dict[str, Any]:
    """Keep the content and return a reference to it."""
    path = place.drop(name, content)
    return {"ConnectionString": place.azurite.connection_string, "RelativeLocation": f"{place.container}/{path}"}


def linked(reference: dict[str, Any]) -> requests.Response:
    """Return what a result's link leads to."""
    return requests.get(
        reference["BaseLocation"] + reference["RelativeLocation"] + reference["SasBlobToken"], timeout=PATIENCE
    )


def error_of(answer: requests.Response) -> Error:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert set(error["details"][0]) in ({"code", "message"}, {"code", "message", "target"})
    return answer.status_code, error["code"], error["details"][0]["code"]


def target_of(answer: requests.Response) -> str | None:
    """Return what the error says is wrong."""
    return answer.json()["error"]["details"][0].get("target")
