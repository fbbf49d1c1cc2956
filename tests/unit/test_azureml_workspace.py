"""The adapter's workspace: which hosts it calls, with which token, and what an answer means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from aml.faults import Faults
from service.faults.orders import Fault
from shared.adapters.azureml.workspace import Workspace, for_writing, is_same, said, state_of
from shared.adapters.identity import Tokens
from shared.app import App
from shared.base.errors import (
    AccessRefused,
    BadConfiguration,
    RetrainingError,
    ServiceRefused,
    ServiceUnavailable,
    UnexpectedAnswer,
)
from shared.base.settings import Settings
from tests.support.aml import ADDRESS, MODEL, Here
from tests.support.aml_session import Answering, Credential, Wire, workspace_of
from tests.support.waiting import until

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ws"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


@pytest.fixture
def both(here: Here) -> tuple[Workspace, Wire]:
    return workspace_of(here)


def test_a_resource_is_written_found_and_deleted(both: tuple[Workspace, Wire]) -> None:
    workspace, _ = both
    assert workspace.find("models/income/versions/1") is None
    workspace.put("models/income/versions/1", {"properties": MODEL})
    found = workspace.find("models/income/versions/1")
    assert found and is_same(found["id"], f"{workspace.id}/MODELS/Income/versions/1")
    assert workspace.delete("models/income/versions/1")
    assert not workspace.delete("models/income/versions/1")


def test_a_list_is_read_page_after_page(both: tuple[Workspace, Wire]) -> None:
    workspace, wire = both
    for number in range(5):
        workspace.put(f"models/income/versions/{number}", {"properties": MODEL})
    wire.calls.clear()
    assert {each["name"] for each in workspace.listed("models/income/versions", count="2")} == set("01234")
    assert len(wire.calls) == 3 and all("api-version=2025-12-01" in each.query for each in wire.calls)


def test_a_missing_workspace_is_not_a_missing_resource(here: Here) -> None:
    workspace, wire = workspace_of(here)
    session = requests.Session()
    session.mount(ADDRESS, wire)
    other = Workspace(session, Tokens(lambda: Credential(here)), ADDRESS, f"{workspace.id}-other")
    with pytest.raises(ServiceRefused, match="was not found"):
        other.find("models/income/versions/1")


def test_a_refused_token_is_renewed_once(here: Here) -> None:
    made: list[Credential] = []

    def credential() -> Credential:
        made.append(Credential(here))
        return made[-1]

    wire, session = Wire(here), requests.Session()
    session.mount(ADDRESS, wire)
    workspace = Workspace(session, Tokens(credential), ADDRESS, here.workspace.id)
    here.faults.order(Fault(kind="expired token", count=1))
    assert workspace.find("models/income/versions/1") is None
    assert len(made) == 2
    here.faults.order(Fault(kind="expired token"))
    wire.calls.clear()
    with pytest.raises(AccessRefused):
        workspace.find("models/income/versions/1")
    assert len(wire.calls) == 2


def test_a_throttled_call_is_made_again_when_the_service_says(both: tuple[Workspace, Wire]) -> None:
    workspace, wire = both
    faults: Faults = wire.here.faults
    faults.order(Fault(kind="throttled", count=1, seconds=0.1))
    assert workspace.find("models/income/versions/1") is None
    faults.order(Fault(kind="throttled", seconds=60))
    with pytest.raises(ServiceUnavailable) as raised:
        workspace.find("models/income/versions/1")
    assert raised.value.retry_after == 60


def test_a_resource_that_the_service_is_changing_is_for_later(both: tuple[Workspace, Wire]) -> None:
    workspace, wire = both
    wire.here.faults.order(Fault(kind="updating"))
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
    with pytest.raises(ServiceUnavailable, match="provisioning state"):
        workspace.put("onlineEndpoints/income", body)


def test_the_reason_of_a_failed_operation_is_read(both: tuple[Workspace, Wire]) -> None:
    workspace, wire = both
    wire.here.faults.order(Fault(kind="failing operation"))
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
    workspace.put("onlineEndpoints/income", body)
    until(lambda: state_of(workspace.get("onlineEndpoints/income")) == "failed", lambda: "the operation has not failed")
    assert "on order" in workspace.reason(workspace.get("onlineEndpoints/income"))


def test_what_a_get_answers_is_written_without_the_members_of_the_service(both: tuple[Workspace, Wire]) -> None:
    workspace, _ = both
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
    workspace.put("onlineEndpoints/income", {**body, "tags": {"a": "b"}})
    again = for_writing(workspace.get("onlineEndpoints/income"))
    assert again["tags"] == {"a": "b"} and again["properties"]["authMode"] == "Key"
    assert not {"id", "name", "type", "systemData"} & set(again)
    assert not {"provisioningState", "scoringUri", "swaggerUri"} & set(again["properties"])
    workspace.put("onlineEndpoints/income", again)


def test_runs_are_asked_for_at_the_data_plane(both: tuple[Workspace, Wire]) -> None:
    workspace, wire = both
    for _ in range(2):
        workspace.mlflow("POST", "runs/search", {"experiment_ids": [], "filter": ""})
    assert [each.path.split("/")[0] or "workspace" for each in wire.calls] == ["workspace", "mlflow", "mlflow"]


@pytest.mark.parametrize(
    ("host", "is_called"),
    [
        ("westeurope.api.azureml.ms", True),
        ("1a2b.workspace.westeurope.api.azureml.ms", True),
        ("evil.example", False),
        ("api.azureml.ms.evil.example", False),
        ("evil.example#.api.azureml.ms", False),
        ("user@westeurope.api.azureml.ms", False),
        ("westeurope.api.azureml.ms:8443", False),
        ("127.0.0.1", False),
    ],
)
def test_only_a_host_of_the_service_gets_the_token_for_runs(here: Here, host: str, is_called: bool) -> None:
    uri = f"azureml://{host}/mlflow/v1.0{ID}"
    answering, session = Answering(f'{{"properties": {{"mlFlowTrackingUri": "{uri}"}}}}'), requests.Session()
    session.mount("https://", answering)
    workspace = Workspace(session, Tokens(lambda: Credential(here)), "https://management.azure.com", ID)
    if is_called:
        workspace.mlflow("POST", "runs/search", {})
        assert answering.asked[1].startswith(f"https://{host}/mlflow/v2.0{ID}/api/2.0/mlflow/runs/search")
    else:
        with pytest.raises(UnexpectedAnswer, match="not a host"):
            workspace.mlflow("POST", "runs/search", {})
        assert len(answering.asked) == 1


@pytest.mark.parametrize(
    ("address", "is_called"),
    [
        ("https://income.westeurope.inference.ml.azure.com/score", True),
        ("https://INCOME.westeurope.inference.ml.azure.com:443/score", True),
        ("https://scoring.example/score", True),
        ("http://income.westeurope.inference.ml.azure.com/score", False),
        ("https://other.westeurope.inference.ml.azure.com/score", False),
        ("https://income.evil.example/?.inference.ml.azure.com", False),
        ("https://income.westeurope.inference.ml.azure.com@evil.example/", False),
        ("http://127.0.0.1:80/score", False),
    ],
)
def test_only_a_host_of_the_endpoint_is_called_for_scores(here: Here, address: str, is_called: bool) -> None:
    workspace = Workspace(requests.Session(), Tokens(lambda: Credential(here)), "https://management.azure.com", ID)
    if is_called:
        workspace.scoring(address, "income", ["https://scoring.example"])
    else:
        with pytest.raises(UnexpectedAnswer, match="not a host"):
            workspace.scoring(address, "income", ["https://scoring.example"])


def test_an_identity_that_gets_no_token_is_for_a_human() -> None:
    def failing(error: Exception) -> Tokens:
        class Failing:
            def get_token(self, *_: str, **__: Any) -> Any:
                raise error

        return Tokens(Failing)

    kinds: list[tuple[Exception, type[RetrainingError]]] = [
        (ClientAuthenticationError("no identity"), AccessRefused),
        (ServiceRequestError("no answer"), ServiceUnavailable),
    ]
    for error, kind in kinds:
        with pytest.raises(kind):
            failing(error).token("https://ml.azure.com/.default")


def test_the_texts_of_an_error_are_found_at_every_depth() -> None:
    inner = {"code": "UserError", "message": "exited with 1"}
    assert said({"error": {"code": "A", "message": "b", "innerError": None, "details": [inner, inner]}}) == (
        "A: b; UserError: exited with 1"
    )
    assert said(None) == "" and said({"code": None}) == "" and said("text") == ""
    for odd in (True, 3, "text", {"code": "c"}):
        assert said({"code": "A", "message": "b", "details": odd}) == "A: b"


def test_the_app_trusts_the_authorities_that_a_setting_names(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("a certificate")
    session = App(Settings({"REQUESTS_CA_BUNDLE": str(file)}))._session
    assert session.verify == str(file) and not session.trust_env
    assert App(Settings({}))._session.verify is True
    with pytest.raises(BadConfiguration, match="REQUESTS_CA_BUNDLE names"):
        _ = App(Settings({"REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem")}))._session
