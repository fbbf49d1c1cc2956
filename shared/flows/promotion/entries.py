"""What the history will say of a change that is asked for. Reads the records and writes nothing."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.base.errors import BadMessage
from shared.domain.champions import Action, HistoryEntry, ProofAnswers
from shared.domain.gate.verdict import Outcome
from shared.domain.jobs import Model, RetrainingJob
from shared.domain.messages import Request
from shared.domain.rows import Rows
from shared.flows.promotion.held_run import Run
from shared.store.answers import digest_of

LOOKED_THROUGH = 100  #: entries of the history, for the answers of a model that a person names


class EntryPlanner(Run):
    @property
    def live(self) -> HistoryEntry:
        assert self.held.champion.live is not None, "what is live is recorded before anything is changed"
        return self.held.champion.live

    def promoted(self, request: Request, job: RetrainingJob) -> HistoryEntry:
        assert job.model is not None, "only a job with a model is wanted"
        approver = job.approval.by if job.approval and job.approval.approved else None
        reason = reason_of(_why(job), request)
        return HistoryEntry(
            **self.facts(Action.PROMOTED, reason, request.by or approver),
            previous=self.live.number,
            models=dict.fromkeys(self.endpoints, job.model),
            job=job.id,
            dataset=job.dataset,
            parts=job.parts,
            parameters=job.parameters,
            evaluation=job.evaluation,
            verdict=job.verdict,
            approval=job.approval,
        )

    def rolled_back(self, request: Request) -> HistoryEntry:
        if request.model is not None:
            facts = self.facts(
                Action.ROLLED_BACK, reason_of(f"back to the kept model {request.model}", request), request.by
            )
            models = dict.fromkeys(self.endpoints, self._kept(request.model))
            answered = self._answered_by(models)
            return HistoryEntry(**facts, previous=self.live.number, models=models, answered=answered)
        number = self.live.previous if request.to is None else request.to
        former = None if number is None else self.records.champions.entry(self.pipeline.name, number)
        if former is None:
            what = "former model to go back to" if request.to is None else f"entry {request.to} in its history"
            raise BadMessage(f"Pipeline {self.pipeline.name} has no {what}")
        for name in self.endpoints:
            if name not in former.models:
                raise BadMessage(f"Entry {former.number} of {self.pipeline.name} has no model for the target {name}")
        facts = self.facts(Action.ROLLED_BACK, reason_of(f"back to entry {former.number}", request), request.by)
        return msgspec.structs.replace(former, **facts, proof={})

    def known_answers(self, entry: HistoryEntry) -> Rows | None:
        """Return what the entry's model answered for the kept rows when it was made live, if that is recorded."""
        digest, models = digest_of(self.pipeline.rows), {model.sha256 for model in entry.models.values()}
        if len(models) > 1:
            return None  # each target would have its own answers
        if entry.answered and entry.answered.rows == digest:
            return entry.answered.answers
        return self.records.answers.load(digest, models.pop())  # where earlier versions kept them

    def _answered_by(self, models: Mapping[str, Model]) -> ProofAnswers | None:
        """Return what the newest of the latest entries with these models has of their answers."""
        last = self.held.champion.last
        for number in range(last, max(0, last - LOOKED_THROUGH), -1):
            entry = self.records.champions.entry(self.pipeline.name, number)
            if entry and entry.models == models and entry.answered:
                return entry.answered
        return None

    def facts(self, action: Action, reason: str, by: str | None = None) -> dict[str, Any]:
        """Return what is new with each entry, whatever model it has."""
        champion, now = self.held.champion, self.now()
        number, fence = champion.last + 1, champion.fence
        return {"number": number, "at": now, "action": action, "reason": reason, "fence": fence, "by": by}

    def _kept(self, sha256: str) -> Model:
        found = self.models.find(sha256)
        if len(found) != 1:
            what = "is not kept any more" if not found else f"could be any of {len(found)}; write more of its hash"
            raise BadMessage(f"The model {sha256} {what}")
        return found[0]


def _why(job: RetrainingJob) -> str:
    """Return why the job's model may be live, as its verdict has it."""
    if job.verdict is None:
        return ""
    asked = job.approval is not None and job.approval.approved
    if job.verdict.outcome is Outcome.UNDECIDED and not asked and not job.final:
        return f"undecided, and promoted as gate.undecided says: {job.verdict.reason}"
    return job.verdict.reason


def reason_of(text: str, request: Request) -> str:
    asked = f"asked for by {request.by}" if request.by else ""
    return "; ".join(part for part in (text, asked, request.reason) if part)
