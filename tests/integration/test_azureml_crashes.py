"""A worker is stopped before a write, and goes on when others have finished: what it writes late is corrected."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import pytest

from local.azureml import ENDPOINT, PIPELINE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.adapters.azureml import online
from shared.domain.champions import Action
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from tests.support.azureml_crashing import stopped_before_put
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, let_lease_run_out, place_of
from tests.support.crashing import OVERTAKEN
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process to stop"
)


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory)


@pytest.fixture
def flow(azureml: AzureMLPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLFlow:
    """The local workspace is read late for a moment only."""
    monkeypatch.setattr(online, "SETTLING", 2.5)
    return AzureMLFlow(azureml, configured(tmp_path, *PASSING))


@contextmanager
def stopped(flow: AzureMLFlow, folder: Path, path: str, request: Request | None = None) -> Iterator[BaseProcess]:
    """Have a worker poll, or carry out the request, and stop right before its PUT below the path. It goes on after."""
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    marker, message = folder / "stopped", msgspec.json.encode(request) if request else b""
    context = multiprocessing.get_context("forkserver")
    worker = context.Process(target=stopped_before_put, args=(settings, flow.ahead, message, str(marker), path))
    worker.start()
    try:
        until(marker.exists, "the worker is stopped")
        let_lease_run_out(flow.place)
        yield worker
    finally:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGCONT)
        worker.join(PATIENCE)


def trained(flow: AzureMLFlow, rows: int) -> RetrainingJob:
    """Drop data, and wait until its training has ended; the app does not know it yet."""
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:rows]))
    flow.let_trainings_end()
    return job


def test_shares_that_a_stopped_worker_writes_late_are_taken_back(flow: AzureMLFlow, tmp_path: Path) -> None:
    job = trained(flow, 310)

    def asked() -> bool:
        flow.poll()
        flow.pass_time(timedelta(seconds=5))  # a candidate that waits for its turn is looked at less and less often
        return bool(flow.requests)

    until(asked, lambda: flow.job(job.id))
    with stopped(flow, tmp_path, f"/onlineEndpoints/{ENDPOINT}?", flow.requests[0]) as worker:
        assert flow.finish(job).state is JobState.PROMOTED
        [serving] = flow.traffic()
    assert worker.exitcode in (0, OVERTAKEN), "it writes no record"
    assert flow.traffic()[serving] < 100, "the write of the worker came late"

    def corrected() -> bool:
        flow.advance()
        flow.pass_time(timedelta(minutes=1))
        return flow.traffic() == {serving: 100} and not flow.champion.repair

    until(corrected, lambda: (flow.traffic(), flow.champion))
    live = flow.champion.live
    assert live is not None
    assert (live.action, live.job) == (Action.REVERTED, job.id)
    assert "was given" in live.reason
    flow.assert_right(flow.job(job.id))


def test_a_deployment_that_a_stopped_worker_makes_late_for_a_cancelled_job_is_dropped(
    flow: AzureMLFlow, tmp_path: Path
) -> None:
    job = trained(flow, 320)
    with stopped(flow, tmp_path, f"/onlineEndpoints/{ENDPOINT}/deployments/"):
        flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.CANCEL, job=job.id), "cancel")
        flow.advance()
        assert flow.job(job.id).state is JobState.CANCELLED
        assert len(flow.deployments()) == 1
    assert (tmp_path / "stopped").read_text("utf-8") == "201", "the worker has had it made late"
    flow.assert_right(flow.job(job.id))
