"""Files and jobs that are stuck, as the records say: for `status` and `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.domain.jobs import RetrainingJob
from shared.domain.pipelines import Pipeline
from shared.domain.stuck import Stuck, stuck_files

if TYPE_CHECKING:
    from shared.app import App


T = TypeVar("T")


def readable(load: Callable[[], T], otherwise: T, broken: list[str]) -> T:
    """Return the record; note one that cannot be read, so that the others are shown."""
    try:
        return load()
    except BadConfiguration as error:
        broken.append(str(error))
        return otherwise


def active_jobs(app: App, broken: list[str]) -> list[RetrainingJob]:
    """Return the jobs that have not ended; a record that cannot be read is noted in `broken`."""
    found = at_once(lambda each: readable(lambda: app.records.jobs.load(each), None, broken), app.records.jobs.active())
    return [stored.record for stored in found if stored and not stored.record.final]


def files_that_wait(app: App, active: Sequence[RetrainingJob], broken: list[str]) -> list[Stuck]:
    """Return the open files that are stuck; a record that cannot be read is noted in `broken`."""
    try:
        pipelines: Mapping[str, Pipeline] = app.pipelines
    except BadConfiguration:
        return []  # `status` and `doctor` say why
    running: dict[str, list[str]] = {}
    for job in active:
        running.setdefault(job.pipeline, []).append(job.id)
    marked = app.records.marks().arrivals
    marks = [(pipeline, arrival_id) for pipeline, ids in marked.items() for arrival_id in ids]
    found = at_once(lambda mark: readable(lambda: app.records.arrivals.load(*mark), None, broken), marks)
    arrivals = [stored.record for stored in found if stored and stored.record.open]
    return list(stuck_files(arrivals, running, pipelines, datetime.now(UTC)))
