"""A training in a local workspace, and its component."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from aml.state.records import Job
from shared.adapters.azureml.training import WorkspaceTraining
from shared.domain.azureml import AzureMLTraining, ScoredOutput
from shared.domain.ports import BlobReference
from shared.domain.values import WorkspaceId
from tests.support.aml import Here
from tests.support.aml_session import Wire, workspace_of

STORE = "https://account.blob.core.windows.net/"

DATA = BlobReference(STORE, "batches/income/j-1.csv")

SPECIFICATION: dict[str, Any] = {
    "name": "train",
    "version": "1",
    "type": "command",
    "command": "echo ${{inputs.data}} ${{inputs.c}} ${{outputs.model}} ${{outputs.scored}}",
    "inputs": {"data": {"type": "uri_file"}, "c": {"type": "number", "default": "1.0"}},
    "outputs": {"model": {"type": "mlflow_model"}, "scored": {"type": "uri_folder"}},
}


def with_component(here: Here) -> Here:
    here.put("environments/env/versions/1", image="python:3.12")
    publish(here)
    return here


def publish(here: Here, version: str = "1", **changes: Any) -> None:
    environment = f"azureml:{here.workspace.id}/environments/env/versions/1"
    specification = {**SPECIFICATION, "environment": environment, **changes}
    assert here.put(f"components/train/versions/{version}", componentSpec=specification).status == 201


def configured(here: Here, **changes: Any) -> AzureMLTraining:
    members: dict[str, Any] = {
        "workspace": WorkspaceId(here.workspace.id),
        "component": "train:1",
        "compute": "cpu-cluster",
        "datastore": "workspaceblobstore",
        "scored": ScoredOutput(),
    }
    return AzureMLTraining(**members | changes)


def training(here: Here, file: Path | None = None, **changes: Any) -> tuple[WorkspaceTraining, Wire]:
    workspace, wire = workspace_of(here)
    service = WorkspaceTraining(
        workspace,
        configured(here, **changes),
        "income",
        store=STORE,
        is_complete=lambda metrics: "roc_auc" in metrics,
        file=file,
    )
    return service, wire


def pass_to(here: Here, name: str, status: str, ended: datetime | None = None) -> None:
    here.workspace.records.change(
        Job, f"jobs/{name}", lambda job: msgspec.structs.replace(job, status=status, ended=ended)
    )
