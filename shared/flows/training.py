"""The flow from a new job to a judged model.

Each step of a job does one thing and returns the job as it is afterwards, which is then recorded. A run that dies, an
answer that is lost and an event that comes twice all find the record, and the step is taken again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from shared.base.budgets import ADVANCE_SECONDS
from shared.base.errors import BadConfiguration, DataChanged, NeverAgain, RecordChanged, RetrainingError
from shared.base.guard import guarded
from shared.base.retry import delay
from shared.base.threads import alone_if, at_once, in_time, together
from shared.domain.jobs import NEXT, SWITCHED, WELL, Dataset, JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import (
    BatchService,
    BesJob,
    BlobReference,
    Cancelled,
    Failed,
    Finished,
    NotStarted,
    Running,
    TrainingData,
)
from shared.flows.judging import Judging, JustRead
from shared.flows.pace import Pace
from shared.flows.staging import CandidateStaging
from shared.store import Records
from shared.store.marks import Marks
from shared.store.shelf import Stored

log = logging.getLogger("relearn.training")

T = TypeVar("T")
State = BesJob | RetrainingError

ASK_AGAIN = timedelta(minutes=2)  #: after which an unanswered promotion message is sent again
SELDOM = timedelta(minutes=30)
TOGETHER = 100  #: active jobs that are read together, so that their states are few calls
MANY = 10_000  #: held-out rows; more are not in memory for several jobs at a time
JUST_READ = timedelta(seconds=10)  #: within which data that was checked is not looked at again before its training
#: states whose next step only reads, or writes what it would write again
TAKEN_AGAIN = frozenset({JobState.JUDGING, JobState.AWAITING, JobState.ACCEPTED})
#: states in which the poll alone takes a job further; who cancels it takes its mark off
AT_SERVICE = frozenset({JobState.SUBMITTED, JobState.TRAINING})
LINK_SLACK = 86400.0  #: seconds a link to the data outlives the deadlines


@dataclass
class Course:
    """A job on its way: as it was last written, and as it is; what this run has just kept it need not read again."""

    stored: Stored[RetrainingJob]
    job: RetrainingJob
    new: bool = False  #: this run has just checked its data
    submitted: bool = False  #: this run has made its BES job
    state: State | None = None  #: of its BES job, if that was asked for already
    just_read: JustRead | None = None
    beside: list[Callable[[], None]] = field(default_factory=list)  #: what is written at the same time as the job


@dataclass(frozen=True)
class Training:
    pipelines: Mapping[str, Pipeline]
    records: Records
    data: TrainingData
    judging: Judging
    staging: CandidateStaging
    service: Callable[[Pipeline], BatchService]
    now: Callable[[], datetime]
    pace: Pace = field(default_factory=Pace)

    def start(self, job: RetrainingJob) -> RetrainingJob:
        """Take a new job of this run as far as it goes. The poll leaves it to this run for a while."""

        def started() -> RetrainingJob:
            new = len(job.steps) == 1 and job.not_before is not None and self.now() < job.not_before
            if new:
                # This run has announced it, and it has no record yet: who writes that first has the job.
                stored = self.records.jobs.announced(job.id, msgspec.structs.replace(job, not_before=None))
            else:
                stored = self.records.jobs.require(job.id)
            course = Course(stored, stored.record, new=new)
            self._advance(course)
            return self._written(course).record

        return guarded(started, job, f"Job {job.id}", log)

    def poll(self, marks: Marks | None = None) -> list[Request]:
        """Take the active jobs as far as they go, while there is time; return what to ask of the promotion queue."""
        marks = marks or self.records.marks()
        self.pace.keep(marks.jobs)
        until = self.now() + timedelta(seconds=ADVANCE_SECONDS)
        groups = [marks.jobs[begin : begin + TOGETHER] for begin in range(0, len(marks.jobs), TOGETHER)]
        polled = in_time(lambda ids: self._poll_group(ids, until), groups, ADVANCE_SECONDS, self.now, "groups of jobs")
        requests = [request for of_group in polled for request in of_group]
        for pipeline in self.records.champions.changes_to_finish(marks.changes, self.now()):
            if pipeline not in self.pipelines:
                log.error("active/changes/%s.json is about no pipeline of the file; its change waits", pipeline)
                continue
            self.records.champions.mark_change(pipeline, self.now() + ASK_AGAIN)
            requests.append(Request(pipeline=pipeline, action=Command.RESUME))
        return requests

    def _poll_group(self, ids: Sequence[str], until: datetime) -> list[Request]:
        """Advance some active jobs. The states of their BES jobs are asked for together."""
        recent = self.records.jobs.recent
        loaded = at_once(lambda each: guarded(lambda: recent(each, AT_SERVICE), None, f"Job {each}", log), ids)
        jobs = [stored for stored in loaded if stored and self.pace.takes(stored.record, self.now())]
        states = self._states([stored.record for stored in jobs])
        seconds = (until - self.now()).total_seconds()

        def poll(stored: Stored[RetrainingJob]) -> Request | None:
            state = states.get(stored.record.id)
            return guarded(lambda: self._poll_one(stored, state), None, f"Job {stored.record.id}", log)

        return [request for request in in_time(poll, jobs, seconds, self.now, "active jobs") if request]

    def _states(self, jobs: Sequence[RetrainingJob]) -> dict[str, State]:
        """Return the states of the BES jobs that train, by job; those of one service are asked for at once."""
        of_service: dict[str, list[RetrainingJob]] = {}
        for job in jobs:
            if job.state in AT_SERVICE and self._due(job) and job.pipeline in self.pipelines:
                of_service.setdefault(self.pipelines[job.pipeline].training.where, []).append(job)

        def asked(some: list[RetrainingJob]) -> dict[str, State]:
            states = self.service(self.pipelines[some[0].pipeline]).statuses([_known(job.bes_job) for job in some])
            return {job.id: states[bes_job] for job in some if (bes_job := _known(job.bes_job)) in states}

        nothing: dict[str, State] = {}
        found = at_once(lambda some: guarded(lambda: asked(some), nothing, "BES jobs", log), of_service.values())
        return {job_id: state for states in found for job_id, state in states.items()}

    def _poll_one(self, stored: Stored[RetrainingJob], state: State | None) -> Request | None:
        if stored.record.state in SWITCHED:
            return self._unsettled(stored.record)
        self.pace.note(stored.record, self.now())
        course = Course(stored, stored.record, state=state)
        self._advance(course)
        return self._asking(course)

    def _unsettled(self, job: RetrainingJob) -> Request | None:
        """Have a promotion finished whose run died after it had written the outcome on the job."""
        change = self.records.champions.load(job.pipeline).change
        if change and change.request_id == job.id:
            return Request(pipeline=job.pipeline, action=Command.RESUME)
        self.records.jobs.close(job)
        return None

    def _asking(self, course: Course) -> Request | None:
        """Write the job. Return the request for its promotion when it is time to send it (again)."""
        job = course.job
        if not job.asks_for_promotion or not self._due(job):
            self._written(course)
            return None
        pipeline = self.pipelines.get(job.pipeline)
        if pipeline and pipeline.fleet and pipeline.waits and job.state is JobState.ACCEPTED and not job.rollout:
            self._written(course)
            self.records.jobs.park(job, pipeline.fleet)
            return None
        # What is shared by and by is looked at when the mark of its change says so.
        pause = SELDOM if job.state is JobState.PROMOTING and job.stage else ASK_AGAIN
        course.job = msgspec.structs.replace(job, not_before=self.now() + pause)
        self._written(course)
        return Request(pipeline=job.pipeline, action=Command.PROMOTE, job=job.id)

    def _due(self, job: RetrainingJob) -> bool:
        return job.not_before is None or job.not_before <= self.now()

    def _advance(self, course: Course) -> None:
        """Take the job's steps until it has to wait or is final.

        What was done is written before the next step, unless that may be taken twice: then they are written together.
        """
        while not course.job.final and self._due(course.job):
            if course.job.state not in TAKEN_AGAIN or course.job.scoring:
                self._written(course)
            job = course.job
            try:
                after = self._step(course)
            except RecordChanged:
                raise
            except RetrainingError as error:
                after = self._after(job, error)
            if after is job and job.state in (JobState.TRAINING, JobState.JUDGING) and job.trouble:
                after = job.noting(self.now(), "all is well again", **WELL)
            if after is job:
                return
            pipeline = self.pipelines.get(job.pipeline)
            if after.final and job.state is JobState.RECEIVED and pipeline and pipeline.training.runs_once_made:
                self._cancel(self.service(pipeline), job.name_at_service)
            course.job = after
            log.info("Job %s is %s: %s", after.id, after.state.value, after.steps[-1].note)
            if after.state is JobState.TRAINING:
                return  # the BES job takes its time, and the next poll asks for it

    def _written(self, course: Course) -> Stored[RetrainingJob]:
        if course.job is not course.stored.record:
            course.stored, *_ = together(lambda: self._saved(course.stored, course.job), *course.beside)
            course.beside.clear()
        if course.job.final and course.job.state not in SWITCHED:
            self.records.jobs.close(course.job)
        return course.stored

    def _saved(self, stored: Stored[RetrainingJob], job: RetrainingJob) -> Stored[RetrainingJob]:
        """Record the step. Where another run was first, cancel the BES job that this one made: nothing names it."""
        try:
            return self.records.jobs.save(stored, job)
        except RecordChanged:
            made = job.bes_jobs - stored.record.bes_jobs
            there = self.records.jobs.load(job.id) if made else None
            if there and (pipeline := self.pipelines.get(job.pipeline)):
                # The write may have taken effect, and only its answer was lost.
                for bes_job in made - there.record.bes_jobs:
                    of_training = bes_job == job.bes_job
                    self._cancel(self.service(pipeline) if of_training else self.judging.scoring(pipeline), bes_job)
            raise

    def _cancel(self, service: BatchService, bes_job: str) -> None:
        try:
            service.cancel(bes_job)
            log.info("BES job %s is cancelled: nothing needs it", bes_job)
        except RetrainingError as error:
            log.warning("BES job %s stays at the service, and nothing needs it: %s", bes_job, error)

    def _step(self, course: Course) -> RetrainingJob:
        job = course.job
        pipeline = self.pipelines.get(job.pipeline)
        if pipeline is None:
            raise BadConfiguration(
                f"The pipelines file has no entry {job.pipeline!r} any more, and job {job.id} needs it"
            )
        match job.state:
            case JobState.RECEIVED:
                course.submitted = True
                return self._submit(course, pipeline)
            case JobState.SUBMITTED if course.submitted:
                # Not written: the next poll sees by its state that it was started, and starts it again if not.
                self.service(pipeline).start(_known(job.bes_job))
                return job
            case JobState.SUBMITTED | JobState.TRAINING:
                with alone_if(pipeline.gate.rows_at_most > MANY):
                    return self._follow(course, pipeline)
            case JobState.JUDGING:
                with alone_if(pipeline.gate.rows_at_most > MANY):
                    return self.judging.judge(job, pipeline, course.just_read, course.beside)
            case JobState.AWAITING:
                return self._unless_expired(job)
            case JobState.ACCEPTED | JobState.STAGING:
                return self.staging.step(job, pipeline)
            case _:
                return job

    def _submit(self, course: Course, pipeline: Pipeline) -> RetrainingJob:
        job, training, place = course.job, pipeline.training, _place(course.job, pipeline)
        if place != job.joined:
            return job.noting(self.now(), f"its data goes to batches/{place}", joined=place)
        if training.outputs.champion and job.champion is None:
            return self.judging.with_champion(job, pipeline)
        link, parameters = None, {**training.parameters, **job.parameters}
        try:
            if training.folder:
                parameters[training.folder] = self._brought(job, self.data.gather)
            else:
                just_read = course.new and self.now() - job.received_at < JUST_READ
                link = self._link(job, training.patience + LINK_SLACK, just_read=just_read)
        except DataChanged as error:
            return self._without_the_changed(job, error)
        # At Studio, only the job whose id is recorded is ever started: an answer lost here leaves a job that trains
        # nothing. Elsewhere the name finds the job again.
        bes_job = self.service(pipeline).submit(job.name_at_service, link, parameters, job.champion)
        note = f"{training.job_word} {bes_job} created"
        return job.move_to(JobState.SUBMITTED, self.now(), note, bes_job=bes_job, submitted_at=self.now())

    def _without_the_changed(self, job: RetrainingJob, error: DataChanged) -> RetrainingJob:
        """A new version of a file is its own arrival; the others of the batch are trained on without it."""
        left = tuple(part for part in job.parts if self.data.find(part.dataset.path) == part.dataset)
        if not left or len(left) == len(job.parts):
            return job.end(JobState.SUPERSEDED, self.now(), str(error))
        facts: dict[str, Any] = {"parts": left}
        if _is_folder(job.joined):
            # Some may be copied by now. Of one batch there are only ever fewer files, so their number makes a new name.
            facts["joined"] = f"{job.pipeline}/{job.id}-{len(left)}/"
        return job.noting(self.now(), f"{error}; it goes on with {len(left)} files", **facts)

    def _link(self, job: RetrainingJob, seconds: float, *, just_read: bool) -> BlobReference:
        """Return where the training reads its rows: the one file itself, or a copy that joins several."""
        if job.joined is None:
            if not just_read and self.data.find(job.dataset.path) != job.dataset:
                raise DataChanged(f"{job.dataset.path} was overwritten or deleted before it was trained on")
            return self.data.link(job.dataset.path, seconds)
        self._brought(job, self.data.join)
        return self.data.link_joined(job.joined, seconds)

    def _brought(self, job: RetrainingJob, bring: Callable[[str, Sequence[Dataset], str | None], T]) -> T:
        """Bring the job's files to where its training reads them, behind those of the job that it comes after."""
        assert job.joined is not None, "only what is not read where it was dropped is brought elsewhere"
        former = self.records.jobs.require(job.after).record if job.after else None
        parts = [*(former.parts if former and not former.joined else ()), *job.parts]
        return bring(job.joined, [part.dataset for part in parts], former.joined if former else None)

    def _follow(self, course: Course, pipeline: Pipeline) -> RetrainingJob:
        job, service, training = course.job, self.service(pipeline), pipeline.training
        it = f"{training.job_word} {job.bes_job}"
        status, course.state = course.state or service.status(_known(job.bes_job)), None
        if isinstance(status, RetrainingError):
            raise status
        if job.state is JobState.SUBMITTED:
            if isinstance(status, NotStarted):
                service.start(_known(job.bes_job))
            job = job.move_to(JobState.TRAINING, self.now(), f"{training.job_word} started")
        match status:
            case NotStarted() if job.running_since is None:
                return self._unless_late(job, pipeline, "waited", job.submitted_at, training.waiting)
            case NotStarted():  # its machine was taken from it, and it waits for another
                return self._unless_late(job, pipeline, "ran and waited", job.running_since, training.patience)
            case Running() if job.running_since is None:
                return job.noting(self.now(), f"{training.job_word} running", running_since=self.now())
            case Running():
                return self._unless_late(job, pipeline, "ran", job.running_since, training.running)
            case Failed(details, interrupted=True) if job.interrupted is None:
                note = f"{it} is made again: {details}"
                fresh: dict[str, Any] = {"bes_job": None, "submitted_at": None, "running_since": None, "champion": None}
                return job.move_to(JobState.RECEIVED, self.now(), note, interrupted=job.bes_job, **fresh)
            case Failed(details):
                return job.end(JobState.FAILED, self.now(), f"The training failed: {details}")
            case Cancelled():
                return job.end(JobState.CANCELLED, self.now(), f"{it} was cancelled")
            case Finished():
                job, just_read = self.judging.take_results(job, pipeline, status)
                course.just_read = just_read if pipeline.gate.rows_at_most <= MANY else None
                return job

    def _unless_late(
        self, job: RetrainingJob, pipeline: Pipeline, did: str, since: datetime | None, limit: float
    ) -> RetrainingJob:
        spent = (self.now() - (since or job.received_at)).total_seconds()
        if spent <= limit:
            return job
        left = "it goes on there"
        if pipeline.training.cancel_late:
            self.service(pipeline).cancel(_known(job.bes_job))
            left = "it was cancelled"
        it = f"{pipeline.training.job_word} {job.bes_job}"
        reason = f"{it} {did} {spent:.0f} s, and the pipeline allows {limit:.0f} s; {left}"
        return job.end(JobState.TIMED_OUT, self.now(), reason)

    def _unless_expired(self, job: RetrainingJob) -> RetrainingJob:
        if self.records.champions.load(job.pipeline).has_overtaken(job):
            return job.end(JobState.SUPERSEDED, self.now(), "A newer model was promoted while it waited")
        if job.approval and self.now() > job.approval.expires_at:
            reason = f"Nobody approved it until {job.approval.expires_at:%Y-%m-%d %H:%M} UTC"
            return job.end(JobState.TIMED_OUT, self.now(), reason)
        return job

    def _after(self, job: RetrainingJob, error: RetrainingError) -> RetrainingJob:
        """Return the job after a failed step: final, or waiting for the next try."""
        now = self.now()
        if isinstance(error, NeverAgain) and JobState.FAILED in NEXT[job.state]:
            return job.end(JobState.FAILED, now, str(error))
        training = self.pipelines[job.pipeline].training if job.pipeline in self.pipelines else None
        patience = timedelta(seconds=training.patience) if training else timedelta(days=7)
        if now - (job.troubled_since or now) > patience and JobState.TIMED_OUT in NEXT[job.state]:
            return job.end(JobState.TIMED_OUT, now, f"Given up after {patience}: {error}")
        log.warning("Job %s waits: %s", job.id, error)
        return job.waiting(now + delay(job.attempts + 1, error), now, str(error))


def _place(job: RetrainingJob, pipeline: Pipeline) -> str | None:
    """Return where in the batches the training reads: a folder/, a blob, or None for the dropped blob itself.

    The job, or the one on whose data it trains again, may have been made when the service was of the other kind.
    """
    training, base = pipeline.training, f"{job.pipeline}/{job.id}"
    if _is_folder(job.joined) == bool(training.folder) and (job.joined or not training.copies):
        return job.joined
    _, dot, suffix = job.dataset.path.rpartition("/")[2].partition(".")
    return f"{base}/" if training.folder else f"{base}{dot}{suffix.lower()}"


def _is_folder(joined: str | None) -> bool:
    return joined is not None and joined.endswith("/")


def _known(bes_job: str | None) -> str:
    assert bes_job is not None, "no state after RECEIVED is reached without a BES job"
    return bes_job
