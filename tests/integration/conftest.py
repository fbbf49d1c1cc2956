"""A terminal for commands, over a pipeline with two promoted jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.datasets import as_csv
from local.workplace import Workplace
from shared.domain.jobs import JobState
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
