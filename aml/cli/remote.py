"""The running workspace as any client sees it: called over its address, with a token of its identity endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import requests

from aml.cli.place import identity_of, running_address
from service.client import Client, Refused
from service.commands import Failed, Stopped
from service.listening import noted

VERSION = "2025-12-01"
_MANAGEMENT = "https://management.azure.com"
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


def open_running(folder: Path) -> Remote:
    """Return the workspace whose server runs over the folder."""
    from aml.identity.authority import AUTHORITY

    address, identity = running_address(folder), identity_of(folder)
    authority = folder / AUTHORITY
    trusted: str | bool = str(authority) if address.startswith("https") else True
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(
                f"{address}/msi/token",
                params={"api-version": "2019-08-01", "resource": _MANAGEMENT},
                headers={"X-IDENTITY-HEADER": identity.identity_header},
                verify=trusted,
                timeout=60,
            )
            token = str(answer.json()["access_token"])
        except (requests.RequestException, ValueError, KeyError) as error:
            raise Stopped(
                f"the server at {address} gave no token ({type(error).__name__}); is it a workspace?"
            ) from None
    return Remote(address, str(noted(folder)["workspace"]), Client(token, trusted))


def lines_at(link: str) -> Iterator[str]:
    """Return the lines of a log, read as they are needed. The link has a signature, and is called without a token."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.get(link, stream=True, timeout=60) as answer:
                if not answer.ok:
                    raise Failed(f"the storage answered {answer.status_code} for the log")
                for line in answer.iter_lines():
                    yield line.decode(errors="replace")
        except requests.RequestException as error:
            raise Stopped(f"the log could not be read from the storage ({type(error).__name__})") from None
