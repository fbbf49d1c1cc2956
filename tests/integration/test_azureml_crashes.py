"""A process is killed after a write, or stopped before it: those that come after it end the promotion right."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.azureml import ENDPOINT, PIPELINE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.adapters.azureml import online
from shared.domain.champions import Action
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from tests.support.azureml_crashing import go_on, stopped_before_put
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, place_of
from tests.support.crashing import OVERTAKEN, killed
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process to kill"
)

AT_MOST = 200  #: processes until the promotion has ended
DEATHS_AT_LEAST = 6


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory)


@pytest.fixture
def flow(azureml: AzureMLPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLFlow:
    """The local workspace is read late for a moment only."""
    monkeypatch.setattr(online, "SETTLING", 2.5)
    return AzureMLFlow(azureml, configured(tmp_path, *PASSING))


def test_killed_after_its_writes_again_and_again_the_flow_promotes_once_a_model_that_was_proven(
    flow: AzureMLFlow,
) -> None:
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:300]))
    last, kills = flow.champion.last, 0
    for process in range(1, AT_MOST):
        # In turns: a death after the next write to the service, and one after some writes, those to the storage too.
        of_services = bool(process % 2)
        flow.pass_time(timedelta(minutes=3))
        die_after = 1 if of_services else process
        kills += killed(go_on, settings, flow.workspace.address, flow.ahead, die_after, of_services)
        let_go(flow)
        flow.let_trainings_end()
        flow.look()
        if flow.job(job.id).final and not flow.champion.change:
            break
    ended = flow.job(job.id)
    assert ended.state is JobState.PROMOTED, [step.note for step in ended.steps]
    assert kills > DEATHS_AT_LEAST, kills
    made = [flow.app.records.champions.entry(PIPELINE, number) for number in range(last + 1, flow.champion.last + 1)]
    assert [entry.job for entry in made if entry and entry.job] == [job.id]
    assert flow.trainings(ended) == 1
    flow.assert_right(ended)


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
        let_go(flow)
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


def let_go(flow: AzureMLFlow) -> None:
    """Have the lease of the process that was killed run out."""
    blob = flow.place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
    with suppress(HttpResponseError):  # it was not leased, or is not there yet
        BlobLeaseClient(blob).break_lease(0)
