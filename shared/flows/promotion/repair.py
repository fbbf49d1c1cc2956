"""Gives an endpoint the live model back: after a late write of an overtaken run, or where a person asks for it because
somebody else gave calls to other models.

The repair is in the champion's record until it is proven. A look never waits: it writes to the endpoint, looks at it
once, and has the poll bring the next look.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from shared.domain.champions import Action, Champion, HistoryEntry, LateWrite, Repair
from shared.domain.jobs import JobState, Model
from shared.domain.messages import Command, Request
from shared.domain.ports import Endpoints
from shared.domain.rows import Rows
from shared.domain.sharing import given_calls, shown
from shared.flows.live import served_model
from shared.flows.promotion.entries import EntryPlanner, reason_of
from shared.flows.promotion.held_run import Run
from shared.flows.promotion.settle import Settlement
from shared.flows.promotion.sharing import Later, given_back
from shared.flows.promotion.switch import Switch

log = logging.getLogger("relearn.promotion")

LATE_WRITES_FOR = timedelta(hours=1)  #: how long a run that was overtaken is reckoned with
IN_CASE = Later(120.0)  #: the poll brings the next look if this one dies
PATIENCE = timedelta(minutes=30)  #: somebody may have deleted the deployment, and another one takes its time
SOON = 5.0  #: seconds until a proof is looked for again


@dataclass(frozen=True)
class LateWriteRepair(Run):
    switch: Switch
    settlement: Settlement
    entries: EntryPlanner

    def look(self) -> None:
        """Begin the repair of a late write if there is one, or take the repair under way one look further."""
        held, live = self.held, self.held.champion.live
        repair = held.champion.repair or (self._begun(live) if live else None)
        if live is None or repair is None:
            return
        seconds, doubts = 0.0, list[str]()
        for name in repair.targets:
            if name in self.endpoints:
                after, doubt = self._given(name, live.models[name], self.entries.known_answers(live))
                seconds, doubts = max(seconds, after), [*doubts, *filter(None, [doubt])]
        patience = max(PATIENCE, timedelta(seconds=self.switch.timeout))
        if doubts and self.now() - repair.begun < patience:
            self.settlement.look_again(Later(seconds))
            return
        self._ended(live, repair, f"; it is not proven after {patience}: {'; '.join(doubts)}" if doubts else "")

    def restores(self, request: Request, request_id: str) -> bool:
        """Give all calls back to the live model if a person names its entry; return whether others have any."""
        champion = self.held.champion
        live = champion.live
        if live is None or request.action is not Command.ROLLBACK or request.to != live.number:
            return False
        if request_id in champion.settled or request.live not in (None, live.number):
            return False
        taken = taken_calls(live, self.endpoints)
        if not taken:
            return False
        back = f"all calls are given back to entry {live.number}"
        why = reason_of(f"{back}; somebody else had changed the shares: {'; '.join(taken.values())}", request)
        targets = tuple(taken)
        repair = Repair(begun=self.now(), reason=why, targets=targets, request_id=request_id, asked=request)
        self._record(repair, champion)
        outcome = f"under way: {back}; the app's timer goes on with it"
        self.note(request_id, outcome, request)
        self.look()
        return True

    def _record(self, repair: Repair, champion: Champion) -> None:
        log.error("Pipeline %s: %s", champion.pipeline, repair.reason)
        self.settlement.look_again(IN_CASE)
        self.held.save(champion.replace(repair=repair))

    def _begun(self, live: HistoryEntry) -> Repair | None:
        """Record the repair of what overtaken runs have written late, or return None where there is nothing of it."""
        held, now, found = self.held, self.now(), dict[str, Model]()
        late_writes = {late_write.sha256 for late_write in held.champion.late_writes}
        for name, endpoint in self.endpoints.items() if late_writes else ():
            right = live.models.get(name)
            there = right and served_model(self.models, endpoint, right)
            if there and there != right and there.sha256 in late_writes:
                found[name] = there
        if not found:
            return None
        written = ", ".join(f"{name} was given {there.sha256[:12]}" for name, there in found.items())
        repair = Repair(begun=now, reason=f"{written} by a run that had been overtaken", targets=tuple(found))
        # This run may be overtaken in its turn, after a model that is newer than this one.
        until = now + LATE_WRITES_FOR
        own = [LateWrite(sha256=sha256, until=until) for sha256 in sorted({live.models[name].sha256 for name in found})]
        self._record(repair, held.champion.replace(late_writes=(*held.champion.late_writes, *own)))
        return repair

    def _given(self, name: str, model: Model, answers: Rows | None) -> tuple[float, str | None]:
        """Give the endpoint the model if it has another; return what speaks against it, and when to look again."""
        endpoint, link = self.endpoints[name], self.switch.link(model)
        self.switch.keep()
        if endpoint.staging:
            if pending := given_back(endpoint.staging, model, {model.sha256: 100}):
                return pending.after, f"{name} has not taken its former shares"
        elif endpoint.model().address != link.address:
            endpoint.update(link, self.switch.wait)
        doubt = self.switch.doubt_of(name, model, self.pipeline.rows, answers)
        return SOON, doubt and f"{name}: {doubt}"

    def _ended(self, live: HistoryEntry, repair: Repair, doubt: str) -> None:
        held, records = self.held, self.records
        held.renew()  # before the history is written: a run that was overtaken must not
        facts = {"at": self.now(), "action": Action.REVERTED, "reason": repair.reason + doubt, "traffic": ()}
        entry = msgspec.structs.replace(live, **facts, by=repair.asked_by or live.by)
        champion = records.champions.append(held.champion, entry).replace(repair=None)
        if repair.request_id:
            state = JobState.REVERTED if doubt else JobState.PROMOTED
            outcome = f"entry {champion.last} of the history{doubt}"
            self.settlement.end(repair.request_id, None, state, outcome, repair.asked)
            champion = champion.settle(repair.request_id)
        held.save(champion)
        self.settlement.watch_late_writes(held.champion)


def taken_calls(live: HistoryEntry, endpoints: Endpoints) -> dict[str, str]:
    """Return the shares, as a text, of each target where the live model does not get all calls."""
    taken: dict[str, str] = {}
    for name, right in live.models.items():
        staging = endpoints[name].staging if name in endpoints else None
        shares = given_calls(staging.shares().of) if staging else None
        if shares is not None and shares != {right.sha256: 100}:
            taken[name] = f"{name}: {shown(shares)}"
    return taken
