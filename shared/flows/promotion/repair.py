"""Corrects a late write: an endpoint to which an overtaken run gave its own model gets the live model back.

The repair is in the champion's record until it is proven. A look never waits: it writes to the endpoint, looks at it
once, and has the poll bring the next look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.domain.champions import Action, HistoryEntry, LateWrite, Repair
from shared.domain.jobs import Model
from shared.domain.ports import Endpoints, Models
from shared.domain.rows import Rows
from shared.flows.live import served_model
from shared.flows.promotion.settle import PATIENCE, Settlement
from shared.flows.promotion.sharing import Later, given_back
from shared.flows.promotion.switch import Switch

log = logging.getLogger("relearn.promotion")

LATE_WRITES_FOR = timedelta(hours=1)  #: how long a run that was overtaken is reckoned with
IN_CASE = Later(120.0)  #: the poll brings the next look if this one dies
SOON = 5.0  #: seconds until a proof is looked for again


@dataclass(frozen=True)
class LateWriteRepair:
    """For one run that holds one pipeline's champion record.

    `answers` returns what the model of an entry answers for the `rows`, where that is known.
    """

    settlement: Settlement
    models: Models
    endpoints: Endpoints
    switch: Switch
    rows: Rows
    answers: Callable[[HistoryEntry], Rows | None]
    now: Callable[[], datetime]

    def look(self) -> None:
        """Begin the repair of a late write if there is one, or take the repair under way one look further."""
        held, live = self.settlement.held, self.settlement.held.champion.live
        repair = held.champion.repair or (self._begun(live) if live else None)
        if live is None or repair is None:
            return
        seconds, doubts = 0.0, list[str]()
        for name in repair.targets:
            if name in self.endpoints:
                after, doubt = self._given(name, live.models[name], self.answers(live))
                seconds, doubts = max(seconds, after), [*doubts, *filter(None, [doubt])]
        patience = max(PATIENCE, timedelta(seconds=self.switch.timeout))
        if doubts and self.now() - repair.begun < patience:
            self.settlement.look_again(Later(seconds))
            return
        reason = repair.reason + (f"; the repair is not proven after {patience}: {'; '.join(doubts)}" if doubts else "")
        self._ended(live, reason)

    def _begun(self, live: HistoryEntry) -> Repair | None:
        """Record the repair of what overtaken runs have written late, or return None where there is nothing of it."""
        held, now, found = self.settlement.held, self.now(), dict[str, Model]()
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
        log.error("Pipeline %s: %s", held.champion.pipeline, repair.reason)
        # This run may be overtaken in its turn, after a model that is newer than this one.
        until = now + LATE_WRITES_FOR
        own = [LateWrite(sha256=sha256, until=until) for sha256 in sorted({live.models[name].sha256 for name in found})]
        self.settlement.look_again(IN_CASE)
        held.save(held.champion.replace(repair=repair, late_writes=(*held.champion.late_writes, *own)))
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
        doubt = self.switch.doubt_of(name, model, self.rows, answers)
        return SOON, doubt and f"{name}: {doubt}"

    def _ended(self, live: HistoryEntry, reason: str) -> None:
        held, records = self.settlement.held, self.settlement.records
        held.renew()  # before the history is written: a run that was overtaken must not
        facts = {"at": self.now(), "action": Action.REVERTED, "reason": reason, "traffic": ()}
        entry = msgspec.structs.replace(live, **facts)
        held.save(records.champions.append(held.champion, entry).replace(repair=None))
        self.settlement.watch_late_writes(held.champion)
