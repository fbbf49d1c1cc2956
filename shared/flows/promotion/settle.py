"""Takes a recorded change of models to its end: proven, or reverted and the revert proven.

The outcome is written on the job first, then the champion's record is settled, and the marks are deleted last: the
poll resumes every change that has one.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.errors import Busy, RecordChanged, RetrainingError, TryLater
from shared.domain.champions import Action, Champion, Change, Phase, ProofAnswers, Watch
from shared.domain.jobs import SWITCHED, JobState, RetrainingJob
from shared.domain.messages import Request
from shared.domain.proof_rows import first
from shared.flows.promotion.before import Served
from shared.flows.promotion.held_run import Run
from shared.flows.promotion.sharing import Later, Sharing
from shared.flows.promotion.switch import Made, Switch
from shared.store.answers import digest_of
from shared.store.shelf import Stored

log = logging.getLogger("relearn.promotion")

PATIENCE = timedelta(minutes=15)  #: how long an update is tried again before it is reverted


@dataclass(frozen=True)
class Settlement(Run):
    switch: Switch
    sharing: Sharing

    def finish(
        self, change: Change, served: Mapping[str, Served] | None = None, stored: Stored[RetrainingJob] | None = None
    ) -> None:
        """Take the change to its end: proven, or reverted and the revert proven.

        The run that has just begun it gives what the endpoints `served` then, and the job as it has read it.
        """
        if stored is None and change.request_id == change.entry.job:
            stored = self.records.jobs.require(change.request_id)
        if stored and stored.record.final and stored.record.state not in SWITCHED:
            # It was cancelled before it became `promoting`, and so before any endpoint was touched.
            self._settle(change.request_id, stored, self.held.champion)
            return
        if stored and stored.record.state in (JobState.ACCEPTED, JobState.STAGING):
            note = "live until now: " + ", ".join(f"{name} {m.sha256[:12]}" for name, m in change.before.items())
            # The poll goes on waiting before it asks again: this run is on it.
            job = stored.record.move_to(JobState.PROMOTING, self.now(), note, not_before=stored.record.not_before)
            stored = self.records.jobs.save(stored, job)
        if change.phase is not Phase.REVERTING:
            made = self._made(change, fresh=served is not None)
            if isinstance(made, Later):
                self.look_again(made)
                return
            change = self._under_way
            if isinstance(made, Made):
                # Proven is proven: an error from here on, however long, reverts nothing.
                self._settle_proven(change, self._newest(stored), made, served or {})
                return
            log.error("Pipeline %s: the former models are put back: %s", self.pipeline.name, made)
            change = reverting(change, made, self.now())
            self.held.save(self.held.champion.replace(change=change))
        reverted = self.sharing.revert(change, change.traffic) if change.traffic else self.switch.revert(change)
        if isinstance(reverted, Later):
            self.look_again(reverted)
            return
        self._settle_reverted(change, self._newest(stored), reverted)

    @property
    def _under_way(self) -> Change:
        assert self.held.champion.change is not None, "a change is finished once it is recorded"
        return self.held.champion.change

    def look_again(self, later: Later) -> None:
        """Have the poll bring the next look; the record is given back until then."""
        self.records.champions.mark_change(self.pipeline.name, self.now() + timedelta(seconds=later.seconds))

    def _newest(self, stored: Stored[RetrainingJob] | None) -> Stored[RetrainingJob] | None:
        """Return the job with the steps that the shares of the calls have made."""
        staged = stored and self._under_way.traffic
        return self.records.jobs.require(stored.record.id) if stored and staged else stored

    def _made(self, change: Change, *, fresh: bool) -> Made | Later | str:
        """Switch the endpoints, or take the switch one look further; return the proof, or the reason to revert."""
        try:
            if change.traffic:
                return self.sharing.look(change, change.traffic)
            return self.switch.make(change, fresh=fresh)
        except (Busy, RecordChanged):
            raise
        except RetrainingError as error:
            if isinstance(error, TryLater) and self._may_be_tried_again():
                raise
            return str(error)

    def _may_be_tried_again(self) -> bool:
        change = self._under_way
        if change.traffic is None:
            return self.now() - change.begun < PATIENCE
        if change.phase is Phase.STAGING:
            return (self.now() - change.begun).total_seconds() < self.pipeline.training.patience
        return change.traffic.given or self.now() - change.traffic.since < PATIENCE

    def _settle_proven(
        self, change: Change, stored: Stored[RetrainingJob] | None, made: Made, served: Mapping[str, Served]
    ) -> None:
        # Before the history is written: a run that was overtaken must not. The look at a switch has just renewed it.
        (self.held.renew if change.traffic else self.held.keep)()
        entry = msgspec.structs.replace(change.entry, proof=made.proof, answered=self._answered(change, made))
        if change.traffic:
            steps = change.traffic.steps
            facts = {"at": steps[-1].at, "traffic": steps, "served_by": self.sharing.served_by(change)}
            entry = msgspec.structs.replace(entry, **facts)
        champion = self.records.champions.append(self.held.champion, entry)
        proofs = "; ".join(f"{name} {proof.text}" for name, proof in made.proof.items())
        outcome = f"entry {champion.last} of the history; {proofs}"
        self.end(change.request_id, stored, JobState.PROMOTED, outcome, change.asked)
        self._watch(change, champion, made, served)
        if change.traffic:
            self.sharing.keep_the_former(change)
        self._settle(change.request_id, stored, champion.having_promoted(stored.record) if stored else champion)

    def _answered(self, change: Change, made: Made) -> ProofAnswers | None:
        """Return what the model answers for the kept rows; None where each target has one of its own."""
        rows, names = self.pipeline.rows, list(made.answers)
        if len({*change.entry.models.values()}) > 1 or change.rows.values[: len(rows.values)] != rows.values:
            return None
        return ProofAnswers(rows=digest_of(rows), answers=first(made.answers[names[0]], len(rows.values)))

    def _watch(self, change: Change, champion: Champion, made: Made, served: Mapping[str, Served]) -> None:
        """Have what is live now looked at for the bake time, and while a run that was overtaken may come late."""
        now = self.now()
        bake = timedelta(seconds=self.pipeline.bake.time if self.pipeline.bake else 0)
        until = max([now + bake, *(late_write.until for late_write in champion.late_writes)])
        if until > now:
            watch = Watch(
                entry=champion.last,
                begun=now,
                until=until,
                rows=change.rows,
                answers=made.answers,
                seconds={name: each.seconds for name, each in served.items()},
                former=change.before if change.traffic else {},
            )
            self.records.watches.put(self.pipeline.name, watch)

    def settle_unchanged(self, request_id: str, stored: Stored[RetrainingJob] | None, request: Request) -> None:
        self.end(request_id, stored, JobState.PROMOTED, "this very model is live already", request)
        champion = self.held.champion
        self._settle(request_id, stored, champion.having_promoted(stored.record) if stored else champion)

    def settle_ended(self, request_id: str, request: Request) -> None:
        """Settle a request that asked for the end of a change, which has ended."""
        live = self.held.champion.live
        assert live is not None, "what is live is recorded before anything is changed"
        outcome = f"the change is ended, and entry {live.number} is live"
        self.end(request_id, None, JobState.PROMOTED, outcome, request)
        self._settle(request_id, None, self.held.champion)

    def settle_refused(self, request_id: str, reason: str, request: Request) -> None:
        self.note(request_id, f"refused: {reason}", request)
        self._settle(request_id, None, self.held.champion)

    def _settle_reverted(self, change: Change, stored: Stored[RetrainingJob] | None, how_sure: str) -> None:
        again = "is live again" if change.traffic is None or change.traffic.former else "stayed live"
        reason = f"{change.reason}; the former model {again}, and {how_sure}"
        champion = self.held.champion
        if champion.live and self.records.champions.entry(self.pipeline.name, champion.last + 1):
            # A run proved the switch, wrote its entry and died; it was live for a while.
            facts = {"at": self.now(), "action": Action.REVERTED, "reason": reason, "traffic": ()}
            entry = msgspec.structs.replace(champion.live, **facts)
            champion = self.records.champions.append(champion, entry)
        self.end(change.request_id, stored, JobState.REVERTED, reason, change.asked)
        self.watch_late_writes(champion)
        self._settle(change.request_id, stored, champion)

    def watch_late_writes(self, champion: Champion) -> None:
        """Have the endpoints looked at while a run that was overtaken may come late, unless they are already."""
        if champion.late_writes and self.records.watches.load(self.pipeline.name) is None:
            until = max(late_write.until for late_write in champion.late_writes)
            watch = Watch(entry=champion.last, begun=self.now(), until=until, rows=self.pipeline.rows)
            self.records.watches.put(self.pipeline.name, watch)

    def end(
        self,
        request_id: str,
        stored: Stored[RetrainingJob] | None,
        state: JobState,
        reason: str,
        request: Request | None,
    ) -> None:
        """Write the outcome on the job, or under the request that a person sent."""
        if stored is None:
            outcome = f"{'done' if state is JobState.PROMOTED else 'not done'}: {reason}"
            self.note(request_id, outcome, request)
            log.info("Pipeline %s, request %s is %s", self.pipeline.name, request_id, outcome)
        elif not stored.record.final:
            self.save(stored, stored.record.end(state, self.now(), reason, telling=None))

    def _settle(self, request_id: str, stored: Stored[RetrainingJob] | None, champion: Champion) -> None:
        """Clear the change. Delete its mark last, because the poll resumes every change that has a mark."""
        change = self.held.champion.change
        self.held.save(champion.settle(request_id))
        if stored:
            self.held.last_of_all.append(lambda: self.records.jobs.close(stored.record))
        if (stored is None or (change and change.traffic)) and champion.waiting is None:
            self.records.champions.unmark_change(self.pipeline.name)

    def save(self, stored: Stored[RetrainingJob], job: RetrainingJob) -> None:
        self.records.jobs.save(stored, job)
        log.info("Job %s is %s: %s", job.id, job.state.value, job.reason)


def reverting(change: Change, reason: str, now: datetime) -> Change:
    """Return the change as a revert."""
    traffic = change.traffic and msgspec.structs.replace(change.traffic, since=now, look_at=None)
    return msgspec.structs.replace(change, phase=Phase.REVERTING, reason=reason, traffic=traffic)
