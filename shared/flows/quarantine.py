"""Refused data: copied aside beside its reason; its original stays, or is deleted and put back on request.

The copy is complete before the move is written down, and the move is written down before the original is deleted, which
happens only to that very version: a run that dies in between loses nothing, and the next one finishes.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.errors import AskHuman, Busy, DataChanged, ServiceRefused
from shared.domain.arrivals import Arrival, ArrivalState, arrival_id, arrived
from shared.domain.checks import Fault, Report
from shared.domain.ports import TrainingData
from shared.store.arrivals import ArrivalRecords, Moved, PutBack
from shared.store.shelf import Stored

log = logging.getLogger("relearn.quarantine")

_S = ArrivalState
HELD_AT_MOST = timedelta(hours=1)  #: how long an original that cannot be deleted is tried again
LOOK_AGAIN = timedelta(minutes=10)  #: between two looks at a blob that somebody has to see to


@dataclass(frozen=True)
class Quarantine:
    arrivals: ArrivalRecords
    data: TrainingData
    now: Callable[[], datetime]

    def take(
        self,
        stored: Stored[Arrival],
        fault: str,
        *,
        report: Report | None = None,
        faults: Sequence[Fault] = (),
        move: bool,
        copy: bool = True,
    ) -> Stored[Arrival]:
        """Set the arrival's data aside with what is wrong: with it, or with its whole batch. `finish` ends a move.

        Without `copy`, of what cannot be read, only the reason is set aside. Raises `DataChanged` when another version
        is there by now, or none.
        """
        arrival = stored.record
        text = report.text if report else "".join(f"{each.message}\n" for each in faults) or f"{fault}\n"
        reason = {
            "pipeline": arrival.pipeline,
            "path": arrival.dataset.path,
            "reason": fault,
            "report": report or ({"faults": faults} if faults else None),
        }
        encoded = msgspec.json.format(msgspec.json.encode(reason))
        place = self.data.set_aside(arrival.dataset, folder_of(arrival), encoded, text.encode(), copy=copy)
        log.warning("%s is set aside as %s: %s", arrival.dataset.path, place, fault)
        # A replay is of data that stayed: a job may have been made of this very version.
        if move and copy and arrival.id == arrival_id(arrival.dataset):
            return self.arrivals.save(stored, arrival.become(_S.MOVING, self.now(), reason=fault, moved=place))
        return self.arrivals.save(stored, arrival.become(_S.QUARANTINED, self.now(), reason=fault))

    def finish(self, stored: Stored[Arrival]) -> Stored[Arrival]:
        """Delete the original of what is set aside, and leave a newer version alone.

        An original that something holds (a lease, a snapshot, a policy, a missing right) stays in the end.
        """
        arrival, now = stored.record, self.now()
        self.arrivals.note_moved(arrival)
        try:
            self.data.delete(arrival.dataset)
        except (ServiceRefused, Busy, AskHuman) as error:
            if now - arrival.at < HELD_AT_MOST:
                return self.arrivals.save(stored, arrival.waiting(now + LOOK_AGAIN, f"It cannot be deleted: {error}"))
            reason = f"{arrival.reason}; the original stays, as it could not be deleted: {error}"
            return self.arrivals.save(stored, arrival.become(_S.QUARANTINED, now, reason=reason, moved=None))
        return self.arrivals.save(stored, arrival.become(_S.QUARANTINED, now))

    def put_back(self, pipeline: str, path: str, request_id: str) -> Arrival | None:
        """Take up again what was moved from this path, once for each request; return None when that is not meant:
        nothing was moved, or what is there now was taken up since.

        Raises `DataChanged` when something newer is there that was not.
        """
        stored = self.arrivals.moved(pipeline, path)
        if stored is None:
            return None
        asked = stored.record.requests.get(request_id)
        if asked is None:
            if not self._meant(pipeline, stored):
                return None
            asked = PutBack(source=stored.record.arrival)
            stored = self._note(stored, request_id, asked)
        if asked.arrival is None:
            asked = PutBack(source=asked.source, arrival=self._taken_up(pipeline, stored, asked, request_id))
            self._note(stored, request_id, asked)
        return self.arrivals.require(pipeline, asked.arrival or "").record

    def _meant(self, pipeline: str, stored: Stored[Moved]) -> bool:
        there = self.data.find(stored.record.path)
        if there is None:
            return True
        newer = self.arrivals.load(pipeline, arrival_id(there))
        if newer and (newer.record.state not in (_S.SETTLING, _S.READY) or newer.record.replay):
            return False
        place = self.arrivals.require(pipeline, stored.record.arrival).record.moved
        raise DataChanged(
            f"Something newer is at {there.path}, and is taken up by itself; {place} is the one that was moved: "
            "to have it taken up too, upload it under another name"
        )

    def _taken_up(self, pipeline: str, stored: Stored[Moved], asked: PutBack, request_id: str) -> str:
        """Return the arrival that the request makes, or has made before its run died."""
        if asked.source != stored.record.arrival:
            return stored.record.arrival  # it was put back, taken up by its event, and moved again
        source = self.arrivals.require(pipeline, asked.source).record
        dataset = self.data.put_back(stored.record.path, folder_of(source), request_id)
        # A new version of the blob under its own id: an event that tells of it finds its mark.
        facts = {"marker": source.marker, "replay": request_id}
        again = arrived(arrival_id(dataset), pipeline, dataset, self.now(), **facts)
        self.arrivals.announce(again)
        return again.id

    def _note(self, stored: Stored[Moved], request_id: str, asked: PutBack) -> Stored[Moved]:
        requests = {**stored.record.requests, request_id: asked}
        return self.arrivals.save_moved(stored, msgspec.structs.replace(stored.record, requests=requests))


def folder_of(arrival: Arrival) -> str:
    return f"{arrival.pipeline}/{arrival.id}"
