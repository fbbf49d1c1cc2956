"""From the arrivals that are ready to a job: a batch is closed when it is time.

The batch's job is recorded before its arrivals name it, so that a run that dies in between is finished by the
next, and no file is taken twice or left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.threads import at_once
from shared.domain.arrivals import Arrival, ArrivalState, faults_of, name_of, next_batch
from shared.domain.checks import summed_up
from shared.domain.jobs import RetrainingJob, received
from shared.domain.pipelines import Pipeline
from shared.flows.arrivals import Arrivals
from shared.store import Records
from shared.store.arrivals import Batches, OpenBatch
from shared.store.shelf import Stored

CLAIMED = timedelta(minutes=1)  #: how long a new job is left to the run that made it


@dataclass(frozen=True)
class BatchCloser:
    arrivals: Arrivals

    @property
    def records(self) -> Records:
        return self.arrivals.records

    def now(self) -> datetime:
        return self.arrivals.now()

    def close(
        self, pipeline: Pipeline, stored: Stored[Batches], arrivals: list[Stored[Arrival]]
    ) -> list[RetrainingJob]:
        if stored.record.closing:
            self._finish(pipeline, stored.record.closing, stored, {})
            return []  # what is ready has to be read again
        jobs = []
        known = {each.record.id: each for each in arrivals if each.record.open}
        while known and self._running(pipeline) < pipeline.arriving.jobs:
            decision = next_batch([each.record for each in known.values()], pipeline.arriving, self.now())
            for marker, reason in decision.refused:
                self.arrivals.refuse(known.pop(marker.id), pipeline, reason)
            if not decision.batch:
                if not decision.refused:
                    break
                continue
            closing = self._closing(pipeline, decision.batch)
            batches = msgspec.structs.replace(stored.record, closing=closing)
            stored = self.records.arrivals.save_batches(stored, batches)
            stored = self._finish(pipeline, closing, stored, known)
            for done in closing.arrivals:
                known.pop(done)
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

    def _finish(
        self, pipeline: Pipeline, closing: OpenBatch, batches: Stored[Batches], known: Mapping[str, Stored[Arrival]]
    ) -> Stored[Batches]:
        """Record the batch's job, or set all of it aside, and forget the batch: each step may have been done before.

        `known` are arrivals as this run has just read them.
        """
        job = closing.job
        if job:
            self.records.jobs.open(job)

        def tell(arrival: str) -> Arrival:
            stored = known.get(arrival) or self.records.arrivals.require(pipeline.name, arrival)
            if stored.record.state is ArrivalState.READY and job:
                self.arrivals.end(stored, ArrivalState.TAKEN, f"in job {job.id}", job=job.id)
            elif stored.record.state is ArrivalState.READY:
                self.arrivals.refuse(stored, pipeline, summed_up(closing.faults), faults=closing.faults)
            return stored.record

        arrivals = at_once(tell, closing.arrivals)
        if job and pipeline.checks.drift:
            self.records.arrivals.accept_profile(max(arrivals, key=lambda each: each.rows or 0))
        last = job.id if job else batches.record.last
        closed = msgspec.structs.replace(batches.record, closing=None, last=last)
        return self.records.arrivals.save_batches(batches, closed)

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
            suffix = name_of(job.dataset.path).partition(".")[2].lower()
            job = msgspec.structs.replace(job, joined=f"{pipeline.name}/{job.id}.{suffix}")
        return job

    def _running(self, pipeline: Pipeline) -> int:
        """Return how many jobs the pipeline has; one that cannot be read does not count and so holds up no new job."""
        active = self.records.jobs.active(pipeline.name)
        if len(active) < pipeline.arriving.jobs:
            return len(active)
        return sum(self.records.jobs.is_readable(job_id) for job_id in active)
