"""A terminal for commands, a local workspace whose jobs run, and a New web service for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite
from local.datasets import as_csv
from local.workplace import Workplace
from shared.domain.jobs import JobState
from tests.support.aml import Here
from tests.support.aml_jobs import started, with_data
from tests.support.arm import Manager
from tests.support.commands import Terminal, approving, changed_file
from tests.support.flow import Flow


@pytest.fixture(scope="module")
def approving_flow(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A pipeline that asks for approvals, with two promoted jobs."""
    folder = tmp_path_factory.mktemp("commands")
    flow = Flow(place)
    for rows in (400, 450):
        job = flow.finish(flow.drop(f"{rows}.csv", as_csv(place.header, place.rows[:rows])))
        assert job.state is JobState.PROMOTED, job.reason
    return Flow(place, {"PIPELINES_FILE": str(changed_file(folder, lambda entry: approving(entry)))})


@pytest.fixture
def terminal(approving_flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    settings = {**approving_flow.place.settings, "PIPELINES_FILE": str(approving_flow.app.settings.pipelines_file)}
    return Terminal(settings, tmp_path, capsys, approving_flow)


@pytest.fixture
def blobs(azurite: Azurite) -> Iterator[BlobServiceClient]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client


@pytest.fixture
def here(tmp_path: Path, azurite: Azurite, blobs: BlobServiceClient) -> Iterator[Here]:
    with started(tmp_path / "aml", azurite) as here:
        with_data(here, blobs)
        yield here


@pytest.fixture(scope="module")
def manager(place: Workplace) -> Manager:
    identity = place.studio.studio.identity
    return Manager(place.studio.address, identity.arm_token, identity.subscription)


@pytest.fixture
def definition(place: Workplace, manager: Manager) -> dict[str, Any]:
    """The definition of the published service, as an export has it."""
    exported = manager.call("GET", place.new.management).json()
    return {"location": exported["location"], "tags": {}, "properties": exported["properties"]}


@pytest.fixture
def service(request: pytest.FixtureRequest, manager: Manager, definition: dict[str, Any]) -> str:
    """A service of the test's own."""
    made = manager.service(request.node.name.removeprefix("test_")[:60])
    assert manager.outcome(manager.call("PUT", made, definition)) == "Succeeded"
    return made
