"""Whatever a workspace answers, the adapter of trainings says what to do next: no answer is a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.azureml.training import WorkspaceTraining
from shared.adapters.azureml.workspace import Workspace, for_writing, state_of
from shared.adapters.identity import Tokens
from shared.base.errors import RetrainingError
from shared.domain.azureml import AzureMLTraining
from shared.domain.ports import BlobReference, Failed
from shared.domain.values import WorkspaceId
from tests.support.aml import ADDRESS, Here
from tests.support.aml_session import Answering, Credential
from tests.support.odd import ANYTHING, places, replaced

ID = WorkspaceId("/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w")
HOST = ADDRESS.partition("://")[2]
DATA = BlobReference("https://store.example/", "batches/a.csv")
RUN = {
    "info": {"run_id": "j-1", "experiment_id": "1", "status": "FAILED", "end_time": 1},
    "data": {"metrics": [{"key": "roc_auc", "value": 0.9}]},
}
#: what every call of one step is answered
USUAL: dict[str, Any] = {
    "id": f"{ID}/jobs/j-1",
    "properties": {
        "status": "Completed",
        "jobType": "Pipeline",
        "provisioningState": "Failed",
        "mlFlowTrackingUri": f"azureml://{HOST}/mlflow/v1.0{ID}",
        "storageAccount": "/subscriptions/s/storageAccounts/a",
        "properties": {"relearn.job": "j-1", "AzureAsyncOperationUri": f"{ADDRESS}/operation"},
        "tags": {"relearn.job": "j-1"},
        "componentSpec": {"type": "command", "inputs": {"data": {"type": "uri_file"}}, "outputs": {"model": {}}},
    },
    "run": RUN,
    "runs": [RUN],
    "experiments": [{"experiment_id": "1"}],
    "next_page_token": "",
    "status": "Failed",
    "error": {"error": {"code": "UserError", "message": "m", "details": [{"code": "c", "message": "d"}]}},
    "logFiles": {"user_logs/std_log.txt": "https://evil.example/log"},
    "value": [{"name": "a"}],
    "nextLink": "",
}
FAILED = {**USUAL, "properties": {**USUAL["properties"], "status": "Failed"}}
CALLS: dict[str, tuple[Callable[[Workspace, WorkspaceTraining], object], Any]] = {
    "found again": (lambda _, service: service.submit("j-1", DATA, {}), USUAL),
    "made": (lambda _, service: service._made("jobs/j-1", service._order("j-1", DATA, {}, None)), USUAL),
    "finished": (lambda _, service: service.status("j-1"), USUAL),
    "failed": (lambda _, service: service.status("j-1"), FAILED),
    "search": (lambda _, service: service.statuses([f"j-{number}" for number in range(9)]), USUAL),
    "state": (lambda workspace, _: state_of(workspace.get("a")), USUAL),
    "reason": (lambda workspace, _: workspace.reason(workspace.get("a")), USUAL),
    "written back": (lambda workspace, _: for_writing(workspace.get("a")), USUAL),
    "list": (lambda workspace, _: list(workspace.listed("a")), USUAL),
}


@pytest.fixture(scope="module")
def credential(tmp_path_factory: pytest.TempPathFactory) -> Credential:
    return Credential(Here(Path(tmp_path_factory.mktemp("odd"))))


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_of_another_shape_is_classified_like_any_failure(
    credential: Credential, call: str, data: st.DataObject
) -> None:
    made, usual = CALLS[call]
    body = replaced(usual, data.draw(st.sampled_from(places(usual))), data.draw(ANYTHING))
    session = requests.Session()
    session.mount(ADDRESS, Answering(json.dumps(body)))
    workspace = Workspace(session, Tokens(lambda: credential), ADDRESS, ID)
    training = AzureMLTraining(workspace=ID, component="train:1", compute="cpu", datastore="d")
    service = WorkspaceTraining(workspace, training, "income", store="https://store.example/", is_complete=bool)
    try:
        made(workspace, service)
    except RetrainingError as error:
        assert str(error)


@pytest.mark.parametrize("links", [[None], 1, "user_logs/std_log.txt"])
def test_a_failed_job_has_its_reason_although_its_log_files_have_another_shape(
    credential: Credential, links: object
) -> None:
    session = requests.Session()
    session.mount(ADDRESS, Answering(json.dumps({**FAILED, "logFiles": links})))
    workspace = Workspace(session, Tokens(lambda: credential), ADDRESS, ID)
    training = AzureMLTraining(workspace=ID, component="train:1", compute="cpu", datastore="d")
    service = WorkspaceTraining(workspace, training, "income", store="https://store.example/", is_complete=bool)
    found = service.status("j-1")
    assert isinstance(found, Failed)
    assert "UserError" in found.details
