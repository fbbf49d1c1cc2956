"""One retraining on one data set: its record and the steps it may take. No I/O."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from shared.errors import IllegalTransition
from shared.evaluation import Evaluation
from shared.gate import Verdict


class JobState(Enum):
    RECEIVED = "received"  #: the data set is recorded; no BES job is known
    SUBMITTED = "submitted"  #: a BES job is known; whether it was started is not
    TRAINING = "training"  #: the BES job is started
    ACCEPTED = "accepted"  #: the gate passed the model; its promotion is asked for
    PROMOTING = "promoting"  #: what was live is recorded; the endpoints may have either model
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"  #: the update did not prove itself; the former model is live again
    REJECTED = "rejected"  #: the gate refused the model
    SUPERSEDED = "superseded"  #: newer data was there first
    QUARANTINED = "quarantined"  #: the data set is set aside with its fault
    FAILED = "failed"
    CANCELLED = "cancelled"  #: somebody cancelled the BES job
    TIMED_OUT = "timed out"


_S = JobState
NEXT: dict[JobState, frozenset[JobState]] = {
    _S.RECEIVED: frozenset({_S.SUBMITTED, _S.QUARANTINED, _S.SUPERSEDED, _S.FAILED, _S.TIMED_OUT}),
    _S.SUBMITTED: frozenset({_S.TRAINING, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    _S.TRAINING: frozenset({_S.ACCEPTED, _S.REJECTED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT}),
    _S.ACCEPTED: frozenset({_S.PROMOTING, _S.PROMOTED, _S.REJECTED, _S.SUPERSEDED}),
    _S.PROMOTING: frozenset({_S.PROMOTED, _S.ROLLED_BACK}),
}
FINAL = frozenset(JobState) - NEXT.keys()


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one blob. `path` is within its container; `etag` has no quotes; `size` is in bytes."""

    path: str
    etag: str
    modified: datetime
    size: int


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An ilearner file in the model store, by its content's SHA-256."""

    sha256: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.sha256}.ilearner"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a job."""

    at: datetime
    state: JobState
    note: str = ""


#: the facts of a job that meets no trouble
WELL: dict[str, Any] = {"attempts": 0, "not_before": None, "trouble": None, "troubled_since": None}


class RetrainingJob(msgspec.Struct, frozen=True, kw_only=True):
    """One retraining on one data set, as it is stored. Times are UTC."""

    id: str
    pipeline: str
    dataset: Dataset
    received_at: datetime
    state: JobState = JobState.RECEIVED
    steps: tuple[Step, ...] = ()
    reason: str | None = None  #: why it ended as it did
    bes_job: str | None = None
    submitted_at: datetime | None = None
    running_since: datetime | None = None  #: when the BES job was first seen running
    model: Model | None = None
    evaluation: Evaluation | None = None
    verdict: Verdict | None = None
    attempts: int = 0  #: failed tries in a row
    not_before: datetime | None = None  #: nothing is tried again until then
    trouble: str | None = None  #: what the last failed try met; None when all is well
    troubled_since: datetime | None = None  #: the first of the failed tries in a row

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def order(self) -> tuple[datetime, datetime]:
        """Newer data compares greater. Blob times have whole seconds, so arrival settles a tie."""
        return (self.dataset.modified, self.received_at)

    def move_to(self, state: JobState, at: datetime, note: str = "", **facts: Any) -> RetrainingJob:
        """Return the job one step further. Every change of state goes through here."""
        if state not in NEXT.get(self.state, ()):
            raise IllegalTransition(f"Job {self.id} is {self.state.value} and cannot become {state.value}")
        step = Step(at=at, state=state, note=note)
        return msgspec.structs.replace(
            self,
            **{**WELL, **facts},
            state=state,
            steps=(*self.steps, step),
        )

    def end(self, state: JobState, at: datetime, reason: str, **facts: Any) -> RetrainingJob:
        """Return the job in a final state, with the reason for it."""
        return self.move_to(state, at, reason, reason=reason, **facts)

    def noting(self, at: datetime, note: str, **facts: Any) -> RetrainingJob:
        """Return the job in the same state with one more thing said about it."""
        step = Step(at=at, state=self.state, note=note)
        return msgspec.structs.replace(self, **facts, steps=(*self.steps, step))

    def waiting(self, until: datetime, at: datetime, trouble: str) -> RetrainingJob:
        """Return the job after one more failed try. Only a new kind of trouble makes a new step."""
        facts: dict[str, Any] = {
            "attempts": self.attempts + 1,
            "not_before": until,
            "trouble": trouble,
            "troubled_since": self.troubled_since or at,
        }
        if trouble == self.trouble:
            return msgspec.structs.replace(self, **facts)
        return self.noting(at, trouble, **facts)


def job_id(pipeline: str, dataset: Dataset) -> str:
    """Return the one id of this pipeline's job on this version of the blob.

    The same blob event twice must give the same job, so nothing but the blob goes into it.
    """
    digest = hashlib.sha256(f"{pipeline}\n{dataset.path}\n{dataset.etag}".encode()).hexdigest()
    return f"{pipeline}-{dataset.modified:%Y%m%dT%H%M%S}-{digest[:10]}"


def received(pipeline: str, dataset: Dataset, at: datetime) -> RetrainingJob:
    """Return the first record of a job."""
    note = f"{dataset.path}, {dataset.size} bytes"
    return RetrainingJob(
        id=job_id(pipeline, dataset),
        pipeline=pipeline,
        dataset=dataset,
        received_at=at,
        steps=(Step(at=at, state=JobState.RECEIVED, note=note),),
    )
