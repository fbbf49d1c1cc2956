"""Records one arrival, refuses it, ends it, or follows it to another version of its blob."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.base.errors import DataChanged, ServiceRefused
from shared.domain.arrivals import Arrival, ArrivalState, arrival_id, arrived
from shared.domain.checks import Fault, Report
from shared.domain.fleets import Pipelines
from shared.domain.jobs import Dataset
from shared.domain.pipelines import Pipeline
from shared.domain.ports import TrainingData
from shared.flows.quarantine import Quarantine
from shared.store import Records
from shared.store.shelf import Stored

log = logging.getLogger("relearn.intake")


@dataclass(frozen=True)
class Arrivals:
    pipelines: Pipelines
    records: Records
    data: TrainingData
    now: Callable[[], datetime]

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(arrivals=self.records.arrivals, data=self.data, now=self.now)

    def see(self, dataset: Dataset, replay: str = "") -> list[Arrival]:
        """Announce this version of the blob, once for each pipeline whose pattern it fits."""
        now, path = self.now(), dataset.path
        arrivals = [
            arrived(arrival_id(dataset, replay), each.name, dataset, now, marker=each.is_marker(path), replay=replay)
            for each in self.pipelines.taking(path)
        ]
        for arrival in arrivals:
            self.records.arrivals.announce(arrival)
        return arrivals

    def as_found(self, stored: Stored[Arrival]) -> Stored[Arrival]:
        """Return it as it is, unless another version or none is there now."""
        there = self.data.find(stored.record.dataset.path)
        return stored if there == stored.record.dataset else self._gone(stored, there)

    def refuse(
        self,
        stored: Stored[Arrival],
        pipeline: Pipeline,
        fault: str,
        *,
        report: Report | None = None,
        faults: Sequence[Fault] = (),
        copy: bool = True,
    ) -> Stored[Arrival]:
        """Take it into quarantine. Its original is moved where the pipeline says so and no other takes it."""
        path = stored.record.dataset.path
        shared = any(other.name != pipeline.name for other in self.pipelines.taking(path))
        move = pipeline.arriving.refused == "move" and not shared
        try:
            return self.quarantine.take(stored, fault, report=report, faults=faults, move=move, copy=copy)
        except DataChanged:
            return self._gone(stored, self.data.find(path))
        except ServiceRefused as error:
            if not copy:
                raise
            reason = f"{fault}; the copy to quarantine failed: {error}"
            return self.quarantine.take(stored, reason, report=report, faults=faults, move=False, copy=False)

    def end(self, stored: Stored[Arrival], state: ArrivalState, reason: str, **facts: Any) -> Stored[Arrival]:
        ended = stored.record.become(state, self.now(), reason=reason, **facts)
        log.info("%s is %s: %s", ended.dataset.path, state.value, reason)
        return self.records.arrivals.save(stored, ended)

    def _gone(self, stored: Stored[Arrival], there: Dataset | None) -> Stored[Arrival]:
        if there:
            self.see(there)  # before this version is done with, so that a death in between loses neither
        return self.end(stored, ArrivalState.GONE, "it was overwritten" if there else "it was deleted")
