"""From the arrivals that are ready to a job: a batch is closed when it is time.

The batch's job is recorded before its arrivals name it, so that a run that dies in between is finished by the
next, and no file is taken twice or left out.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from shared.base.guard import guarded
from shared.base.threads import at_once, together
from shared.domain.arrivals import Arrival, ArrivalState, faults_of, next_batch
from shared.domain.checks import summed_up
from shared.domain.jobs import RetrainingJob, received
from shared.domain.pipelines import Pipeline
from shared.flows.arrivals import Arrivals
from shared.store import Records
from shared.store.arrivals import Batches, OpenBatch
from shared.store.shelf import Stored

log = logging.getLogger("relearn.intake")

NOT_TAKEN = frozenset({ArrivalState.SETTLING, ArrivalState.READY})
CLAIMED = timedelta(minutes=1)  #: how long a new job is left to the run that made it


@dataclass(frozen=True)
class BatchCloser:
    """`begin` starts the job of a batch that this run has closed."""

    arrivals: Arrivals
    begin: Callable[[RetrainingJob], object]

    @property
    def records(self) -> Records:
        return self.arrivals.records

    def now(self) -> datetime:
        return self.arrivals.now()

    def close(
        self, pipeline: Pipeline, stored: Stored[Batches], arrivals: list[Stored[Arrival]], active: Sequence[str]
    ) -> list[RetrainingJob]:
        """Close each batch for which it is time, while fewer jobs are `active` than the pipeline allows.

        What is ready and in no batch is written at the end: until then its check would only be made again.
        """
        known = {each.record.id: each for each in arrivals if each.record.open}
        try:
            return self._closed(pipeline, stored, known, active)
        finally:
            self.write(known.values())

    def finish(self, pipeline: Pipeline, batches: Batches, active: Sequence[Stored[Arrival]]) -> bool:
        """Finish the batch that was closed last if a run died before it could; return whether that was so."""
        known = {each.record.id: each for each in active if each.record.state in NOT_TAKEN}
        unfinished = batches.closing is not None and not known.keys().isdisjoint(batches.closing.arrivals)
        if batches.closing and unfinished:
            self._finish(pipeline, batches.closing, known)
        return unfinished

    def write(self, arrivals: Iterable[Stored[Arrival]]) -> None:
        """Write the arrivals whose records are not written yet."""

        def written(stored: Stored[Arrival]) -> None:
            guarded(lambda: self.records.arrivals.save(stored, stored.record), None, stored.record.dataset.path, log)

        at_once(written, [each for each in arrivals if not each.written])

    def _closed(
        self, pipeline: Pipeline, stored: Stored[Batches], known: dict[str, Stored[Arrival]], active: Sequence[str]
    ) -> list[RetrainingJob]:
        jobs: list[RetrainingJob] = []
        while known and self._running([*active, *(job.id for job in jobs)], pipeline) < pipeline.arriving.jobs:
            decision = next_batch([each.record for each in known.values()], pipeline.arriving, self.now())
            for marker, reason in decision.refused:
                self.arrivals.refuse(known.pop(marker.id), pipeline, reason)
            if not decision.batch:
                if not decision.refused:
                    break
                continue
            closing = self._closing(pipeline, decision.batch)
            last = closing.job.id if closing.job else stored.record.last
            batches = msgspec.structs.replace(stored.record, closing=closing, last=last)
            stored = self.records.arrivals.save_batches(stored, batches)
            # The job is recorded: it begins while the batch is finished, and neither needs the other.
            begun = [partial(self.begin, closing.job)] if closing.job else []
            together(*begun, partial(self._finish, pipeline, closing, known))
            if job := closing.job:
                jobs.append(job)
                for older in decision.superseded:
                    reason = f"{decision.batch[0].dataset.path} is newer and was taken instead, by job {job.id}"
                    self.arrivals.end(known.pop(older.id), ArrivalState.SUPERSEDED, reason, job=job.id)
        return jobs

    def _closing(self, pipeline: Pipeline, batch: Sequence[Arrival]) -> OpenBatch:
        arrivals = tuple(each.id for each in batch)
        if pipeline.arriving.several and (faults := faults_of(batch, pipeline.checks)):
            return OpenBatch(faults=faults, arrivals=arrivals)
        return OpenBatch(job=self._received(pipeline, batch), arrivals=arrivals)

    def _finish(self, pipeline: Pipeline, closing: OpenBatch, known: dict[str, Stored[Arrival]]) -> None:
        """Record the batch's job, or set all of it aside: each step may have been done before.

        Its arrivals are closed last of all: while one is open, a run comes by. `known` are arrivals as this run has
        just read them.
        """
        job = closing.job
        taken = {each: known.pop(each) for each in closing.arrivals if each in known}
        batch = [taken.get(each) or self.records.arrivals.require(pipeline.name, each) for each in closing.arrivals]
        hashes = {part.dataset: part.sha256 for part in job.parts} if job else {}
        if job:
            self.records.jobs.announce(job)
        if job and pipeline.checks.drift:
            self.records.arrivals.accept_profile(max((each.record for each in batch), key=lambda each: each.rows or 0))

        def tell(stored: Stored[Arrival]) -> None:
            if stored.record.state not in NOT_TAKEN:
                return
            if job:
                sha256 = hashes.get(stored.record.dataset, stored.record.sha256)
                self.arrivals.end(stored, ArrivalState.TAKEN, f"in job {job.id}", job=job.id, sha256=sha256)
            else:
                self.arrivals.refuse(stored, pipeline, summed_up(closing.faults), faults=closing.faults)

        at_once(tell, batch)

    def _received(self, pipeline: Pipeline, batch: Sequence[Arrival]) -> RetrainingJob:
        after = None
        parts = [each.as_part() for each in batch if not each.marker]
        replays = "\n".join(sorted({each.replay for each in batch if each.replay}))
        if pipeline.arriving.rows == "all":
            live = self.records.champions.load(pipeline.name).live
            after = live.job if live else None
        # The run that makes the job also starts it; the poll does once this run had its time.
        now = self.now()
        job = received(pipeline.name, parts, now, once_more=replays, after=after, not_before=now + CLAIMED)
        if pipeline.arriving.joins(len(parts)):
            suffix = job.dataset.path.rpartition("/")[2].partition(".")[2].lower()
            job = msgspec.structs.replace(job, joined=f"{pipeline.name}/{job.id}.{suffix}")
        return job

    def _running(self, active: Sequence[str], pipeline: Pipeline) -> int:
        """Return how many jobs the pipeline has; one that cannot be read does not count and so holds up no new job."""
        if len(active) < pipeline.arriving.jobs:
            return len(active)
        return sum(self.records.jobs.is_readable(job_id) for job_id in active)
