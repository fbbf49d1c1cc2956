"""The flow from a judged model to a proven switch, and the way back.

One run at a time holds the pipeline's champion record. It writes down what is live and what shall be (the change),
has the endpoints switched and the switch proven, and writes the outcome; without proof the former models are put
back. A run that dies anywhere leaves the change in the record, and the next run that comes by finishes it before it
does anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.champions import Action, Champion, Change, HistoryEntry, Phase
from shared.errors import (
    AskHuman,
    BadConfiguration,
    BadMessage,
    Busy,
    NeverAgain,
    RecordChanged,
    RetrainingError,
    TryLater,
)
from shared.gate.judging import LiveModel, judge
from shared.jobs import JobState, Model, RetrainingJob
from shared.messages import Asked, Request
from shared.pipelines import Pipeline
from shared.ports import BlobReader, Endpoint, Endpoints, Models
from shared.records import HeldChampion, Records, StoredJob
from shared.retry import delay
from shared.switch import Switch

log = logging.getLogger("relearn.promotion")

PATIENCE = timedelta(minutes=15)  #: how long an update is tried again before the former models are put back


@dataclass(frozen=True)
class Promotion:
    pipelines: Mapping[str, Pipeline]
    records: Records
    models: Models
    reader: Callable[[Pipeline], BlobReader]
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def carry_out(self, request: Request, message_id: str) -> None:
        """Do what the message asks for, once, however often it is delivered.

        Raises `TryLater` or `AskHuman` when another delivery is worth it, `NeverAgain` when none is.
        """
        pipeline = self.pipelines.get(request.pipeline)
        if pipeline is None:
            known = ", ".join(sorted(self.pipelines))
            raise BadMessage(f"The message names the pipeline {request.pipeline!r}; the pipelines are: {known}")
        self._job(request)
        try:
            with self.records.hold(pipeline.name) as held:
                _Run(self, pipeline, held).carry_out(request, message_id)
        except (Busy, RecordChanged):
            raise
        except RetrainingError as error:
            self._note_trouble(request, message_id, error)
            raise

    def give_up(self, request: Request, message_id: str) -> None:
        """Note that the message failed for the last time. A job's promotion is asked for again by the poll."""
        what = "rollback" if request.action is Asked.ROLLBACK else "promotion"
        note = f"The {what} failed at every delivery of message {message_id}"
        stored = self._job(request)
        if stored and not stored.job.final:
            last = f"; last: {stored.job.trouble}" if stored.job.trouble else ""
            self.records.save(stored, stored.job.noting(self.now(), f"{note}{last}"))
        elif request.by_hand:
            self.records.note_request(message_id, {"pipeline": request.pipeline, "outcome": f"failed: {note}"})

    def refuse(self, message_id: str, reason: str) -> None:
        """Write down a message that no delivery can carry out."""
        log.error("Message %s is refused: %s", message_id, reason)
        self.records.note_request(message_id, {"outcome": f"refused: {reason}"})

    def _job(self, request: Request) -> StoredJob | None:
        if request.job is None:
            return None
        stored = self.records.load(request.job)
        if stored is None or stored.job.pipeline != request.pipeline:
            raise BadMessage(f"Pipeline {request.pipeline} has no job {request.job}")
        return stored

    def _note_trouble(self, request: Request, message_id: str, error: RetrainingError) -> None:
        """Put what the try met where its asker looks; a job's promotion is asked for by the poll after a while."""
        stored = self._job(request)
        if stored and not stored.job.final:
            job, now = stored.job, self.now()
            self.records.save(stored, job.waiting(now + delay(job.attempts + 1, error), now, str(error)))
        elif request.by_hand:
            self.records.note_request(message_id, {"pipeline": request.pipeline, "outcome": f"not yet: {error}"})


def _wanted(job: RetrainingJob, request: Request) -> bool:
    """Return whether the message is more than a second delivery about a job that is done with."""
    if job.state in (JobState.ACCEPTED, JobState.PROMOTING):
        return True
    if job.model is None:
        raise BadMessage(f"Job {job.id} is {job.state.value} and has no model to promote")
    return request.by is not None


