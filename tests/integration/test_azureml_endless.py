"""The flow while the service never ends what it has begun, and once it goes on after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.azureml import ENDPOINT, LEADING, AzureMLPlace, publish, running_workspace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.domain.jobs import JobState, RetrainingJob
from tests.conftest import empty
from tests.support.azureml_flow import LIGHT, PASSING, AzureMLFlow, configured
from tests.support.waiting import until

FLAGS = ("--control", "--deploying", "0")


class Restarting:
    """A workspace that can be restarted at its address, with the same records."""

    def __init__(self, azurite: Azurite, folder: Path, settings: dict[str, str]) -> None:
        self.azurite, self.folder, self.settings = azurite, folder, settings
        self.place: AzureMLPlace | None = None

    @contextmanager
    def running(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureMLFlow]:
        port = urlsplit(self.place.workspace.address).port if self.place else 0
        storage = self.azurite.connection_string
        with running_workspace(self.folder, storage, *FLAGS, "--port", str(port)) as workspace:
            for name in LEADING:
                monkeypatch.setenv(name, workspace.settings[name])
            there = self.place
            made = replace(there, workspace=workspace) if there else publish(self.azurite, workspace, "", LIGHT)
            self.place = made
            yield AzureMLFlow(made, self.settings)


@pytest.fixture
def workspace(one_azurite: Azurite, tmp_path: Path) -> Iterator[Restarting]:
    yield Restarting(one_azurite, tmp_path / "aml", configured(tmp_path, *PASSING))
    empty(one_azurite)


def dropped(flow: AzureMLFlow, rows: int) -> RetrainingJob:
    return flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:rows]))


def until_so(flow: AzureMLFlow, job: RetrainingJob, is_so: Callable[[RetrainingJob], object], step: timedelta) -> None:
    """Go on, a step of time for each poll once the training has ended, until it is so."""

    def look() -> bool:
        flow.await_training(job)
        flow.advance()
        if is_so(flow.job(job.id)):
            return True
        if flow.job(job.id).state is not JobState.TRAINING:
            flow.pass_time(step)
        return False

    until(look, lambda: (flow.job(job.id), flow.champion.change))


def test_an_operation_without_end_moves_no_call_and_is_settled_once_the_service_goes_on(
    workspace: Restarting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workspace.running(monkeypatch) as flow:
        before = flow.answered()
        flow.order("endless operation", count=1)
        first = dropped(flow, 300)
        until_so(flow, first, lambda job: job.final, timedelta(hours=1))
        assert flow.job(first.id).state is JobState.TIMED_OUT
        assert "was not ready within" in str(flow.job(first.id).reason)
        assert flow.answered() == before
        assert len(flow.deployments()) == 2, "what is being made cannot be deleted"

    with workspace.running(monkeypatch) as flow:  # the service makes the deployment, which nobody needs
        flow.settle()
        flow.assert_right(flow.job(first.id))
        second = dropped(flow, 303)
        until_so(flow, second, lambda job: job.stage and job.stage.proven_at, timedelta(seconds=5))
        flow.order("endless operation", endpoint=ENDPOINT, count=1)
        until_so(flow, second, lambda _: "were not taken within" in noted(flow, second), timedelta(minutes=5))
        assert flow.answered() == before, "the shares are asked for, and nothing has changed"
        assert not flow.job(second.id).final, "it is not known yet who gets the calls"

    with workspace.running(monkeypatch) as flow:  # the service gives the shares, which are taken back
        ended = flow.finish(second)
        assert ended.state is JobState.REVERTED, ended
        assert flow.answered() == before
        flow.assert_right(ended)


def noted(flow: AzureMLFlow, job: RetrainingJob) -> str:
    """Return what the job's notes and the change under way say."""
    change = flow.champion.change
    return "\n".join([*(step.note for step in flow.job(job.id).steps), str(change)])
