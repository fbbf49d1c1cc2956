"""Records of jobs, and the marks of those that are not finished.

jobs/{id}.json                 one retraining
active/jobs/{id}.json          a mark while the job is not final, so that a poll costs what is active, not all;
                               it has the job as it was made, until the first step writes the record
parked/{fleet}/{id}.json       a mark in place of that one while an accepted job waits for a rollout of its fleet
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from shared.base.errors import BadConfiguration, BadMessage, RecordChanged
from shared.domain.jobs import JobState, RetrainingJob, pipeline_of
from shared.domain.messages import Request
from shared.domain.ports import Documents
from shared.store.recent import Recent
from shared.store.shelf import Shelf, Stored, stem

log = logging.getLogger("relearn.records")


class JobRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents, self._jobs = documents, Shelf(documents, RetrainingJob, Recent())

    def open(self, job: RetrainingJob) -> Stored[RetrainingJob]:
        """Record the job, or return the record that is there already."""
        self.announce(job)
        if created := self._jobs.create(_job(job.id), job):
            return created
        stored = self.require(job.id)
        if stored.record.final:
            self.close(stored.record)
        return stored

    def announce(self, job: RetrainingJob) -> None:
        """Mark the job; its first step writes the record. The mark of one that has ended is taken off by the poll."""
        self._jobs.create(_active(job.id), job)

    def announced(self, job: RetrainingJob) -> Stored[RetrainingJob]:
        """Return a job that this run has announced, whose record is not written yet."""
        return Stored(_job(job.id), job, "")

    def load(self, job_id: str) -> Stored[RetrainingJob] | None:
        """Return the job's record, or what its mark has where no step has written the record yet."""
        if stored := self._jobs.load(_job(job_id)):
            return stored
        mark = self._jobs.load(_active(job_id))
        return self.announced(mark.record) if mark else None

    def recent(self, job_id: str, states: Collection[JobState]) -> Stored[RetrainingJob] | None:
        """Return the job as this process knows it, if it knows it in one of these states, or else as it is recorded.

        In these nobody else writes it, or the next write fails.
        """
        known = self._jobs.recent(_job(job_id))
        return known if known and known.record.state in states else self.load(job_id)

    def require(self, job_id: str) -> Stored[RetrainingJob]:
        if stored := self.load(job_id):
            return stored
        raise RecordChanged(f"The record of job {job_id} is gone")

    def job_of(self, request: Request, states: Collection[JobState] = ()) -> Stored[RetrainingJob]:
        """Return the job that a message names, which may be a recent one in these states, or raise `BadMessage`."""
        stored = self.recent(request.job, states) if request.job else None
        if stored is None or stored.record.pipeline != request.pipeline:
            raise BadMessage(f"Pipeline {request.pipeline} has no job {request.job}")
        return stored

    def save(self, stored: Stored[RetrainingJob], job: RetrainingJob) -> Stored[RetrainingJob]:
        return self._jobs.replace(stored, job)

    def close(self, job: RetrainingJob) -> None:
        """Take the final job off the list of active ones."""
        self._documents.delete(_active(job.id))

    def active(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of the jobs, of one pipeline or of all, that may not be final yet."""
        names = self._documents.names(f"active/jobs/{pipeline}-" if pipeline else "active/jobs/")
        return [job_id for job_id in map(stem, names) if pipeline is None or pipeline_of(job_id) == pipeline]

    def is_readable(self, job_id: str) -> bool:
        try:
            self.load(job_id)
        except BadConfiguration as error:
            log.error("%s", error)
            return False
        return True

    def activate(self, job: RetrainingJob) -> None:
        self._jobs.create(_active(job.id), job)

    def park(self, job: RetrainingJob, fleet: str) -> None:
        """Have the accepted job wait for a rollout of the fleet, which no poll looks at."""
        self._documents.create(_parked(fleet, job.id), b"{}")
        self.close(job)

    def parked(self, fleet: str | None = None) -> list[str]:
        """Return the ids of the jobs that wait for a rollout of the fleet, or of any."""
        return [stem(name) for name in self._documents.names(f"parked/{fleet}/" if fleet else "parked/")]

    def unpark(self, fleet: str, job_id: str) -> None:
        self._documents.delete(_parked(fleet, job_id))

    def ids(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of all jobs, or of the pipeline's, those of the newest data first."""
        of_these = f"jobs/{pipeline}-" if pipeline else "jobs/"
        found = {stem(name) for name in self._documents.names(of_these)}
        found |= {stem(name) for name in self._documents.names(f"active/{of_these}")}
        ids = [each for each in found if pipeline in (None, pipeline_of(each))]
        return sorted(ids, key=lambda each: each.rsplit("-", 2)[1:], reverse=True)


def _job(job_id: str) -> str:
    return f"jobs/{job_id}.json"


def _active(job_id: str) -> str:
    return f"active/jobs/{job_id}.json"


def _parked(fleet: str, job_id: str) -> str:
    return f"parked/{fleet}/{job_id}.json"
