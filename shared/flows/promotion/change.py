"""Turns a request into a change of models. The caller holds the lease of the pipeline's champion record.

A run that held the record before and did not release it may only have been stopped. Its next call finds that it was
overtaken; what it may have written late is repaired before anything else.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.base.errors import BadMessage, Busy, NeverAgain, TryLater
from shared.domain.bake import BY
from shared.domain.champions import Action, Change, HistoryEntry, LateWrite, Phase, Traffic, WaitingRequest
from shared.domain.deployments import is_staged
from shared.domain.jobs import JobState, Model, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.ports import BlobReader
from shared.domain.proof_rows import ALIKE, same_answers
from shared.domain.rows import Rows
from shared.domain.sharing import plan_of
from shared.flows.judging import judged_against
from shared.flows.live import Seen, live_model, look
from shared.flows.promotion.before import Before, Served, served_by
from shared.flows.promotion.entries import EntryPlanner, reason_of
from shared.flows.promotion.held_run import Run
from shared.flows.promotion.repair import LATE_WRITES_FOR, LateWriteRepair
from shared.flows.promotion.rows import rows_to_prove
from shared.flows.promotion.settle import PATIENCE, Settlement, reverting
from shared.flows.promotion.switch import Switch
from shared.flows.retention import YOUNG
from shared.store.shelf import Stored

log = logging.getLogger("relearn.promotion")

LOOK_AGAIN = timedelta(minutes=2)  #: after the run that begins a staged change, should it die


@dataclass(frozen=True)
class _Order:
    """A request that is to be carried out, under this id, with the job that it names."""

    request: Request
    request_id: str
    job: Stored[RetrainingJob] | None
    own: bool  #: the promotion of the job itself, not a change by hand


@dataclass(frozen=True)
class ChangePlanner(Run):
    """`seen` and `before` are what was live and answered while the record was leased, if that was asked for then."""

    seen: Seen | None
    before: Before | None
    reader: BlobReader
    switch: Switch
    settlement: Settlement
    entries: EntryPlanner
    repair: LateWriteRepair

    @property
    def live(self) -> HistoryEntry:
        return self.entries.live

    def carry_out(self, request: Request, message_id: str, job: Stored[RetrainingJob] | None) -> None:
        """`job` is the one that the message names, read before the record was held.

        If it changed since, the champion's record says that it is settled, or the first write of it fails, which
        comes before any endpoint is touched.
        """
        self._take_over(request, message_id, job)
        if self.held.champion.change:
            return  # one look further; its mark brings the next one
        if self.held.champion.repair:
            self._wait_for_the_repair(request, message_id)
            return
        if waiting := self.held.champion.waiting:
            self._carry_out_waiting(waiting)
            if message_id != waiting.request_id and request.action is not Command.RESUME:
                raise Busy(f"What {waiting.request.by} asked for is carried out first")
        elif request.action is Command.RESUME:
            self.records.champions.unmark_change(self.pipeline.name)
        else:
            self._begin(request, message_id, job)

    def _wait_for_the_repair(self, request: Request, message_id: str) -> None:
        """Have what a person asks for carried out after the repair. The poll asks again for a job's promotion."""
        champion, repair = self.held.champion, self.held.champion.repair
        if not request.by_hand or message_id in champion.settled or (repair and repair.request_id == message_id):
            return
        if champion.waiting is None:
            waiting = WaitingRequest(request_id=message_id, request=request, after_repair=True)
            self.held.save(champion.replace(waiting=waiting))
            self.note(message_id, "under way: a repair is finished first", request)
        elif champion.waiting.request_id != message_id:
            raise Busy("A repair is finished, and then what another person asked for is carried out")

    def _begin(self, request: Request, message_id: str, job: Stored[RetrainingJob] | None) -> None:
        if self.repair.restores(request, message_id):
            return
        if order := self._accepted(request, message_id, job):
            entry = self._planned(order)
            if entry.models == self.live.models:
                self.settlement.settle_unchanged(order.request_id, order.job if order.own else None, order.request)
            else:
                self._make_change(order, entry)

    def _take_over(self, request: Request, message_id: str, job: Stored[RetrainingJob] | None) -> None:
        """Finish the change that an earlier run has left, or take it one look further."""
        self._claim()
        if change := self.held.champion.change:
            if self._ends(change, request, message_id, job):
                self._turn_back(change, request, message_id)
            self.settlement.finish(self.held.champion.change or change)
        if self.held.champion.change is None:
            self.repair.look()

    def _ends(self, change: Change, request: Request, message_id: str, job: Stored[RetrainingJob] | None) -> bool:
        """Return whether a person asks for another model while the calls go over to this one by and by.

        Raises `BadMessage` where what is asked for is not possible: then the change goes on.
        """
        if change.phase not in (Phase.STAGING, Phase.SHARING) or not request.by_hand:
            return False
        if message_id in (*self.held.champion.settled, change.request_id):
            return False
        if job and job.record.id == change.request_id:
            return False
        self._check_live(request)
        if job:
            return wanted(job.record, request)
        return ends_a_change(request) or bool(self.entries.rolled_back(request))

    def _turn_back(self, change: Change, request: Request, message_id: str) -> None:
        """Have the change end backwards; what is asked for is done after that, also if this run dies."""
        reason = reason_of(f"ended by a {request.action.value}", request)
        waiting = WaitingRequest(request_id=message_id, request=request)
        self.held.save(self.held.champion.replace(change=reverting(change, reason, self.now()), waiting=waiting))
        outcome = f"under way: the change to entry {change.entry.number} is ended first"
        self.note(message_id, outcome, request)

    def _carry_out_waiting(self, waiting: WaitingRequest) -> None:
        """Do what was asked for during the change that has ended. The next write of the record takes it off."""
        request = waiting.request
        job = self.records.jobs.job_of(request) if request.job else None
        self.held.write_later(self.held.champion.replace(waiting=None))
        if ends_a_change(request) and not waiting.after_repair:
            self.settlement.settle_ended(waiting.request_id, request)
            return
        try:
            self._begin(request, waiting.request_id, job)
        except NeverAgain as error:
            self.settlement.settle_refused(waiting.request_id, str(error), request)

    def _accepted(self, request: Request, message_id: str, stored: Stored[RetrainingJob] | None) -> _Order | None:
        """Return what to change, or None when that is done, not wanted any more, or has to wait."""
        own = stored is not None and not stored.record.final
        request_id = stored.record.id if stored and own else message_id
        if request_id in self.held.champion.settled or (stored and not wanted(stored.record, request)):
            # The run that settled it may have died before this.
            self.records.champions.unmark_change(self.pipeline.name)
            return None
        self._record_live()
        if stored and own and request.by is None and self._overtaken(stored):
            return None
        self._check_live(request)
        return _Order(request, request_id, stored, own)

    def _check_live(self, request: Request) -> None:
        """Refuse what was asked for while another entry was live."""
        live = self.live
        if request.live in (None, live.number):
            return
        hint = ""
        if live.action is Action.FOUND:
            back = f"rollback {self.pipeline.name} --to {request.live}"
            hint = f": somebody else deployed another model; `{back}` makes entry {request.live} live again"
        raise BadMessage(f"Entry {request.live} is not live any more, entry {live.number} is{hint}")

    def _planned(self, order: _Order) -> HistoryEntry:
        """Return what the history will say of the change."""
        return (
            self.entries.promoted(order.request, order.job.record)
            if order.job
            else self.entries.rolled_back(order.request)
        )

    def _make_change(self, order: _Order, entry: HistoryEntry) -> None:
        """Record the change, and only then make it."""
        for model in {*entry.models.values()}:
            # From here on it is not removed. One that was kept a short time ago is not removed anyway.
            if not (order.own and self._is_young(order.job)) and not self.models.touch(model):
                raise BadMessage(f"The model {model.sha256} is not kept any more")
        staged = is_staged(self.endpoints)
        if staged or not order.own:
            # The looks at a staged change are brought by its mark.
            self.records.champions.mark_change(self.pipeline.name, self.now() + (LOOK_AGAIN if staged else PATIENCE))
        job, champion = order.job.record if order.job else None, self.live.models[self.pipeline.targets[0].name]
        before = self.before if self.before and self.before.champion == champion else None
        if before is None:
            rows, expected = rows_to_prove(self.records, self.pipeline, job, champion)
            served = self._served(rows, even_if_broken=staged and entry.action is Action.ROLLED_BACK)
            before = Before(champion, rows, expected, served)
        change = Change(
            request_id=order.request_id,
            asked=None if order.own else order.request,
            begun=self.now(),
            entry=entry,
            before=self.live.models,
            rows=before.rows,
            answers={name: each.answers for name, each in before.served.items()},
            # A model that was just trained has not been live before.
            expected=before.expected if before.expected or order.own else self._recorded(entry, before.served),
            phase=Phase.STAGING if staged else Phase.UPDATING,
            traffic=Traffic(plan=plan_of(self.pipeline.share, entry.action), since=self.now()) if staged else None,
        )
        self.held.save(self.held.champion.replace(change=change))
        if staged and not order.own:
            outcome = f"under way: {change.phase.value}, see status; the model is proven before it gets calls"
            self.note(order.request_id, outcome, order.request)
        self.settlement.finish(change, before.served, order.job if order.own else None)

    def _served(self, rows: Rows, *, even_if_broken: bool) -> dict[str, Served]:
        """Return what is answered now. A rollback from a model that does not answer needs to know nothing of it."""
        try:
            return served_by(self.endpoints, rows, self.now)
        except (TryLater, NeverAgain) as error:
            if not even_if_broken:
                raise
            log.warning("Pipeline %s: the live model does not answer: %s", self.pipeline.name, error)
            return dict.fromkeys(self.endpoints, Served(Rows([], []), 0.0))

    def _is_young(self, stored: Stored[RetrainingJob] | None) -> bool:
        """Return whether the job's model was kept so lately that retention leaves it alone for hours."""
        kept = [step.at for step in stored.record.steps if step.state is JobState.TRAINING] if stored else []
        return bool(kept) and self.now() - kept[-1] < YOUNG / 2

    def _claim(self) -> None:
        """Raise the fence, with the first write of this run.

        Who held the record with a change under way may be dead, or only stopped: that is written at once.
        """
        champion, now = self.held.champion, self.now()
        late_writes = [late_write for late_write in champion.late_writes if late_write.until > now]
        if champion.change and self.held.abandoned:
            models = {*champion.change.entry.models.values(), *champion.change.before.values()}
            late_writes += [LateWrite(sha256=model.sha256, until=now + LATE_WRITES_FOR) for model in models]
        champion = champion.replace(fence=champion.fence + 1, late_writes=tuple(late_writes))
        if champion.change and self.held.abandoned:
            self.held.save(champion)
        else:
            self.held.write_later(champion)

    def _overtaken(self, stored: Stored[RetrainingJob]) -> bool:
        """Return whether the job is not to be promoted (yet): end it when newer data was promoted first, have it
        judged again when the champion is another one.
        """
        job, champion = stored.record, self.held.champion
        if job.state not in (JobState.ACCEPTED, JobState.STAGING):
            return False
        if self.pipeline.waits and not job.rollout:
            return True  # its rollout has taken it back: the next one asks for it
        if champion.has_overtaken(job):
            reason = f"A newer model was promoted first; live is entry {champion.last} of the history"
            ended = job.end(JobState.SUPERSEDED, self.now(), reason)
            self.settlement.save(stored, ended)
            self.records.jobs.close(ended)
            return True
        live = self._judged_against(job)
        if not job.verdict or job.verdict.champion == live:
            return False
        note = f"The champion is another one now ({live[:12] if live else 'none'}): judged again"
        self.settlement.save(stored, job.move_to(JobState.JUDGING, self.now(), note, stage=None))
        return True

    def _judged_against(self, job: RetrainingJob) -> str | None:
        """Return the model that a verdict of now would compare with."""
        if job.held_out and job.verdict and job.verdict.same_rows:
            return self.live.models[self.pipeline.targets[0].name].sha256
        return judged_against(self.held.champion, self.pipeline)

    def _recorded(self, entry: HistoryEntry, served: Mapping[str, Served]) -> Rows | None:
        """Return what a former model is known to answer, where the one that is live answers the same.

        Nothing can then show the switch. Elsewhere changed answers do, also if the experiment around the model
        was published again since.
        """
        known = self.entries.known_answers(entry)
        alike = known and all(same_answers(known, each.answers, ALIKE) for each in served.values())
        return known if alike else None

    def _how_it_came_to_be_live(self) -> str:
        if self.held.champion.live is None:
            return "published by hand, before this app's first change"
        if any(self.models.identify(each.model()) is None for each in self.endpoints.values()):
            return "published by hand: this app has not made it live"
        return "deployed by somebody else: a model that this app had kept"

    def _record_live(self) -> None:
        """Keep the models that are live, so that they can be put back, and note what others deployed."""
        champion = self.held.champion
        models: dict[str, Model] = {}
        seen = self.seen or look(self.models, self.endpoints, champion)
        for (name, each), reference in zip(self.endpoints.items(), seen.references, strict=True):
            # What this run has just looked up, it need not look up again.
            known = [*seen.kept, *models.values()]
            models[name] = live_model(self.models, self.reader, name, each, known, reference)
        if champion.live and champion.live.models == models:
            return
        entry = HistoryEntry(
            **self.entries.facts(Action.FOUND, self._how_it_came_to_be_live()),
            previous=champion.live.number if champion.live else None,
            models=models,
        )
        self.held.renew()  # before the history is written: what was read may be of another time
        self.held.save(self.records.champions.append(champion, entry))


def wanted(job: RetrainingJob, request: Request) -> bool:
    """Return whether the message is more than a second delivery about a job that is done with."""
    if job.state in (JobState.ACCEPTED, JobState.STAGING, JobState.PROMOTING):
        return True
    if request.by and job.state in (JobState.JUDGING, JobState.AWAITING):
        hint = "approve it instead" if job.state is JobState.AWAITING else "wait for the verdict"
        raise BadMessage(f"Job {job.id} is {job.state.value}; {hint}")
    if job.model is None:
        raise BadMessage(f"Job {job.id} is {job.state.value} and has no model to promote")
    return request.by is not None and job.final


def ends_a_change(request: Request) -> bool:
    """Return whether the end of a change that is under way is all that a person asks for: a rollback without a place.

    The bake asks for the rollback of the live model, not of the one that the calls go over to.
    """
    plain = request.to is None and request.model is None
    return request.action is Command.ROLLBACK and plain and request.by != BY
