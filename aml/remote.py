"""The running workspace as any client sees it: called over its address, with a token."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import requests

from service.client import Client, Refused

VERSION = "2025-12-01"
_DEPLOYING = 900.0  #: seconds that an operation may take: a container has ten minutes to start


class Remote:
    """Paths are below the workspace, whose ARM id is `workspace`."""

    def __init__(self, address: str, workspace: str, client: Client) -> None:
        self.address, self.workspace, self._client = address, workspace, client

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, params=query).json()

    def find(self, path: str) -> Any:
        """Return the resource, or None where it is not there."""
        try:
            return self.get(path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def listed(self, path: str, most: int | None = None) -> list[dict[str, Any]]:
        """Return the resources of a list, the newest first, `most` at most."""
        return list(islice(self._pages(path), most))

    def put(self, path: str, body: Any) -> dict[str, Any]:
        """Return the resource, once the operation that the call may have begun has succeeded."""
        answer = self._call("PUT", path, json=body)
        self._client.follow(answer, _DEPLOYING)
        return dict(answer.json())

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, json=body).json()

    def history(self, path: str) -> Any:
        """Return what run history answers."""
        return self._client.call("GET", f"{self.address}/history/v1.0{self.workspace}/{path}").json()

    def run(self, name: str) -> Any:
        """Return the MLflow run of a job."""
        place = f"{self.address}/mlflow/v1.0{self.workspace}/api/2.0/mlflow/runs/get"
        return self._client.call("GET", place, params={"run_id": name}).json()["run"]

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        page = self.get(path)
        while True:
            yield from page["value"]
            if "nextLink" not in page:
                return
            page = self._client.call("GET", page["nextLink"]).json()

    def _call(self, method: str, path: str, params: dict[str, str] | None = None, **options: Any) -> requests.Response:
        place = f"{self.address}{self.workspace}/{path}".rstrip("/")
        return self._client.call(method, place, params={"api-version": VERSION, **(params or {})}, **options)
