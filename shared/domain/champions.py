"""What each pipeline's endpoints serve, the change under way, and the history of both. No I/O."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from shared.base.decoding import Moment
from shared.domain.evaluation import Evaluation
from shared.domain.gate.verdict import Verdict
from shared.domain.jobs import Approval, BatchFile, Dataset, Model, RetrainingJob
from shared.domain.messages import Request
from shared.domain.rows import Rows

SETTLED_KEPT = 100  #: requests whose second delivery is still recognized


class Action(Enum):
    FOUND = "found"  #: somebody else deployed it; seen before the app's own change
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"  #: back to a former model: a person or the bake asked for it
    REVERTED = "restored"  #: reverted after its entry was written, or repaired


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What shows that an endpoint serves the model.

    Not `proven` although promoted: the definition names the model, and both models answer alike for every kept row.
    """

    proven: bool
    text: str


class ProofAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered for the rows of `proof.rows`, which have this SHA-256."""

    rows: str
    answers: Rows


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the calls that a new model is to get: per cent, or a copy of so many, whose answers nobody gets."""

    share: int
    mirrored: bool = False


class TrafficStep(Portion, frozen=True, kw_only=True):
    """A share that the new model was given, from when."""

    at: Moment
    note: str = ""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became live, from when, why, and on which data. Written once, never changed.

    `models` maps each target's name to the model it serves; `previous` is the number of the entry that a
    rollback goes back to; `chain` is the SHA-256 of the entry before it as it is stored, so that an edit shows.
    """

    number: int
    at: Moment
    action: Action
    reason: str
    models: dict[str, Model]
    previous: int | None = None
    job: str | None = None
    chain: str | None = None
    fence: int = 0  #: of the run that made it, see `Champion.fence`
    by: str | None = None
    dataset: Dataset | None = None
    parts: tuple[BatchFile, ...] = ()
    parameters: dict[str, str] = {}
    evaluation: Evaluation | None = None
    verdict: Verdict | None = None
    approval: Approval | None = None
    proof: dict[str, Proof] = {}
    answered: ProofAnswers | None = None  #: where all targets have one model
    traffic: tuple[TrafficStep, ...] = ()  #: where the model got the calls by and by
    served_by: dict[str, dict[str, str]] = {}  #: by target: workspace, endpoint, deployment, version of the model


class Phase(Enum):
    UPDATING = "updating"
    STAGING = "staging"  #: the model is made ready beside the live one; no call is given to it
    SHARING = "sharing"  #: it gets its share of the calls, step by step
    REVERTING = "restoring"


class LateWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a run which was overtaken may still write to an endpoint, late."""

    sha256: str
    until: Moment


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The bake of what was made live: it is checked by each poll until the bake time is over.

    `answers` are those of the model for `rows`, by target; `seconds` is how long they took before the change.
    """

    entry: int
    begun: Moment
    until: Moment
    rows: Rows
    answers: dict[str, Rows] = {}
    seconds: dict[str, float] = {}
    looks: int = 0
    slow: tuple[float, ...] = ()  #: the latest latencies over those of before, newest last
    failed: int = 0  #: looks in a row that met an error or other answers
    trouble: str = ""
    asked: int = 0  #: rollbacks that were asked for
    not_before: Moment | None = None  #: nothing is asked for again until then
    former: dict[str, Model] = {}  #: by target, the model that is compared with as long as it is deployed
    look_at: Moment | None = None  #: when to look next; None: at each poll


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change has come in giving the new model its shares of the calls.

    `former` are the shares before the change, by target; `answers` what the new model answered beside the live one.
    """

    plan: tuple[Portion, ...]
    since: Moment  #: when the step at hand was begun
    step: int = 0  #: place in the plan
    given: bool = False  #: the step's shares were read back
    former: dict[str, dict[str, int]] = {}
    answers: dict[str, Rows] = {}
    steps: tuple[TrafficStep, ...] = ()  #: what was given until now
    watch: Watch | None = None  #: the looks at both models in the step at hand
    look_at: Moment | None = None
    restored: bool = False  #: shares that somebody else gave were overwritten once


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"request_id": "request"}):
    """A switch of models under way: written before the first endpoint is touched.

    `before` and `answers` say, by target, what was live and what it answered for the kept `rows`; `expected` is what
    the new model answers for the last of them, where that is known.
    """

    request_id: str
    begun: Moment
    entry: HistoryEntry  #: what the history will say when the switch is proven
    before: dict[str, Model]
    rows: Rows
    answers: dict[str, Rows]
    expected: Rows | None = None
    phase: Phase = Phase.UPDATING
    reason: str = ""  #: why it is reverted
    asked: Request | None = None  #: what a person asked for
    traffic: Traffic | None = None  #: where the endpoints give shares of the calls


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """Under way: these targets get the live models back, after a late write or at a person's request."""

    begun: Moment
    reason: str
    targets: tuple[str, ...]
    request_id: str | None = None
    asked: Request | None = None  #: what a person asked for
    by: str | None = None  #: who asked, where an earlier version recorded no more

    @property
    def asked_by(self) -> str | None:
        return self.asked.by if self.asked else self.by


class WaitingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for during a change, which is ended first, or during a repair."""

    request_id: str
    request: Request
    after_repair: bool = False  #: it did not come during a change, so it ends none


class Champion(msgspec.Struct, frozen=True, kw_only=True, rename={"late_writes": "strays"}):
    """What one pipeline's endpoints serve."""

    pipeline: str
    live: HistoryEntry | None = None
    last: int = 0  #: number of the newest history entry
    head: str | None = None  #: SHA-256 of that entry as it is stored
    fence: int = 0  #: rises with each run that holds the record; an entry has the fence of the run that made it
    late_writes: tuple[LateWrite, ...] = ()
    newest_data: tuple[datetime, datetime] | None = None  #: order of the newest data ever promoted
    change: Change | None = None
    repair: Repair | None = None
    waiting: WaitingRequest | None = None
    settled: tuple[str, ...] = ()  #: the latest requests that are done with

    @property
    def evaluation(self) -> Evaluation | None:
        return self.live.evaluation if self.live else None

    def serving(self, entry: HistoryEntry, digest: str) -> Champion:
        """Return the record once the entry, of this SHA-256, is the newest of the history."""
        return self.replace(live=entry, last=entry.number, head=digest)

    def has_overtaken(self, job: RetrainingJob) -> bool:
        """Return whether what is live is newer than the job: by its data, or, for a training on the data that was
        live, by what became live since it was asked for.
        """
        if not job.again:
            return self.newest_data is not None and job.order <= self.newest_data
        live, chosen = self.live, (Action.PROMOTED, Action.ROLLED_BACK)
        return live is not None and live.action in chosen and live.at > job.received_at

    def having_promoted(self, job: RetrainingJob) -> Champion:
        """Return the record after the job's promotion: older data is not promoted after it."""
        return self if job.again else self.replace(newest_data=max(job.order, self.newest_data or job.order))

    def settle(self, request_id: str) -> Champion:
        """Return the record with the request done with, so that its next delivery does nothing."""
        return self.replace(change=None, settled=(*self.settled, request_id)[-SETTLED_KEPT:])

    def replace(self, **facts: Any) -> Champion:
        return msgspec.structs.replace(self, **facts)
