"""A poll of many jobs that train, and one that has nothing to do beside many that have ended.

It is compared with calls for as many records and states, each made after the one before has ended.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from local.azurite import azurite
from local.bench.app import app_that_waits_for_nothing
from local.bench.calls import recorded
from local.bench.rows import Row, ms
from local.datasets import as_csv
from local.workplace import PIPELINE, workplace
from shared.app import App
from shared.base.threads import at_once
from shared.domain.jobs import BatchFile, Dataset, JobState, RetrainingJob, received

ACTIVE = (1_000, 2_000)  #: jobs that are added, so that 3,000 are active in the end
ENDED = (1_000, 9_000)  #: jobs that ended, of which a poll sees none, that are added; Azurite is slow with more
SOME = 100  #: jobs of which bare calls are made


def measure(folder: Path) -> Iterator[Row]:
    # No worker: the BES jobs wait in their queue, as most of so many do.
    with azurite() as storage, workplace(storage, folder / "poll", "--processes", "0") as place:
        app = app_that_waits_for_nothing(place.settings)
        data = app.data.find(place.drop("data.csv", as_csv(place.header, place.rows[:100])))
        assert data is not None

        def row(what: str, app: App, bare: float = 0.0) -> Row:
            begun, spent = time.perf_counter(), time.process_time()
            assert app.flows.poll() == []
            seconds, processor = time.perf_counter() - begun, time.process_time() - spent
            against, ratio = (f"in turn {ms(bare)}; {load()}", f"{seconds / bare:.2f}") if bare else (load(), "")
            return f"poll, {what}", f"{ms(seconds)}, processor {ms(processor)}", against, ratio

        app.flows.poll()  # opens connections
        yield row("nothing to do", app)
        ended = 0
        for added in ENDED:
            at_once(lambda each: _record(app, _job(each)), range(ended, ended + added))
            ended += added
            with recorded(storage.blob_address) as calls:
                app.flows.poll()
            yield row(f"{ended:,} jobs have ended, {len(calls)} call", app)
        number = 0
        for added in ACTIVE:
            at_once(lambda each: _train(app, data, each), range(number, number + added))
            number += added
            bare, fresh = _bare(app, number), app_that_waits_for_nothing(place.settings)
            yield row(f"{number:,} jobs train, the first of a process", fresh, bare)
            yield row(f"{number:,} jobs train, the next", fresh, bare)
            with recorded(storage.blob_address) as calls:
                fresh.flows.poll()
            made = Counter(call.to for call in calls)
            yield "", f"{made['storage']} storage calls, {made['service']} of services", "", ""


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""


def _job(number: int, bes_job: str | None = None) -> RetrainingJob:
    now = datetime.now(UTC)
    dataset = Dataset(path=f"{PIPELINE}/{number}.csv", etag=f"0x{number:x}", modified=now, size=1)
    job = received(PIPELINE, [BatchFile(dataset=dataset, sha256="0" * 64)], now)
    if bes_job is None:
        return job.end(JobState.FAILED, now, "it is one of many that ended")
    return msgspec.structs.replace(job, state=JobState.TRAINING, bes_job=bes_job, submitted_at=now + timedelta(days=1))


def _train(app: App, data: Dataset, number: int) -> None:
    service = app.training_service(app.pipelines[PIPELINE])
    bes_job = service.submit("bench", app.data.link(data.path, 86400), {})
    service.start(bes_job)
    job = _job(sum(ENDED) + number, bes_job)
    app.records.jobs.announce(job)
    _record(app, job)


def _record(app: App, job: RetrainingJob) -> None:
    app.records.jobs.save(app.records.jobs.announced(job.id, job), job)


def _bare(app: App, number: int) -> float:
    """Return the seconds of as many calls for a state and for a record, one after another, by those of a few."""
    service, some = app.training_service(app.pipelines[PIPELINE]), app.records.jobs.active()[:SOME]
    jobs = [app.records.jobs.require(each).record for each in some]
    begun = time.perf_counter()
    for job in jobs:
        service.status(str(job.bes_job))
        app.documents.read(f"jobs/{job.id}.json")
    return (time.perf_counter() - begun) / len(jobs) * number
