"""What is removed of the container `batches`: what jobs wrote there, and the copies of data that they were trained on.

A copy goes once its job has ended, and no job that may be trained again or continued reads it. The dropped data stays.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property

from shared.domain.champions import Champion, HistoryEntry
from shared.domain.jobs import AGAIN, UNJUDGED, RetrainingJob, pipeline_of
from shared.domain.pipelines import Pipeline
from shared.domain.ports import TrainingData
from shared.store import Records

log = logging.getLogger("relearn.retention")

OUTPUTS_FOR = timedelta(days=7)  #: people may look at what a job wrote
#: {pipeline}/{job}.csv, {pipeline}/{job}/{file}, and what a job wrote: {pipeline}/{job}/{output}/{file}
_OF_A_JOB = re.compile(rf"([^/]+)/(.+-\d{{8}}T\d{{6}}-[0-9a-f]{{10}})(?:{AGAIN}|-\d+)?(?:\.[^/]*|/([^/]*).*)")


@dataclass(frozen=True)
class Copies:
    """For one run. `entries` yields those of a history that a rollback may go back to."""

    pipelines: Mapping[str, Pipeline]
    records: Records
    data: TrainingData
    entries: Callable[[Champion], Iterator[HistoryEntry]]

    def remove(self, now: datetime, unused: timedelta) -> None:
        """Remove what jobs wrote that have been judged, and copies that nobody needs and that are older."""
        for blob in self.data.batched(""):
            named = _OF_A_JOB.fullmatch(blob.path)
            if named is None or blob.modified >= now - min(OUTPUTS_FOR, unused):
                continue
            name, job_id, output = named.groups()
            if self._is_output(name, output):
                job = self._job(job_id) if blob.modified < now - OUTPUTS_FOR else None
                goes = job is not None and job.state not in UNJUDGED
            else:
                goes = blob.modified < now - unused and self._is_unneeded(blob.path, name, job_id, output)
            if goes:
                self.data.delete_batched(blob)

    def _is_output(self, name: str, output: str | None) -> bool:
        """Return whether it is what a job wrote: the model and a sample of the rows are kept elsewhere."""
        pipeline = self.pipelines.get(name)
        outputs = pipeline.training.outputs if pipeline and pipeline.training.copies else ()
        return output is not None and output in outputs

    def _is_unneeded(self, path: str, name: str, job_id: str, file: str | None) -> bool:
        job = self._job(job_id)
        if job is None or not job.final or job.pipeline != name:
            return False
        if file is not None and not (job.joined or "").endswith("/"):
            return False  # nothing of the app is there
        return not any(path == place or (place.endswith("/") and path.startswith(place)) for place in self._read(name))

    @cached_property
    def _read(self) -> Callable[[str], frozenset[str]]:
        return cache(lambda name: frozenset(self._places(name)))

    def _places(self, name: str) -> Iterator[str]:
        """Yield what jobs read that have not ended, and what a request may have trained on again."""
        jobs = {*self.records.jobs.active(name), *(each for each in self._parked if pipeline_of(each) == name)}
        jobs |= {entry.job for entry in self.entries(self.records.champions.load(name)) if entry.job}
        if newest := self.records.arrivals.batches(name).record.newest:
            jobs.add(newest)
        for job in filter(None, map(self._job, jobs)):
            former = self._job(job.after) if job.after and not job.final else None
            yield from filter(None, (job.joined, former.joined if former else None))

    @cached_property
    def _parked(self) -> list[str]:
        return self.records.jobs.parked()

    @cached_property
    def _job(self) -> Callable[[str], RetrainingJob | None]:
        return cache(self.records.jobs.record)
