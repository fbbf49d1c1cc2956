"""Carries out what people decide about a job: approve, reject, cancel. Each message counts once."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from shared.base.errors import BadMessage
from shared.domain.jobs import FINAL, JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import BatchService
from shared.store import Records

log = logging.getLogger("relearn.decisions")


@dataclass(frozen=True)
class Decisions:
    pipelines: Mapping[str, Pipeline]
    records: Records
    service: Callable[[Pipeline], BatchService]
    now: Callable[[], datetime]

    def decide(self, request: Request, request_id: str) -> str:
        """Carry the decision out and return what became of it.

        Raises `BadMessage` when it cannot hold, and `RecordChanged` when the job moved on meanwhile.
        """
        stored = self.records.jobs.job_of(request)
        job = stored.record
        if job.approval and job.approval.request_id == request_id:
            return f"job {job.id} is {job.state.value}"  # a second delivery
        decided = self._cancelled(job, request) if request.action is Command.CANCEL else self._answered(job, request)
        if decided is not job:
            approval = decided.approval and msgspec.structs.replace(decided.approval, request_id=request_id)
            self.records.jobs.save(stored, msgspec.structs.replace(decided, approval=approval))
        if decided.final:
            self.records.jobs.close(decided)
        log.info("Job %s is %s: %s", decided.id, decided.state.value, decided.steps[-1].note)
        return f"job {decided.id} is {decided.state.value}"

    def _answered(self, job: RetrainingJob, request: Request) -> RetrainingJob:
        """Return the job with the answer to what was asked; it holds for the model and the numbers that were seen."""
        now, asked = self.now(), job.approval
        if job.state is not JobState.AWAITING or asked is None:
            raise BadMessage(f"Job {job.id} is {job.state.value} and does not await an approval")
        if request.seen != asked.seen:
            raise BadMessage(
                f"Job {job.id} awaits an approval of other numbers: its record has seen {asked.seen}, the message "
                f"{request.seen}; look at the verdict again"
            )
        if now > asked.expires_at:
            raise BadMessage(f"The approval of job {job.id} was possible until {asked.expires_at:%Y-%m-%d %H:%M} UTC")
        approved = request.action is Command.APPROVE
        answered = msgspec.structs.replace(asked, approved=approved, by=request.by, comment=request.reason, at=now)
        note = f"{'approved' if approved else 'rejected'} by {request.by}"
        note += f": {request.reason}" if request.reason else ""
        if approved:
            return job.move_to(JobState.ACCEPTED, now, note, approval=answered)
        return job.end(JobState.REJECTED, now, note, approval=answered)

    def _cancelled(self, job: RetrainingJob, request: Request) -> RetrainingJob:
        if job.state is JobState.CANCELLED:
            return job
        refuse_cancel(job)
        bes_job, pipeline = job.bes_job, self.pipelines.get(job.pipeline)
        if job.state is JobState.RECEIVED and pipeline and pipeline.training.runs_once_made:
            bes_job = job.name_at_service  # the answer to its making may have been lost
        if bes_job and pipeline and job.state in (JobState.RECEIVED, JobState.SUBMITTED, JobState.TRAINING):
            self.service(pipeline).cancel(bes_job)
        note = f"cancelled by {request.by}" + (f": {request.reason}" if request.reason else "")
        return job.end(JobState.CANCELLED, self.now(), note)


def refuse_cancel(job: RetrainingJob) -> None:
    """Raise `BadMessage` where the job cannot be cancelled in its state."""
    if job.state in FINAL or job.state is JobState.PROMOTING:
        hint = "; roll back instead" if job.state in (JobState.PROMOTING, JobState.PROMOTED) else ""
        raise BadMessage(f"Job {job.id} is {job.state.value} and cannot be cancelled{hint}")
