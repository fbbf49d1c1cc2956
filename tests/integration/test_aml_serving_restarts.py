"""Deployments over restarts of the server: what was served is served again, what had begun is carried out."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from aml.api.online_forms import read_deployment, read_endpoint, read_sku
from aml.state import operations
from aml.state.records import Operation, make
from aml.state.serving import Deployment, Endpoint
from local.azurite import Azurite
from tests.support.aml import Here
from tests.support.processes import HAS_PROC, NO_PROC, with_variable
from tests.support.running_aml import RunningAml, running_aml
from tests.support.serving import deployment, endpoint_body, publish, serving
from tests.support.waiting import PATIENCE, until

INCOME = "onlineEndpoints/income"
BLUE = f"{INCOME}/deployments/blue"


def score(aml: RunningAml, name: str) -> requests.Response:
    key = aml.call("POST", f"{INCOME}/listKeys").json()["primaryKey"]
    headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": name}
    address = f"{aml.address}/score/income"
    return requests.post(address, json={}, headers=headers, verify=aml.settings["REQUESTS_CA_BUNDLE"], timeout=PATIENCE)


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_a_killed_server_ends_its_deployments_and_the_next_one_serves_them(azurite: Azurite, tmp_path: Path) -> None:
    folder, mark = tmp_path / "aml", uuid.uuid4().hex
    publish(Here(folder, azurite.connection_string), tmp_path)
    variables = {"NAME": "blue", "MARK": mark, "STARTS": "sleep 1000"}
    with running_aml(folder, azurite.connection_string, "--deploying", "0") as aml:
        aml.call("PUT", INCOME, endpoint_body())
        until(lambda: aml.call("GET", INCOME).json()["properties"]["provisioningState"] == "Succeeded", "it is made")
        body = {"properties": deployment(aml.workspace, environmentVariables=variables)}
        assert aml.call("PUT", BLUE, body).status_code == 201
        until(lambda: score(aml, "blue").status_code == 200, "it is deployed")
        assert any("sleep" in command for command in with_variable(f"MARK={mark}").values())
        begun = aml.call("PUT", f"{INCOME}/deployments/green", body)
        aml.child.process.kill()
        aml.child.process.wait()
        until(lambda: not with_variable(f"MARK={mark}"), "what the deployments started is ended")
    with running_aml(folder, azurite.connection_string, "--deploying", "0") as aml:
        until(lambda: score(aml, "blue").status_code == 200, "it is served again")
        assert score(aml, "blue").json()["name"] == "blue"
        until(lambda: score(aml, "green").status_code == 200, "what had begun is carried out")
        path = begun.headers["Azure-AsyncOperation"].partition("/providers/")[2].partition("?")[0]
        records = Here(folder, azurite.connection_string).workspace.records
        until(lambda: state_of(records.find(Operation, path.rpartition("/")[2])) == "Succeeded", "and its operation")
    assert not with_variable(f"MARK={mark}")


def state_of(found: Operation | None) -> str:
    return found.status if found else "gone"


@pytest.fixture
def folder(azurite: Azurite, tmp_path: Path) -> Path:
    """The folder of a workspace with what can be deployed, whose server is not running."""
    here = Here(tmp_path / "aml", azurite.connection_string)
    publish(here, tmp_path)
    endpoint = make(Endpoint, INCOME, read_endpoint({"authMode": "Key"}), primary="a", secondary="b")
    here.workspace.records.put(endpoint.begun("Succeeded", "oeidp:old", identity={"type": "SystemAssigned"}))
    return tmp_path / "aml"


def left(here: Here, kind: type[Any], path: str, state: str, **changes: Any) -> str:
    """Record what a server left that died in this state of a resource; return the operation."""
    records = here.workspace.records
    given = deployment(here.workspace.id, environmentVariables={"NAME": "new"})
    fresh = make(Deployment, path, read_deployment(given), folder="new", sku=read_sku(given))
    found = records.find(kind, path.lower()) or fresh
    operation = operations.begin(records, "odidp", found.id)
    records.put(found.begun(state, operation.id, **changes))
    return operation.id


@pytest.mark.parametrize("state", ["Creating", "Updating"])
def test_a_deployment_that_was_being_made_is_made(azurite: Azurite, folder: Path, state: str) -> None:
    here = Here(folder, azurite.connection_string)
    (folder / "deployments" / "new" / "code.part").mkdir(parents=True)  # half of a download
    (folder / "deployments" / "nobodys").mkdir()
    operation = left(here, Deployment, BLUE, state)
    with serving(folder, azurite.connection_string) as place:
        until(lambda: state_of(here.workspace.records.find(Operation, operation)) == "Succeeded", "it is made")
        assert place.score("income", {}, "blue").json()["name"] == "new"
        assert [each.name for each in place.here.serving.folder.iterdir()] == ["new"]


def test_while_a_change_is_carried_out_again_the_former_model_answers(azurite: Azurite, folder: Path) -> None:
    with serving(folder, azurite.connection_string) as place:
        place.deploy("income", "blue", environmentVariables={"NAME": "former"})
    here = Here(folder, azurite.connection_string)
    given = read_deployment(deployment(here.workspace.id, environmentVariables={"FAILS": "1"}))
    operation = left(here, Deployment, BLUE, "Updating", folder="new", properties=given)
    with serving(folder, azurite.connection_string) as place:
        until(lambda: state_of(here.workspace.records.find(Operation, operation)) == "Failed", "the change fails")
        until(lambda: place.score("income", {}, "blue").status_code == 200, "the former one is started")
        assert place.score("income", {}, "blue").json()["name"] == "former"
    with serving(folder, azurite.connection_string) as place:
        until(lambda: place.score("income", {}, "blue").status_code == 200, "the former one is started")
        assert "no such model" in place.logs("income", "blue")


def test_what_was_being_deleted_or_scaled_is_deleted_and_scaled(azurite: Azurite, folder: Path) -> None:
    here = Here(folder, azurite.connection_string)
    deleted = left(here, Deployment, BLUE, "Deleting", served="new")
    sku = {"name": "Default", "capacity": 3}
    scaled = left(here, Deployment, f"{INCOME}/deployments/green", "Scaling", sku=sku)
    failed = left(here, Deployment, f"{INCOME}/deployments/red", "Failed")
    with serving(folder, azurite.connection_string) as place:
        for operation, state in ((deleted, "Succeeded"), (scaled, "Succeeded"), (failed, "Failed")):
            until(
                lambda operation=operation, state=state: (  # type: ignore[misc]
                    state_of(here.workspace.records.find(Operation, operation)) == state
                ),
                f"the operation ends {state}",
            )
        assert sorted(place.here.names(f"{INCOME}/deployments")) == ["green", "red"]


@pytest.mark.parametrize(("state", "status"), [("Updating", 200), ("Creating", 200), ("Deleting", 404)])
def test_an_endpoint_that_was_being_changed_is_changed(azurite: Azurite, folder: Path, state: str, status: int) -> None:
    here = Here(folder, azurite.connection_string)
    operation = left(here, Endpoint, INCOME, state)
    with serving(folder, azurite.connection_string) as place:
        until(lambda: state_of(here.workspace.records.find(Operation, operation)) == "Succeeded", "it is changed")
        assert place.here.call("GET", INCOME).status == status
