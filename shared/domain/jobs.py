"""One retraining on one data set: its record and the steps it may take. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from shared.base.decoding import Moment
from shared.base.errors import IllegalTransition
from shared.domain.evaluation import Evaluation
from shared.domain.gate.verdict import Verdict
from shared.domain.rows import Rows


class JobState(Enum):
    RECEIVED = "received"  #: the data set is recorded; no BES job is known
    SUBMITTED = "submitted"  #: a BES job is known; whether it was started is not
    TRAINING = "training"  #: the BES job is started
    JUDGING = "judging"  #: the model and its evaluation are kept; the champion is scored on the same rows
    AWAITING = "awaiting approval"  #: a person decides, on the numbers that the verdict has
    ACCEPTED = "accepted"  #: the gate or a person passed the model; its promotion is asked for
    STAGING = "staging"  #: the model is made ready beside the live one and proven there; nobody is served by it
    PROMOTING = "promoting"  #: what was live is recorded; the endpoints may have either model
    PROMOTED = "promoted"
    REVERTED = "rolled back"  #: the update did not prove itself; the former model is live again
    REJECTED = "rejected"  #: the gate refused the model
    SUPERSEDED = "superseded"  #: newer data was there first
    FAILED = "failed"
    CANCELLED = "cancelled"  #: somebody cancelled it, or its BES job
    TIMED_OUT = "timed out"


_S = JobState
NEXT: dict[JobState, frozenset[JobState]] = {
    _S.RECEIVED: frozenset({_S.SUBMITTED, _S.SUPERSEDED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    _S.SUBMITTED: frozenset({_S.TRAINING, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    # Back to RECEIVED: the service stopped while the BES job ran, which is tried once more.
    _S.TRAINING: frozenset({_S.RECEIVED, _S.JUDGING, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    _S.JUDGING: frozenset({_S.AWAITING, _S.ACCEPTED, _S.REJECTED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    _S.AWAITING: frozenset({_S.ACCEPTED, _S.REJECTED, _S.SUPERSEDED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    # Back to JUDGING: the champion has become another one than it was judged against.
    _S.ACCEPTED: frozenset(
        {_S.JUDGING, _S.STAGING, _S.PROMOTING, _S.PROMOTED, _S.SUPERSEDED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}
    ),
    # Back to ACCEPTED: its rollout has taken it back.
    _S.STAGING: frozenset(
        {_S.JUDGING, _S.ACCEPTED, _S.PROMOTING, _S.PROMOTED, _S.SUPERSEDED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}
    ),
    _S.PROMOTING: frozenset({_S.PROMOTED, _S.REVERTED}),
}
FINAL = frozenset(JobState) - NEXT.keys()
UNJUDGED = frozenset({_S.RECEIVED, _S.SUBMITTED, _S.TRAINING})  #: states before the results are kept
AGAIN = "-again"  #: how the name of a job that is made once more ends
#: states whose outcome is written before the champion's record is settled; the promotion takes the job off the list
SWITCHED = frozenset({_S.PROMOTED, _S.REVERTED})


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one blob. `path` is within its container; `etag` has no quotes; `size` is in bytes."""

    path: str
    etag: str
    modified: Moment
    size: int


class BatchFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a job's data: this version of the blob, with the SHA-256 of what was read and checked of it."""

    dataset: Dataset
    sha256: str
    rows: int | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model in the model store: an ilearner file by its content's SHA-256, or a folder by its manifest's SHA-256.

    The manifest has a line `{sha256} {path}` for each file, sorted by path.
    """

    sha256: str
    size: int
    folder: bool = False

    @property
    def name(self) -> str:
        return f"{self.sha256}/" if self.folder else f"{self.sha256}.ilearner"


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """The held-out rows of the training, as the new model scored them: a sample, by its content's SHA-256."""

    digest: str
    rows: int
    of: int  #: held-out rows there were


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out rows that the new model and the champion differ most on, as asked, and what the new one answers."""

    asked: Rows
    given: Rows


class ChampionScoring(msgspec.Struct, frozen=True, kw_only=True):
    """A BES job in which the live model, by its SHA-256, scores the held-out rows."""

    model: str
    bes_job: str
    begun: Moment
    started: bool = False


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The new model beside the live one: from when it may be deployed, and when it proved itself there.

    `answers` are what it answers for the kept rows, by target.
    """

    begun: Moment
    proven_at: Moment | None = None
    answers: dict[str, Rows] = {}


