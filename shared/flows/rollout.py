"""The flow of a rollout: a fleet's accepted models go live, or go back, in waves that stop when too many fail.

A promotion is asked for by releasing the member's job, which the poll then has promoted as any other; a rollback by a
message for each member, under its own id. The members to ask are recorded before they are asked, and outcomes are
read from their own records. Members without an outcome are asked again, because a run may die anywhere.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.base.errors import BadConfiguration, BadMessage, RecordChanged
from shared.base.guard import guarded
from shared.base.threads import at_once
from shared.domain.fleets import Fleet, Pipelines
from shared.domain.jobs import WELL, JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.rollouts import Member, MemberState, Rollout, RolloutState
from shared.store import Records
from shared.store.shelf import Stored

log = logging.getLogger("relearn.rollout")

_MEMBER_STATE = {
    JobState.PROMOTED: MemberState.PROMOTED,
    JobState.REVERTED: MemberState.ROLLED_BACK,
    JobState.SUPERSEDED: MemberState.SUPERSEDED,
    JobState.REJECTED: MemberState.LEFT_OUT,
    JobState.CANCELLED: MemberState.LEFT_OUT,
    JobState.FAILED: MemberState.FAILED,
    JobState.TIMED_OUT: MemberState.FAILED,
}


@dataclass(frozen=True)
class Rollouts:
    pipelines: Pipelines
    records: Records
    now: Callable[[], datetime]

    def ask(self, request: Request, request_id: str) -> str:
        """Begin a rollout, stop it or go on with it, once for each request; return what became of it."""
        fleet = self.pipelines.fleets[request.pipeline]
        latest = self.records.rollouts.latest(fleet.name)
        if latest and request_id in (latest.record.request_id, *latest.record.resumed):
            return self._marked(latest.record)  # a second delivery: the first may have died before it could
        match request.action:
            case Command.RESUME:
                stored = self._resumed(fleet, latest, request_id)
            case Command.CANCEL:
                stored = self._stopped(fleet, latest, request)
            case _:
                stored = self._begun(fleet, latest, request, request_id)
        return self._marked(stored.record)

    def advance(self, running: Sequence[str] | None = None) -> list[Request]:
        """Take every running rollout as far as it goes; return what is to be asked of the promotion queue."""
        fleets = self.records.marks().rollouts if running is None else running
        return [request for fleet in fleets for request in self._guarded(fleet)]

    def _guarded(self, fleet: str) -> list[Request]:
        return guarded(lambda: self._advance(fleet), [], f"The rollout of {fleet}", log)

    def _advance(self, fleet: str) -> list[Request]:
        stored = self.records.rollouts.latest(fleet)
        if stored is None or stored.record.state is not RolloutState.RUNNING:
            self.records.rollouts.unmark(fleet)
            return []
        rollout, now = stored.record, self.now()
        looked_at = at_once(lambda member: self._looked_at_alone(stored.record, member), rollout.asked)
        rollout = rollout.having({member.pipeline: member for member in looked_at})
        unanswered = [member for member in rollout.asked if member.ask_again is None or member.ask_again <= now]
        rollout = rollout.having({member.pipeline: member.asked(now) for member in unanswered}).gone_on(now)
        if rollout != stored.record:
            self.records.rollouts.save(stored, rollout)
        before = {member.pipeline: member for member in stored.record.members}
        asked = [member for member in rollout.asked if member != before[member.pipeline]]
        requests = [request for request in at_once(lambda member: self._asked(rollout, member), asked) if request]
        if rollout.state is not RolloutState.RUNNING:
            log.info("%s", rollout.text)
            self.records.rollouts.unmark(fleet)
        return requests

    def _begun(
        self, fleet: Fleet, latest: Stored[Rollout] | None, request: Request, request_id: str
    ) -> Stored[Rollout]:
        if latest and latest.record.state is RolloutState.RUNNING:
            self._marked(latest.record)
            raise BadMessage(f"{latest.record.text}; let it end, or stop it: send the action cancel for {fleet.name}")
        members = list(self._to_promote(fleet) if request.action is Command.PROMOTE else self._to_roll_back(fleet))
        if not members:
            what = (
                "accepted job that waits" if request.action is Command.PROMOTE else "member with a model to go back to"
            )
            raise BadMessage(f"Fleet {fleet.name} has no {what} for a rollout")
        assert request.by is not None, "a message for a fleet says who asks"
        rollout = Rollout(
            fleet=fleet.name,
            number=latest.record.number + 1 if latest else 1,
            action=request.action,
            by=request.by,
            reason=request.reason,
            request_id=request_id,
            begun=self.now(),
            waves=fleet.plan.reaches(len(members)),
            failures_at_most=fleet.plan.failures(len(members)),
            at_once=fleet.plan.at_once,
            within=float(fleet.plan.within),
            members=tuple(sorted(members, key=lambda member: member.pipeline)),
        )
        stored = self.records.rollouts.begin(rollout)
        if stored is None:
            raise RecordChanged(f"Another rollout of {fleet.name} began at the same time")
        log.info("%s", rollout.text)
        return stored

    def _resumed(self, fleet: Fleet, latest: Stored[Rollout] | None, request_id: str) -> Stored[Rollout]:
        latest = to_resume(fleet.name, latest)
        if latest.record.state is RolloutState.RUNNING and not latest.record.stop_reason:
            return latest
        return self.records.rollouts.save(latest, latest.record.resumed_by(request_id))

    def _stopped(self, fleet: Fleet, latest: Stored[Rollout] | None, request: Request) -> Stored[Rollout]:
        latest = to_stop(fleet.name, latest)
        stop = f"stopped by {request.by}" + (f": {request.reason}" if request.reason else "")
        return self.records.rollouts.save(latest, latest.record.replace(stop_reason=stop))

    def _marked(self, rollout: Rollout) -> str:
        if rollout.state is RolloutState.RUNNING:
            self.records.rollouts.mark(rollout.fleet)
        return rollout.text

    def _to_promote(self, fleet: Fleet) -> Iterator[Member]:
        """Yield each member's newest accepted job; those that newer data was there for are done with."""
        newest: dict[str, Stored[RetrainingJob]] = {}
        parked = self.records.jobs.parked(fleet.name)
        for job_id, stored in zip(parked, at_once(self.records.jobs.load, parked), strict=True):
            if stored is None or stored.record.state is not JobState.ACCEPTED:
                self.records.jobs.unpark(fleet.name, job_id)  # promoted or cancelled by hand meanwhile
                continue
            other = newest.get(stored.record.pipeline)
            older = min([stored, *([other] if other else [])], key=lambda each: each.record.order)
            if other:
                self._supersede(fleet, older)
            if other is None or older is other:
                newest[stored.record.pipeline] = stored
        for pipeline in self.pipelines.of_fleet(fleet.name, newest):
            yield Member(pipeline=pipeline.name, job=newest[pipeline.name].record.id)

    def _supersede(self, fleet: Fleet, stored: Stored[RetrainingJob]) -> None:
        reason = "A model of newer data waits for the rollout too"
        self.records.jobs.save(stored, stored.record.end(JobState.SUPERSEDED, self.now(), reason))
        self.records.jobs.unpark(fleet.name, stored.record.id)

    def _to_roll_back(self, fleet: Fleet) -> Iterator[Member]:
        """Yield the members that serve what the last rollout promoted; without one, all that have a former model."""
        rollouts = (stored.record for stored in self.records.rollouts.all(fleet.name))
        last = next((each for each in rollouts if each.action is Command.PROMOTE), None)
        promoted = {member.pipeline: member.job for member in last.members} if last else {}
        for champion in at_once(self.records.champions.load, promoted or self.pipelines.members(fleet.name)):
            live, name = champion.live, champion.pipeline
            if live and live.previous and (not promoted or live.job == promoted[name]):
                yield Member(pipeline=name, live=live.number)

    def _asked(self, rollout: Rollout, member: Member) -> Request | None:
        """Ask for the member's change, which may have been asked for before."""
        if member.job is None:
            return Request(
                pipeline=member.pipeline,
                action=Command.ROLLBACK,
                by=rollout.by,
                reason=rollout.reason,
                live=member.live,
                id=rollout.request_id_of(member),
            )
        stored = self.records.jobs.require(member.job)
        if not stored.record.final:
            self.records.jobs.announce(stored.record)
            if stored.record.rollout != rollout.id:
                note = f"{rollout.id} asks for it, begun by {rollout.by}"
                with suppress(RecordChanged):  # it is asked again
                    self.records.jobs.save(stored, stored.record.noting(self.now(), note, rollout=rollout.id))
            self.records.jobs.unpark(rollout.fleet, member.job)
        return None

    def _looked_at_alone(self, rollout: Rollout, member: Member) -> Member:
        """Return the member with its outcome; one whose record cannot be read fails without the others."""
        try:
            return self._looked_at(rollout, member)
        except BadConfiguration as error:
            return member.ended(MemberState.FAILED, str(error))

    def _looked_at(self, rollout: Rollout, member: Member) -> Member:
        """Return the member with its outcome, if it has one."""
        late = member.asked_at is not None and self.now() - member.asked_at > timedelta(seconds=rollout.within)
        if member.job is None:
            return self._rolled_back(rollout, member, late=late)
        stored = self.records.jobs.require(member.job)
        job = stored.record
        if state := _MEMBER_STATE.get(job.state):
            return member.ended(state, job.reason or job.steps[-1].note)
        if not late or job.state is JobState.PROMOTING:
            return member
        return self._taken_back(rollout, member, stored)

    def _rolled_back(self, rollout: Rollout, member: Member, *, late: bool) -> Member:
        request_id = rollout.request_id_of(member)
        word, _, reason = (self.records.requests.outcome(request_id) or "").partition(": ")
        if word == "done":
            return member.ended(MemberState.ROLLED_BACK, reason)
        if word in ("not done", "refused"):
            return member.ended(MemberState.FAILED, reason)
        if word == "failed" or late:
            change = self.records.champions.load(member.pipeline).change
            if change is None or change.request_id != request_id:
                return member.ended(MemberState.FAILED, reason or _too_late(rollout))
        return member

    def _taken_back(self, rollout: Rollout, member: Member, stored: Stored[RetrainingJob]) -> Member:
        """Have the job wait for another rollout; a run that is about to promote it finds that it was taken back."""
        reason = _too_late(rollout) + (f"; {stored.record.trouble}" if stored.record.trouble else "")
        try:
            self.records.jobs.save(stored, stored.record.noting(self.now(), reason, **WELL, rollout=None))
        except RecordChanged:
            return member
        return member.ended(MemberState.FAILED, reason)


def _too_late(rollout: Rollout) -> str:
    return f"no outcome within {rollout.within:.0f} s"


def to_resume(fleet: str, latest: Stored[Rollout] | None) -> Stored[Rollout]:
    """Return the rollout that goes on. Raises `BadMessage` if the fleet has none."""
    if latest is None or latest.record.state is RolloutState.DONE:
        raise BadMessage(f"Fleet {fleet} has no rollout to go on with")
    return latest


def to_stop(fleet: str, latest: Stored[Rollout] | None) -> Stored[Rollout]:
    """Return the rollout that can be stopped. Raises `BadMessage` where none is running."""
    if latest is None or latest.record.state is not RolloutState.RUNNING:
        raise BadMessage(f"No rollout of {fleet} is running")
    return latest
