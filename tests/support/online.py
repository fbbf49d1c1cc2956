"""An adapter's online endpoint over a local workspace in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aml.api.online_forms import read_deployment, read_endpoint
from aml.errors import ArmError
from aml.serving.changes import Pace
from aml.serving.replica import LOGS
from aml.state import operations
from aml.state.records import make
from aml.state.serving import Deployment, Endpoint
from shared.adapters.azureml.online import AzureMLOnlineEndpoint, Known
from shared.adapters.azureml.places import OwnStorage
from shared.adapters.azureml.scoring import OnlineScoring
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.checks import Checks
from shared.domain.jobs import Model
from shared.domain.ports import Pending
from shared.domain.rows import Rows
from shared.domain.values import Address, ResourceId
from tests.support.aml import ADDRESS, Here
from tests.support.aml_session import Wire, workspace_of
from tests.support.serving import endpoint_body
from tests.support.waiting import until

INCOME = "onlineEndpoints/income"
OWN = OwnStorage("http://127.0.0.1:9/devstoreaccount1/", "devstoreaccount1")
A, B = Model(sha256="a" * 64, size=1, folder=True), Model(sha256="b" * 64, size=1, folder=True)
MA, MB = "m" + "a" * 12, "m" + "b" * 12


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Place:
    """The endpoint `income` with the deployment `blue`, which serves the version 1 of the model and has all traffic.

    Deployments are being made as long as a test takes, unless the test says how that ends.
    """

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.here = Here(folder, pace=Pace(deployment=3600))
        self.clock, self.known = Clock(), Known()
        given = {"name": "online", "endpoint": "income", "model": "income", "datastore": "models", **changes}
        workspace = {"workspace": ResourceId(self.here.workspace.id), "address": Address(ADDRESS)}
        self.target = AzureMLOnlineTarget(**workspace, **given)
        self.wire: Wire
        self.endpoint = self.another()
        store = {"datastoreType": "AzureBlob", "accountName": OWN.account, "containerName": "models"}
        self.here.put("datastores/models", **store)
        self.register("1", modelUri="azureml://datastores/workspaceblobstore/paths/first/model/")
        self.serve("blue", f"{self.here.workspace.id}/models/income/versions/1")
        body, traffic = endpoint_body({"blue": 100}), {"blue": 100}
        facts = {"identity": body["identity"], "location": body["location"], "state": "Succeeded", "traffic": traffic}
        self.here.workspace.records.put(make(Endpoint, INCOME, read_endpoint(body["properties"]), **facts))
        self.change(kind="Managed")

    def another(self) -> AzureMLOnlineEndpoint:
        """Return the adapter as a later run of this process makes it."""
        workspace, self.wire = workspace_of(self.here)
        scoring = OnlineScoring(workspace, self.target, Checks(), Rows([], []), self.known.access)
        return AzureMLOnlineEndpoint(workspace, self.target, "income", scoring, OWN, self.known, self.clock)

    def register(self, version: str, **properties: Any) -> None:
        answer = self.here.put(f"models/income/versions/{version}", modelType="mlflow_model", **properties)
        assert answer.status in (200, 201), answer.body

    def write(self, body: dict[str, Any]) -> None:
        """Write the endpoint as somebody else does."""
        answer = self.here.call("PUT", INCOME, body)
        assert answer.status in (200, 201), answer.body
        self.settled()

    def settled(self) -> None:
        until(lambda: self.state(INCOME) not in ("Creating", "Updating"), "the endpoint is changed")

    def serve(self, name: str, model: str, state: str = "Succeeded", **record: Any) -> None:
        """Record a deployment that answers; processes of deployments are tried elsewhere."""
        code = {"codeId": "codes/score/versions/1", "scoringScript": "score.py"}
        served = {"model": model} if model else {"codeConfiguration": code}
        properties = read_deployment({"endpointComputeType": "Managed", **served})
        facts: dict[str, Any] = {"served": "folder", "folder": "folder", "sku": {"name": "Default", "capacity": 2}}
        facts |= {"location": "westeurope", **record}
        self.here.workspace.records.put(
            make(Deployment, f"{INCOME}/deployments/{name}", properties, state=state, **facts)
        )

    def end(self, name: str, state: str = "Succeeded", error: ArmError | None = None, **logs: str) -> None:
        """End the making of a deployment. `logs` are those of its containers."""
        records = self.here.workspace.records
        found = records.find(Deployment, f"{INCOME}/deployments/{name}".lower())
        assert found and found.moves, found
        records.put(msgspec.structs.replace(found, state=state, served="folder" if state == "Succeeded" else ""))
        operations.end(records, found.operation, error)
        for container, content in logs.items():
            file = self.here.serving.folder / found.folder / LOGS[container]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")

    def staged(self, model: Model) -> None:
        assert isinstance(self.endpoint.stage(model), Pending)
        self.end(f"m{model.sha256[:12]}")

    def shared(self, shares: Mapping[Model, int], mirror: Mapping[Model, int] | None = None) -> None:
        """Give the models these shares, to the end."""
        asked, copies = ({each.sha256: part for each, part in given.items()} for given in (shares, mirror or {}))
        for _ in range(5):
            if self.endpoint.share(asked, copies) is None:
                return
            self.settled()
        raise AssertionError(f"{self.maps()} is not {asked} {copies}")

    def get(self, path: str) -> dict[str, Any]:
        answer = self.here.call("GET", path)
        assert answer.status == 200, answer.body
        return dict(answer.json)

    def state(self, path: str) -> str:
        return str(self.get(path)["properties"]["provisioningState"])

    def maps(self) -> tuple[dict[str, int], dict[str, int]]:
        properties = self.get(INCOME)["properties"]
        return properties["traffic"], properties["mirrorTraffic"]

    def change(self, **facts: Any) -> None:
        """Change the record of the endpoint."""
        kept = self.here.workspace.records.find(Endpoint, INCOME.lower())
        assert kept
        self.here.workspace.records.put(msgspec.structs.replace(kept, **facts))

    def sent(self, method: str) -> list[str]:
        """Return the paths that the adapter called with the method since its last use was made."""
        return [each.path for each in self.wire.calls if each.method == method]


def with_staged(folder: Path) -> Place:
    """Return an endpoint whose live model is known as A; B is staged."""
    place = Place(folder)
    place.endpoint.adopt(A)
    place.staged(B)
    place.endpoint = place.another()
    return place