class Approval(msgspec.Struct, frozen=True, kw_only=True, rename={"request_id": "request"}):
    """A decision that is asked of a person, bound by `seen` to the model and to the numbers of its verdict."""

    seen: str
    asked_at: Moment
    expires_at: Moment
    approved: bool | None = None
    by: str | None = None
    comment: str | None = None
    at: Moment | None = None
    request_id: str | None = None  #: the message that brought the decision


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a job."""

    at: Moment
    state: JobState
    note: str = ""


#: the facts of a job that meets no trouble
WELL: dict[str, Any] = {"attempts": 0, "not_before": None, "trouble": None, "troubled_since": None}


class RetrainingJob(msgspec.Struct, frozen=True, kw_only=True):
    """One retraining on one data set, as it is stored. Times are UTC."""

    id: str
    pipeline: str
    dataset: Dataset
    received_at: Moment
    parts: tuple[BatchFile, ...] = ()  #: the files of its batch; `dataset` is the newest of them
    joined: str | None = None  #: the blob in `batches` that the training reads, or the folder/; None: `dataset` itself
    again: bool = False  #: trained once more on data that was live, because somebody or the schedule asked for it
    after: str | None = None  #: the promoted job whose rows come before these, where a training takes all
    parameters: dict[str, str] = {}  #: global parameters of this job alone
    state: JobState = JobState.RECEIVED
    steps: tuple[Step, ...] = ()
    reason: str | None = None  #: why it ended as it did
    champion: Model | None = None  #: the live model that its training gets, to score the held-out rows with it too
    bes_job: str | None = None
    interrupted: str | None = None  #: the BES job that the service's stop ended, and that another one stands in for
    submitted_at: Moment | None = None
    running_since: Moment | None = None  #: when the BES job was first seen running
    model: Model | None = None
    evaluation: Evaluation | None = None
    held_out: HeldOut | None = None
    scoring: ChampionScoring | None = None
    scored_in_vain: int = 0  #: BES jobs of the champion's scoring that gave nothing
    verdict: Verdict | None = None
    telling: Telling | None = None  #: what shows its promotion; None once that is proven
    approval: Approval | None = None
    stage: Stage | None = None
    rollout: str | None = None  #: the rollout of its fleet that asks for its promotion
    attempts: int = 0  #: failed tries in a row
    not_before: Moment | None = None  #: nothing is tried again until then
    trouble: str | None = None  #: what the last failed try met; None when all is well
    troubled_since: Moment | None = None  #: the first of the failed tries in a row

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def asks_for_promotion(self) -> bool:
        """Whether its promotion is to be asked for, and asked for again until it is settled."""
        staged = self.state is _S.STAGING and self.stage is not None and self.stage.proven_at is not None
        return staged or self.state in (_S.ACCEPTED, _S.PROMOTING)

    @property
    def name_at_service(self) -> str:
        """The name of its BES job at a service that takes one: the same at each try, another when it is made again."""
        return f"{self.id}{AGAIN}" if self.interrupted else self.id

    @property
    def bes_jobs(self) -> set[str]:
        return {each for each in (self.bes_job, self.scoring and self.scoring.bes_job) if each}

    @property
    def order(self) -> tuple[datetime, datetime]:
        """Newer data compares greater. Blob times have whole seconds, so arrival settles a tie."""
        return (self.dataset.modified, self.received_at)

    def move_to(self, state: JobState, at: datetime, note: str = "", **facts: Any) -> RetrainingJob:
        """Return the job one step further. Every change of state goes through here."""
        if state not in NEXT.get(self.state, ()):
            raise IllegalTransition(f"Job {self.id} is {self.state.value} and cannot become {state.value}")
        return self.noting(at, note, **{**WELL, **facts}, state=state)

    def end(self, state: JobState, at: datetime, reason: str, **facts: Any) -> RetrainingJob:
        """Return the job in a final state, with the reason for it."""
        return self.move_to(state, at, reason, reason=reason, **facts)

    def noting(self, at: datetime, note: str, **facts: Any) -> RetrainingJob:
        """Return the job with these facts and one more step that says so."""
        step = Step(at=at, state=facts.get("state", self.state), note=note)
        return msgspec.structs.replace(self, **facts, steps=(*self.steps, step))

    def waiting(self, until: datetime, at: datetime, trouble: str) -> RetrainingJob:
        """Return the job after one more failed try. Only a new kind of trouble makes a new step."""
        waiting = msgspec.structs.replace(
            self,
            attempts=self.attempts + 1,
            not_before=until,
            trouble=trouble,
            troubled_since=self.troubled_since or at,
        )
        return waiting if trouble == self.trouble else waiting.noting(at, trouble)


def job_id(pipeline: str, parts: Sequence[BatchFile], once_more: str = "") -> str:
    """Return the one id of this pipeline's job on these versions of these blobs.

    The same batch twice must give the same job, so nothing but its files goes into it; `once_more` tells a
    retraining on the same data from the first.
    """
    files = sorted(f"{part.dataset.path}\n{part.dataset.etag}" for part in parts)
    digest = hashlib.sha256("\n".join([pipeline, *files, once_more]).encode()).hexdigest()
    return f"{pipeline}-{newest(parts).modified:%Y%m%dT%H%M%S}-{digest[:10]}"


def pipeline_of(job_id: str) -> str:
    return job_id.rsplit("-", 2)[0]


def newest(parts: Sequence[BatchFile]) -> Dataset:
    return max((part.dataset for part in parts), key=lambda dataset: (dataset.modified, dataset.path))


def received(pipeline: str, parts: Sequence[BatchFile], at: datetime, **facts: Any) -> RetrainingJob:
    """Return the first record of a job on these files."""
    dataset = newest(parts)
    size = sum(part.dataset.size for part in parts)
    note = f"{dataset.path}, {size} bytes" if len(parts) == 1 else f"{len(parts)} files, {size} bytes"
    return RetrainingJob(
        id=job_id(pipeline, parts, facts.pop("once_more", "")),
        pipeline=pipeline,
        dataset=dataset,
        parts=tuple(parts),
        received_at=at,
        steps=(Step(at=at, state=JobState.RECEIVED, note=note),),
        **facts,
    )
