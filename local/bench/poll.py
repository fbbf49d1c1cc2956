"""A poll of many jobs that train, and one that has nothing to do beside many that have ended.

Calls are those to the storage and to the services. The poll is compared with calls for as many records and states, each
made after the one before has ended.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
ENDED = 2_000  #: jobs that ended, of which a poll sees none
SOME = 100  #: jobs of which bare calls are made


def measure(folder: Path) -> Iterator[Row]:
    # No worker: the BES jobs wait in their queue, as most of so many do.
    with azurite(folder / "azurite") as storage, workplace(storage, folder / "poll", "--processes", "0") as place:
        app = app_that_waits_for_nothing(place.settings)
        data = app.data.find(place.drop("data.csv", as_csv(place.header, place.rows[:100])))
        assert data is not None

        def polled() -> tuple[float, float, Counter[str]]:
            """Return the seconds and the processor's seconds of a poll, and the calls of another one."""
            begun, spent = time.perf_counter(), time.process_time()
            assert app.flows.poll() == []
            seconds, processor = time.perf_counter() - begun, time.process_time() - spent
            with recorded(storage.blob_address) as calls:
                app.flows.poll()
            return seconds, processor, Counter(call.to for call in calls)

        def row(what: str, against: str = "", ratio: Callable[[float], str] = lambda _: "") -> Row:
            seconds, processor, calls = polled()
            made = f"{calls['storage']} + {calls['service']} calls"
            return f"poll, {what}", f"{ms(seconds)}, processor {ms(processor)}, {made}", against, ratio(seconds)

        app.flows.poll()  # opens connections
        yield row("nothing to do")
        at_once(lambda number: _record(app, _job(number)), range(ENDED))
        yield row(f"{ENDED:,} jobs have ended")
        number = 0
        for added in ACTIVE:
            at_once(lambda each: _train(app, data, each), range(number, number + added))
            number += added
            bare = _bare(app, number)
            load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
            against = f"in turn {ms(bare)}{load}"
            yield row(f"{number:,} jobs train", against, lambda seconds, bare=bare: f"{seconds / bare:.2f}")  # type: ignore[misc]


def _job(number: int, bes_job: str | None = None) -> RetrainingJob:
    now = datetime.now(UTC)
    dataset = Dataset(path=f"{PIPELINE}/{number}.csv", etag=f"0x{number:x}", modified=now, size=1)
    job = received(PIPELINE, [BatchFile(dataset=dataset, sha256="0" * 64)], now)
    if bes_job is None:
        return job.end(JobState.FAILED, now, "it is one of many that ended")
    return msgspec.structs.replace(job, state=JobState.TRAINING, bes_job=bes_job, submitted_at=now + timedelta(days=1))


def _train(app: App, data: Dataset, number: int) -> None:
    service = app.training_service(app.pipelines[PIPELINE])
    bes_job = service.submit(app.data.link(data, 86400), {})
    service.start(bes_job)
    job = _job(ENDED + number, bes_job)
    app.records.jobs.announce(job)
    _record(app, job)


def _record(app: App, job: RetrainingJob) -> None:
    app.records.jobs.save(app.records.jobs.announced(job), job)


def _bare(app: App, number: int) -> float:
    """Return the seconds of as many calls for a state and for a record, one after another, by those of a few."""
    service, some = app.training_service(app.pipelines[PIPELINE]), app.records.jobs.active()[:SOME]
    jobs = [app.records.jobs.require(each).record for each in some]
    begun = time.perf_counter()
    for job in jobs:
        service.status(str(job.bes_job))
        app.documents.read(f"jobs/{job.id}.json")
    return (time.perf_counter() - begun) / len(jobs) * number
