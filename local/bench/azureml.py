"""Azure Machine Learning v2: the calls of a promotion with three steps, and a poll of 10,000 jobs that train."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from aml.state.records import Job, make
from aml.state.runs import run_of_job
from aml.state.workspace import Workspace
from local.azureml import ENDED, LEADING, PIPELINE, SAMPLE, AzureMLPlace, azureml_place
from local.azurite import azurite
from local.bench.app import peak_of_process
from local.bench.calls import Call, recorded
from local.bench.poll import load
from local.bench.rows import Row, ms
from local.children import PATIENCE
from local.datasets import as_csv
from shared.app import App
from shared.base.errors import TryLater
from shared.base.settings import Settings
from shared.base.threads import at_once
from shared.domain.jobs import BatchFile, Dataset, JobState, RetrainingJob, received

ACTIVE = 10_000  #: jobs that train
POLL = timedelta(seconds=15)  #: between two polls, as the app's clock has it
READS, WRITES = ("GET",), ("PUT", "PATCH", "DELETE")


class _Clock:
    """Goes on by the time between two polls; nothing is waited for."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def measure(folder: Path) -> Iterator[Row]:
    with azurite() as storage, azureml_place(storage, folder / "azureml", "--deploying", "0", apart="") as place:
        os.environ.update({name: place.settings[name] for name in LEADING})
        file = folder / "pipelines.yaml"
        text = (SAMPLE / "pipelines.yaml").read_text("utf-8").replace("AUC >= champion - 0.01", "AUC >= champion - 0.5")
        file.write_text(text.replace("rows: ../", f"rows: {SAMPLE.parent}/"), "utf-8")
        settings = {**place.settings, "PIPELINES_FILE": str(file)}
        yield from _promotion(place, settings)
        yield from _many(place, settings, folder / "azureml" / "aml")


def _promotion(place: AzureMLPlace, settings: dict[str, str]) -> Iterator[Row]:
    clock = _Clock()
    app = App(Settings(settings), clock)
    path = place.drop("data.csv", as_csv(place.header, place.rows[:400]))
    app.flows.intake.see(path)
    clock.ahead += POLL
    [job] = app.flows.intake.take_up()
    app.flows.training.start(job)
    deadline = time.monotonic() + PATIENCE
    while place.workspace.remote.get(f"jobs/{job.id}")["properties"]["status"] not in ENDED:
        time.sleep(0.1)
    with recorded(place.azurite.blob_address) as calls:
        while not app.records.jobs.require(job.id).record.final and time.monotonic() < deadline:
            clock.ahead += POLL
            for request in app.flows.poll():
                with suppress(TryLater):
                    app.flows.requests.carry_out(request, f"message-{uuid4().hex}")
    ended = app.records.jobs.require(job.id).record
    assert ended.state is JobState.PROMOTED, ended.reason
    services = [call for call in calls if call.to == "service"]
    yield (
        "training ended → promoted in three steps of 15 min",
        f"{_count(services, WRITES)} writes, {_count(services, READS)} reads",
        f"{_count(services, ('POST',))} calls for answers, to the storage {Counter(c.to for c in calls)['storage']}",
        "",
    )


def _count(calls: Sequence[Call], methods: Sequence[str]) -> int:
    return sum(call.method in methods for call in calls)


def _many(place: AzureMLPlace, settings: dict[str, str], folder: Path) -> Iterator[Row]:
    """Have jobs in the records of both sides, as if each trained."""
    app, workspace = App(Settings(settings)), Workspace(folder, place.azurite.connection_string)
    jobs = [_job(number) for number in range(ACTIVE)]
    for job in jobs:
        properties = {
            "jobType": "Command",
            "displayName": job.id,
            "experimentName": PIPELINE,
            "tags": {"relearn": "job", "relearn.job": job.id},
            "properties": {"relearn.job": job.id},
        }
        made = make(Job, f"jobs/{job.id}", properties, status="Running", begun=datetime.now(UTC))
        workspace.records.put(made)
        run_of_job(workspace.records, made)
    at_once(lambda job: _record(app, job), jobs)
    made_ready = peak_of_process()
    for which in ("the first of a process", "the next"):
        begun, spent = time.perf_counter(), time.process_time()
        with recorded(place.azurite.blob_address) as calls:
            assert app.flows.poll() == []
        seconds, processor = time.perf_counter() - begun, time.process_time() - spent
        made_calls = Counter(call.to for call in calls)
        yield (
            f"poll, {ACTIVE:,} jobs train, {which}",
            f"{ms(seconds)}, processor {ms(processor)}",
            f"{made_calls['service']} calls of the service, {made_calls['storage']} of the storage; {load()}",
            "",
        )
    peak = peak_of_process()
    yield (
        f"peak memory of two polls, {ACTIVE:,} jobs train",
        f"+{(peak - made_ready) / (1 << 20):.1f} MiB",
        f"process {peak / (1 << 20):.0f} MiB, which made the jobs of both sides before",
        "",
    )


def _job(number: int) -> RetrainingJob:
    now = datetime.now(UTC)
    dataset = Dataset(path=f"{PIPELINE}/{number}.csv", etag=f"0x{number:x}", modified=now, size=1)
    job = received(PIPELINE, [BatchFile(dataset=dataset, sha256="0" * 64)], now)
    return msgspec.structs.replace(job, state=JobState.TRAINING, bes_job=job.id, submitted_at=now, running_since=now)


def _record(app: App, job: RetrainingJob) -> None:
    app.records.jobs.announce(job)
    app.records.jobs.save(app.records.jobs.announced(job.id, job), job)
