"""Records of jobs, and the marks of those that are not finished.

jobs/{id}.json                 one retraining
active/jobs/{id}.json          a mark while the job is not final, so that a poll costs what is active, not all;
                               it has the job as it was made, until the first step writes the record
parked/{fleet}/{id}.json       a mark in place of that one while an accepted job waits for a rollout of its fleet
"""

import logging
from collections.abc import Collection, Iterator

from shared.base.errors import BadConfiguration, BadMessage
from shared.domain.jobs import JobState, RetrainingJob, pipeline_of
from shared.domain.messages import Request
from shared.domain.ports import Documents
from shared.store.shelf import MarkedShelf, Shelf, Stored

log = logging.getLogger("relearn.records")


class JobRecords(MarkedShelf[RetrainingJob]):
    def __init__(self, documents: Documents) -> None:
        super().__init__(documents, RetrainingJob, "jobs")
        self._parked = Shelf(documents, dict[str, str], "parked")

    def open(self, job: RetrainingJob) -> Stored[RetrainingJob]:
        """Record the job, or return the record that is there already."""
        self.announce(job)
        if created := self.create(job.id, job):
            return created
        stored = self.require(job.id)
        if stored.record.final:
            self.close(stored.record)
        return stored

    def announce(self, job: RetrainingJob) -> None:
        """Mark the job; its first step writes the record. The mark of one that has ended is taken off by the poll."""
        self.marks.create(job.id, job)

    def recent(self, job_id: str, states: Collection[JobState]) -> Stored[RetrainingJob] | None:
        """Return the job as this process knows it, if it knows it in one of these states, or else as it is recorded.

        In these nobody else writes it, or the next write fails.
        """
        known = self.known(job_id)
        return known if known and known.record.state in states else self.load(job_id)

    def job_of(self, request: Request, states: Collection[JobState] = ()) -> Stored[RetrainingJob]:
        """Return the job that a message names, which may be a recent one in these states, or raise `BadMessage`."""
        stored = self.recent(request.job, states) if request.job else None
        if stored is None or stored.record.pipeline != request.pipeline:
            raise BadMessage(f"Pipeline {request.pipeline} has no job {request.job}")
        return stored

    def close(self, job: RetrainingJob) -> None:
        """Take the final job off the list of active ones."""
        self.marks.delete(job.id)

    def active(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of the jobs, of one pipeline or of all, that may not be final yet."""
        return [*_of(pipeline, self.marks)]

    def is_readable(self, job_id: str) -> bool:
        try:
            self.load(job_id)
        except BadConfiguration as error:
            log.error("%s", error)
            return False
        return True

    def park(self, job: RetrainingJob, fleet: str) -> None:
        """Have the accepted job wait for a rollout of the fleet, which no poll looks at."""
        self._parked.create(f"{fleet}/{job.id}", {})
        self.close(job)

    def parked(self, fleet: str | None = None) -> list[str]:
        """Return the ids of the jobs that wait for a rollout of the fleet, or of any."""
        return [key.rpartition("/")[2] for key in self._parked.listed(f"{fleet}/" if fleet else "")]

    def unpark(self, fleet: str, job_id: str) -> None:
        self._parked.delete(f"{fleet}/{job_id}")

    def ids(self, pipeline: str | None = None) -> list[str]:
        """Return the ids of all jobs, or of the pipeline's, those of the newest data first."""
        ids = {*_of(pipeline, self), *_of(pipeline, self.marks)}
        return sorted(ids, key=lambda each: each.rsplit("-", 2)[1:], reverse=True)


def _of(pipeline: str | None, jobs: Shelf[RetrainingJob]) -> Iterator[str]:
    """Yield the ids of the pipeline's jobs, or of all."""
    ids = jobs.listed(f"{pipeline}-" if pipeline else "")
    return (each for each in ids if pipeline in (None, pipeline_of(each)))
