"""What is removed, once a day: kept models that nothing needs and nobody touched for long, old notes of requests, and
what is in the container `batches` (copies.py).

Needed is what is live, what a rollback may go back to, what is being changed or judged, and what waits for a person. A
model that is about to be needed is touched first, and one that was touched since it was listed is not removed, so a
promotion that begins meanwhile finds its model there.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.base.threads import at_once
from shared.domain.champions import Champion, HistoryEntry
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints, KeptModel, Models, TrainingData
from shared.domain.values import read_duration
from shared.flows.copies import Copies
from shared.store import Records, Removal

log = logging.getLogger("relearn.retention")

REQUESTS_FOR = timedelta(days=30)  #: a message itself lives for a week at most
YOUNG = timedelta(days=1)  #: a model is there before the record that needs it


class KeepRule(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` of each history before the live one stay, and every other model for so long after its last use."""

    entries: int = 10
    unused: timedelta = timedelta(days=90)


def to_remove(kept: Iterable[KeptModel], needed: Set[str], now: datetime, rule: KeepRule) -> list[KeptModel]:
    """Return the models that nothing needs (`needed` has SHA-256s) and that are old enough."""
    long_ago = now - max(rule.unused, YOUNG)
    return [each for each in kept if each.touched < long_ago and each.model.sha256 not in needed]


@dataclass(frozen=True)
class Retention:
    pipelines: Mapping[str, Pipeline]
    records: Records
    data: TrainingData
    models: Models
    endpoints: Callable[[Pipeline], Endpoints]
    rule: KeepRule
    now: Callable[[], datetime]

    def run(self) -> list[str]:
        """Remove what may go; return the SHA-256s. Does nothing on a day on which a run has begun already.

        Raises what an endpoint raises that does not say which model is live: then nothing is removed.
        """
        now = self.now()
        stored = self.records.removals.create(f"{now:%Y-%m-%d}", Removal(at=now))
        if stored is None:
            return []
        self.records.requests.remove_before(now - REQUESTS_FOR)
        Copies(self.pipelines, self.records, self.data, self._entries).remove(now, max(self.rule.unused, YOUNG))
        self.models.remove_unfinished(now - YOUNG)
        # Listed before it is looked up what is needed: a model that is wanted from here on is touched.
        old = to_remove(self.models.listed(), frozenset(), now, self.rule)
        if not old:
            return []
        unneeded = to_remove(old, self._needed(), now, self.rule)
        self.records.removals.save(stored, Removal(at=now, models=tuple(each.model.sha256 for each in unneeded)))
        removed = []
        for each in unneeded:
            if self.models.remove(each):
                removed.append(each.model.sha256)
                log.info("Model %s is removed: nobody used it since %s", each.model.sha256, each.touched)
        return removed

    def _needed(self) -> frozenset[str]:
        changed = {*self.records.champions.pipelines()}
        jobs = (*self.records.jobs.active(), *self.records.jobs.parked())
        # The endpoint of a member of a fleet may not be there yet.
        pipelines = [each for each in self.pipelines.values() if not each.fleet or each.name in changed]
        return frozenset().union(
            *at_once(lambda name: frozenset(self._of_champion(self.records.champions.load(name))), changed),
            *at_once(lambda job_id: frozenset(self._of_job(job_id)), jobs),
            *at_once(lambda pipeline: frozenset(self._of_endpoints(pipeline)), pipelines),
        )

    def _of_job(self, job_id: str) -> Iterator[str]:
        if stored := self.records.jobs.load(job_id):
            yield from (each.sha256 for each in (stored.record.model,) if each)
            yield from (each.model for each in (stored.record.scoring,) if each)

    def _of_endpoints(self, pipeline: Pipeline) -> Iterator[str]:
        """Yield the models that are live: somebody may have deployed a kept one without this app."""
        found = (self.models.identify(endpoint.model()) for endpoint in self.endpoints(pipeline).values())
        yield from (live.sha256 for live in found if live)

    def _of_champion(self, champion: Champion) -> Iterator[str]:
        yield from (late_write.sha256 for late_write in champion.late_writes)
        for entry in self._entries(champion):
            yield from (model.sha256 for model in entry.models.values())

    def _entries(self, champion: Champion) -> Iterator[HistoryEntry]:
        """Yield the live and the planned entry, the one before, and those that further rollbacks would go back to."""
        if champion.change:
            yield champion.change.entry
        former = champion.live
        for number in range(max(1, champion.last - self.rule.entries), champion.last + 1):
            if entry := self.records.champions.entry(champion.pipeline, number):
                yield entry
        for _ in range(self.rule.entries + 1):
            if former is None:
                return
            yield former
            former = self.records.champions.entry(champion.pipeline, former.previous) if former.previous else None


def read_rule(settings: Settings) -> KeepRule:
    """Return the rule of the settings KEEP_MODELS and KEEP_MODELS_FOR, or raise `BadConfiguration`."""
    entries, unused = settings.get("KEEP_MODELS") or "10", settings.get("KEEP_MODELS_FOR") or "90d"
    if not re.fullmatch(r"[1-9]\d{0,3}", entries):
        raise BadConfiguration(f"Setting KEEP_MODELS is {entries!r}; write how many former models stay, from 1 to 9999")
    try:
        rule = KeepRule(entries=int(entries), unused=timedelta(seconds=read_duration(unused)))
    except ValueError as error:
        raise BadConfiguration(f"Setting KEEP_MODELS_FOR: {error}") from None
    if rule.unused < YOUNG:
        raise BadConfiguration(f"Setting KEEP_MODELS_FOR is {unused!r}; write 1d or more")
    return rule