class _Run:
    """One run that holds one pipeline's champion record."""

    def __init__(self, promotion: Promotion, pipeline: Pipeline, held: HeldChampion) -> None:
        self.pipeline, self.held = pipeline, held
        self.records, self.models, self.now = promotion.records, promotion.models, promotion.now
        self.promotion = promotion
        self.endpoints = promotion.endpoints(pipeline)
        self.switch = Switch(
            pipeline, self.endpoints, promotion.models.link, held.renew, promotion.now, promotion.sleep
        )

    @property
    def live(self) -> HistoryEntry:
        assert self.held.champion.live is not None, "what is live is recorded before anything is changed"
        return self.held.champion.live

    def carry_out(self, request: Request, message_id: str) -> None:
        if self.held.champion.change:
            self.finish(self.held.champion.change)
        if request.action is Asked.RESUME:
            self.records.unmark_change(self.pipeline.name)
            return
        stored = self.records.require(request.job) if request.job else None
        own = stored is not None and not stored.job.final  # the promotion of a job, not a change by hand
        request_id = stored.job.id if stored and own else message_id
        if request_id in self.held.champion.settled or (stored and not _wanted(stored.job, request)):
            self.records.unmark_change(self.pipeline.name)  # the run that settled it may have died before this
            return
        if stored and own and request.by is None and self._overtaken(stored):
            return
        self._record_live()
        entry = self._promoted(request, stored.job) if stored else self._rolled_back(request)
        if not own:
            self.records.mark_change(self.pipeline.name, self.now() + PATIENCE)
        if entry.models == self.live.models:
            self._settle_unchanged(request_id, stored if own else None)
            return
        change = Change(
            request=request_id,
            begun=self.now(),
            entry=entry,
            before=self.live.models,
            answers=self.switch.answers(),
        )
        self.held.save(self.held.champion.but(change=change))
        self.finish(change)

    def _overtaken(self, stored: StoredJob) -> bool:
        """End the job when newer data was promoted first, or when the champion of now is too good for it."""
        job, champion = stored.job, self.held.champion
        if champion.newest_data and job.order <= champion.newest_data:
            reason = f"A model of newer data was promoted first; live is entry {champion.last} of the history"
            ended = job.end(JobState.SUPERSEDED, self.now(), reason)
        elif job.evaluation and champion.evaluation:
            verdict = judge(self.pipeline.gate, job.evaluation, LiveModel(evaluation=champion.evaluation))
            if verdict.accepted:
                return False
            reason = f"Against the champion of now: {verdict.reason}"
            ended = job.end(JobState.REJECTED, self.now(), reason, verdict=verdict)
        else:
            return False
        self._save(stored, ended)
        self.records.close(ended)
        return True

    def _promoted(self, request: Request, job: RetrainingJob) -> HistoryEntry:
        assert job.model is not None, "only a job with a model is wanted"
        verdict = job.verdict.reason if job.verdict else ""
        return HistoryEntry(
            number=self.held.champion.last + 1,
            at=self.now(),
            action=Action.PROMOTED,
            reason=_reason(verdict, request),
            models=dict.fromkeys(self.endpoints, job.model),
            previous=self.live.number,
            job=job.id,
            dataset=job.dataset,
            evaluation=job.evaluation,
        )

    def _rolled_back(self, request: Request) -> HistoryEntry:
        previous = self.live.previous
        former = self.records.history(self.pipeline.name, previous) if previous else None
        if former is None:
            raise BadMessage(f"Pipeline {self.pipeline.name} has no former model to go back to")
        return msgspec.structs.replace(
            former,
            number=self.held.champion.last + 1,
            at=self.now(),
            action=Action.ROLLED_BACK,
            reason=_reason(f"back to entry {former.number}", request),
            proof={},
        )

    def _record_live(self) -> None:
        """Keep the models that are live, so that they can be put back, and note what others deployed."""
        champion = self.held.champion
        models = {name: self._keep_live(name, endpoint) for name, endpoint in self.endpoints.items()}
        if champion.live and champion.live.models == models:
            return
        entry = HistoryEntry(
            number=champion.last + 1,
            at=self.now(),
            action=Action.FOUND,
            reason="deployed by somebody else",
            models=models,
            previous=champion.live.number if champion.live else None,
        )
        self.held.save(champion.serving(self.records.append(self.pipeline.name, entry)))

    def _keep_live(self, name: str, endpoint: Endpoint) -> Model:
        reference = endpoint.model()
        if kept := self.models.identify(reference):
            return kept
        try:
            return self.models.keep(self.promotion.reader(self.pipeline).read(reference))
        except (AskHuman, NeverAgain) as error:
            raise BadConfiguration(
                f"The model now live on {name} cannot be kept for a rollback, so nothing is promoted: {error}"
            ) from None

    def finish(self, change: Change) -> None:
        """Take the change to its end: proven, or put back and that proven."""
        stored = self.records.require(change.request) if change.request == change.entry.job else None
        if stored and stored.job.state is JobState.ACCEPTED:
            note = "live until now: " + ", ".join(f"{name} {m.sha256[:12]}" for name, m in change.before.items())
            # The poll goes on waiting before it asks again: this run is on it.
            job = stored.job.move_to(JobState.PROMOTING, self.now(), note, not_before=stored.job.not_before)
            stored = self.records.save(stored, job)
        if change.phase is Phase.UPDATING:
            try:
                self._settle_proven(change, stored, self.switch.make(change))
                return
            except (Busy, RecordChanged):
                raise
            except RetrainingError as error:
                if isinstance(error, TryLater) and self.now() - change.begun < PATIENCE:
                    raise
                change = msgspec.structs.replace(change, phase=Phase.RESTORING, reason=str(error))
            log.error("Pipeline %s: the former models are put back: %s", self.pipeline.name, change.reason)
            self.held.save(self.held.champion.but(change=change))
        self.switch.undo(change)
        self._settle_restored(change, stored)

    def _settle_proven(self, change: Change, stored: StoredJob | None, proof: dict[str, str]) -> None:
        entry = self.records.append(self.pipeline.name, msgspec.structs.replace(change.entry, proof=proof))
        proven = "; ".join(f"{name} {text}" for name, text in proof.items())
        self._end(change.request, stored, JobState.PROMOTED, f"entry {entry.number} of the history; {proven}")
        champion = self.held.champion.serving(entry)
        self._settle(change.request, stored, champion.having_promoted(stored.job.order) if stored else champion)

    def _settle_unchanged(self, request_id: str, stored: StoredJob | None) -> None:
        self._end(request_id, stored, JobState.PROMOTED, "this very model is live already")
        champion = self.held.champion
        self._settle(request_id, stored, champion.having_promoted(stored.job.order) if stored else champion)

    def _settle_restored(self, change: Change, stored: StoredJob | None) -> None:
        reason = f"{change.reason}; the former model is live again, and that is proven"
        self._end(change.request, stored, JobState.ROLLED_BACK, reason)
        self._settle(change.request, stored, self.held.champion)

    def _end(self, request_id: str, stored: StoredJob | None, state: JobState, reason: str) -> None:
        """Write the outcome where its asker looks: on the job, or under the request made by hand."""
        if stored is None:
            outcome = f"{'done' if state is JobState.PROMOTED else 'not done'}: {reason}"
            self.records.note_request(request_id, {"pipeline": self.pipeline.name, "outcome": outcome})
            log.info("Pipeline %s, request %s is %s", self.pipeline.name, request_id, outcome)
        elif not stored.job.final:
            self._save(stored, stored.job.end(state, self.now(), reason))

    def _settle(self, request_id: str, stored: StoredJob | None, champion: Champion) -> None:
        """Forget the change, and take its mark off last of all: while the mark is there, a run comes by."""
        self.held.save(champion.settle(request_id))
        if stored:
            self.records.close(stored.job)
        else:
            self.records.unmark_change(self.pipeline.name)

    def _save(self, stored: StoredJob, job: RetrainingJob) -> None:
        self.records.save(stored, job)
        log.info("Job %s is %s: %s", job.id, job.state.value, job.reason)


def _reason(text: str, request: Request) -> str:
    asked = f"asked for by {request.by}" if request.by else ""
    return "; ".join(part for part in (text, asked, request.reason) if part)
