"""A local Azure Machine Learning workspace in this process, asked as a client asks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import finalize

from aml.context import Context
from aml.faults import Faults
from aml.identity import tokens
from aml.jobs.pythons import Pythons
from aml.jobs.runner import JobRunner
from aml.jobs.variables import JobVariables
from aml.server import OPERATIONS, build
from aml.serving.changes import Pace
from aml.serving.runner import Serving
from aml.state.workspace import Workspace
from aml.throttling import Buckets
from local.azurite import ACCOUNT, KEY
from tests.support import aml_models
from tests.support.asgi import Answer, ask

PORT = 10011
ADDRESS = f"http://127.0.0.1:{PORT}"
#: nothing listens there: for tests that move no data
STORAGE = (
    f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:9/{ACCOUNT};"
)
VERSION = "2025-12-01"
UNLIMITED: Mapping[str, tuple[float, float]] = dict.fromkeys(("reads", "writes", "deletes"), (1e9, 1e9))


class Here:
    """The workspace over a folder. A second one over the same folder is the server after a restart.

    What is answered is checked against the service's own types, where they are at hand; not with `typed=False`, for
    tests that send members which the types do not have.
    """

    def __init__(
        self,
        folder: Path,
        storage: str = STORAGE,
        buckets: Buckets | None = None,
        pace: Pace | None = None,
        typed: bool = True,
    ) -> None:
        self._typed = typed and aml_models.there()
        self.workspace = Workspace(folder, storage)
        self.workspace.records.idle_at_most = 4  # as in a server
        variables = JobVariables(self.workspace, ADDRESS, folder / "ca.pem")
        self.faults = Faults([*OPERATIONS, "score"])
        self.jobs = JobRunner(self.workspace, Pythons(), variables.of, self.faults)
        self.serving = Serving(self.workspace, Pythons(), pace, self.faults)
        self.context = Context(
            self.workspace, self.jobs, self.serving, self.faults, buckets=buckets or Buckets(UNLIMITED)
        )
        self.app = build(self.context)
        # A change that no test waits for any more would look at the records until the last test has ended.
        finalize(self, self.serving.stopping.set)
        self.token = tokens.issue(self.workspace.identity, "https://management.azure.com/")[0]

    def call(
        self,
        method: str,
        path: str,
        /,
        body: Any = None,
        *,
        token: str | None = None,
        version: str = VERSION,
        **query: str,
    ) -> Answer:
        """Ask. `path` is below the workspace; with `/` before it, it is the whole path, with `http` an address."""
        given = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if path.startswith("http"):
            place = path.removeprefix(ADDRESS)
        else:
            place = path if path.startswith("/") else f"{self.workspace.id}/{path}".rstrip("/")
            place += f"?{urlencode({'api-version': version, **query} if version else query)}"
        answer = ask(self.app, method, place, headers, [given] if given else [], PORT)
        if version == VERSION:
            self.judge(method, place, answer)
        return answer

    def judge(self, method: str, place: str, answer: Answer, sent: Any = None) -> None:
        """Compare the answer with the service's types, and what was `sent`."""
        operation = aml_models.operation_of(method, place.partition("?")[0]) if self._typed else None
        if operation:
            answered = json.loads(answer.body) if answer.body else None
            found = aml_models.faults_of_answer(operation, answer.status, answered)
            if sent is not None:
                found = aml_models.faults_of_call(operation, answer.status, sent, answered)
            assert found == [], (method, place, answer.status, found)

    def put(self, path: str, **properties: Any) -> Answer:
        return self.call("PUT", path, {"properties": properties})

    def names(self, path: str, **query: str) -> list[str]:
        """Return the names of all resources of a list, page after page."""
        found, address = [], path
        while address:
            answer = self.call("GET", address, **({} if address.startswith("http") else query))
            assert answer.status == 200, answer.body
            found += [each["name"] for each in answer.json["value"]]
            address = answer.json.get("nextLink", "")
        return found


def refusal(answer: Answer) -> tuple[int, str]:
    """Return the status and the code of an error, which must have the documented shape."""
    if "error_code" in answer.json:  # the form of MLflow
        assert set(answer.json) == {"error_code", "message"}
        return answer.status, answer.json["error_code"]
    error = answer.json["error"]
    assert set(error) <= {"code", "message", "target", "details", "additionalInfo"}
    assert isinstance(error["code"], str) and isinstance(error["message"], str) and error["message"]
    return answer.status, error["code"]


MODEL = {"modelUri": "azureml://datastores/workspaceblobstore/paths/models/a/", "modelType": "custom_model"}
