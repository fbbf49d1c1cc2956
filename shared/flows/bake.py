"""The flow of the bake: what was made live is looked at until its time is over, and a regression asks for a rollback.

A look only reads the endpoints; whatever is to be changed is asked of the promotion queue, which has the fence and the
proof. A watch also finds what a run that was overtaken wrote late, and has it repaired.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from shared.base.budgets import BAKE_SECONDS
from shared.base.errors import RetrainingError
from shared.base.guard import guarded
from shared.domain.bake import ASK_AGAIN, ASKS, BY, after_look, asking, next_look, regression
from shared.domain.champions import Action, Champion, HistoryEntry, Watch
from shared.domain.deployments import is_staged
from shared.domain.jobs import Model
from shared.domain.messages import Command, Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints, Models
from shared.domain.proof_rows import ALIKE, same_answers
from shared.domain.services import BakeSettings
from shared.flows.live import served_model
from shared.flows.side_by_side import compared
from shared.store import Records
from shared.store.shelf import Stored

log = logging.getLogger("relearn.bake")

LOOKS = 2  #: times as often as in a step of the traffic both models are looked at, where both are deployed


@dataclass(frozen=True)
class Bake:
    pipelines: Mapping[str, Pipeline]
    records: Records
    models: Models
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]

    def poll(self, watched: Sequence[str] | None = None) -> list[Request]:
        """Check every watched pipeline once; return the requests for the promotion queue."""
        begun, names = self.now(), list(self.records.marks().watches if watched is None else watched)
        random.shuffle(names)  # where the time is too short for all, each has its turn
        requests = []
        for name in names:
            if (self.now() - begun).total_seconds() > BAKE_SECONDS:
                log.warning("One poll was too short to check all of the %d watched pipelines", len(names))
                break
            if request := self._look_at(name):
                requests.append(request)
        return requests

    def _look_at(self, name: str) -> Request | None:
        def look() -> Request | None:
            stored = self.records.watches.load(name)
            return self._look(name, stored) if stored else None

        return guarded(look, None, f"The look at pipeline {name}", log)

    def _look(self, name: str, stored: Stored[Watch]) -> Request | None:
        champion, pipeline = self.records.champions.load(name), self.pipelines.get(name)
        if champion.change:
            return None  # the endpoints may have either model until a run has finished it
        entry = self._watched_entry(champion, stored.record)
        if pipeline is None or entry is None or champion.live is None:
            self.records.watches.end(stored)
            return None
        endpoints, watch, now = self.endpoints(pipeline), stored.record, self.now()
        if watch.look_at and watch.look_at > now:
            return None
        late_writes = {late_write.sha256 for late_write in champion.late_writes if late_write.until > now}
        others = self._others(endpoints, entry)
        if any(there and there.sha256 in late_writes for there in others.values()):
            return self._repaired(name, stored)
        # Whoever promotes is watched; a rollback was wanted, and another one on top of it could go on for ever.
        bake = pipeline.bake if entry.action is Action.PROMOTED else None
        if others:
            note = f"somebody else deployed a model on {', '.join(others)}, which ends the bake of entry {entry.number}"
            if is_staged(endpoints):
                note += f"; rollback {name} --to {champion.live.number} gives all calls back"
            self._end(stored, entry, note if bake else "")
            return None
        if bake:
            watch = self._looked_at(endpoints, watch, entry, bake)
        if bake and (why := regression(watch, bake)):
            return self._regressed(name, stored, watch, entry, champion.live.number, why)
        if now >= watch.until and not late_writes and not watch.failed:
            passed = f"the bake of entry {entry.number} is passed: all is well after {watch.looks} looks"
            self._end(stored, entry, passed if bake else "")
        elif watch is not stored.record:
            self.records.watches.save(stored, watch)
        return None

    def _watched_entry(self, champion: Champion, watch: Watch) -> HistoryEntry | None:
        """Return the entry that the watch is about, or None once another one is live."""
        live = champion.live
        if live is None or live.number == watch.entry:
            return live
        entry = self.records.champions.entry(champion.pipeline, watch.entry)
        # What was written late has been repaired, which is its own entry.
        return entry if entry and live.action is Action.REVERTED and live.models == entry.models else None

    def _others(self, endpoints: Endpoints, entry: HistoryEntry) -> dict[str, Model | None]:
        """Return what the endpoints name instead of the entry's models. An endpoint that does not name one is left out.

        A definition that cannot be read says nothing about how the model serves; the scoring does.
        """
        others = {}
        for name, right in entry.models.items():
            if name not in endpoints:
                continue
            try:
                there = served_model(self.models, endpoints[name], right)
            except RetrainingError as error:
                log.warning("What is live on %s cannot be seen: %s", name, error)
                continue
            if there != right:
                others[name] = there
        return others

    def _looked_at(self, endpoints: Endpoints, watch: Watch, entry: HistoryEntry, bake: BakeSettings) -> Watch:
        """Return the watch after one look: at both models, as long as the former one is deployed too."""
        if not watch.former:
            return self._scored(endpoints, watch)
        watch = compared(endpoints, watch, entry.models, self.now)
        return msgspec.structs.replace(watch, look_at=next_look(watch, self.now(), bake.time / LOOKS))

    def _scored(self, endpoints: Endpoints, watch: Watch) -> Watch:
        """Score the watch's rows once on each endpoint."""
        troubles, seconds = [], {}
        for name, right in watch.answers.items():
            if name not in endpoints:
                continue
            begun = self.now()
            try:
                answers = endpoints[name].score(watch.rows)
            except RetrainingError as error:
                troubles.append(str(error))
                continue
            seconds[name] = (self.now() - begun).total_seconds()
            if not same_answers(right, answers, ALIKE):
                troubles.append(f"the answers of {name} to the kept rows are not those of the model any more")
        return after_look(watch, "; ".join(troubles), seconds)

    def _repaired(self, name: str, stored: Stored[Watch]) -> Request | None:
        """Have a run that holds the record repair what was written late."""
        now = self.now()
        if stored.record.not_before and stored.record.not_before > now:
            return None
        self.records.watches.save(stored, msgspec.structs.replace(stored.record, not_before=now + ASK_AGAIN))
        return Request(pipeline=name, action=Command.RESUME)

    def _regressed(
        self, name: str, stored: Stored[Watch], watch: Watch, entry: HistoryEntry, live: int, why: str
    ) -> Request | None:
        """Ask for the rollback when it is time to; give up once it was asked for in vain too often."""
        now = self.now()
        if watch.not_before and watch.not_before > now:
            self.records.watches.save(stored, watch)
            return None
        if watch.asked == ASKS:
            note = f"the bake asked {ASKS} times for a rollback, and entry {live} is still live (see requests/): {why}"
            log.error("Pipeline %s: %s", name, note)
            self._end(stored, entry, note)
            return None
        if not watch.asked:
            self._note(entry, f"the bake asks for a rollback: {why}")
        self.records.watches.save(stored, asking(watch, now))
        log.error("Pipeline %s: the bake of entry %d asks for a rollback: %s", name, live, why)
        return Request(pipeline=name, action=Command.ROLLBACK, by=BY, reason=why, live=live)

    def _end(self, stored: Stored[Watch], entry: HistoryEntry, note: str) -> None:
        if note:
            self._note(entry, note)
        self.records.watches.end(stored)

    def _note(self, entry: HistoryEntry, note: str) -> None:
        """Note it on the record of the promoted job, once."""
        stored = self.records.jobs.load(entry.job) if entry.job else None
        if stored and note not in (step.note for step in stored.record.steps):
            self.records.jobs.save(stored, stored.record.noting(self.now(), note))
            log.info("Job %s: %s", stored.record.id, note)
