"""A worker is stopped between its check and its write, others go on without it, and then it goes on too."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.domain.champions import Action
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from tests.support.commands import wait
from tests.support.crashing import OVERTAKEN, stopped_before_patch
from tests.support.flow import PASSING, Flow, configured
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGSTOP") or "forkserver" not in multiprocessing.get_all_start_methods(),
    reason="this system cannot stop a process, or fork one",
)


def test_a_worker_stopped_between_check_and_write_never_leaves_an_older_model_live(
    workplace: Workplace, tmp_path: Path
) -> None:
    flow = Flow(workplace, configured(workplace, tmp_path, *PASSING))
    header, rows = workplace.header, workplace.rows
    older, newer = (flow.drop(f"{count}.csv", as_csv(header, rows[:count])) for count in (200, 300))
    for job in (older, newer):
        wait(flow, job.id, JobState.ACCEPTED)

    # The worker has looked whether it may, and is stopped before its first update goes out.
    message = Request(pipeline=PIPELINE, action=Command.PROMOTE, job=older.id)
    settings = {**workplace.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    stopped = tmp_path / "stopped"
    worker = multiprocessing.get_context("forkserver").Process(
        target=stopped_before_patch, args=(settings, message, str(stopped))
    )
    worker.start()
    until(stopped.exists, "the worker to be stopped")

    # Its lease runs out, and the newer model is promoted without it.
    with suppress(HttpResponseError):
        lease = BlobLeaseClient(workplace.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json"))
        lease.break_lease(0)
    flow.app.flows.requests.carry_out(
        Request(pipeline=PIPELINE, action=Command.PROMOTE, job=newer.id), "another message"
    )
    flow.finish(newer)
    model = flow.job(newer.id).model
    assert model is not None
    assert flow.answers()["classic"] == flow.predicted(model.sha256)

    # It goes on: its update goes out, and it finds that it was overtaken.
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGCONT)
    worker.join(60)
    assert worker.exitcode == OVERTAKEN
    assert flow.answers()["classic"] != flow.predicted(model.sha256)

    # Its message comes again, as the host has it.
    flow.app.flows.requests.carry_out(message, "the worker's message")
    assert flow.answers() == dict.fromkeys(("classic", "new"), flow.predicted(model.sha256))
    live = flow.champion.live
    assert live is not None
    assert (live.action, live.job) == (Action.REVERTED, newer.id)
    assert "was given" in live.reason
