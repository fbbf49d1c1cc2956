"""The flow from a dropped blob to a job: seen, still, whole, checked, batched.

Events, sweeps and messages only record what they saw. Taking up looks at each open arrival again, and closes a batch
when it is time.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar

import msgspec

from shared.base.budgets import TAKE_UP_SECONDS
from shared.base.decoding import from_json
from shared.base.errors import (
    AskHuman,
    BadMessage,
    Busy,
    DataChanged,
    NotYetReadable,
    RecordChanged,
    RetrainingError,
    ServiceRefused,
)
from shared.base.guard import guarded
from shared.base.threads import alone_if, at_once, in_time
from shared.domain.arrivals import Arrival, ArrivalState, Listed, arrival_id
from shared.domain.checks import Report, check
from shared.domain.fleets import Pipelines
from shared.domain.jobs import RetrainingJob, pipeline_of, received
from shared.domain.pipelines import Pipeline
from shared.domain.ports import TrainingData
from shared.flows.arrivals import Arrivals
from shared.flows.batches import BatchCloser
from shared.flows.quarantine import LOOK_AGAIN
from shared.store import Records
from shared.store.arrivals import Batches
from shared.store.shelf import Stored

log = logging.getLogger("relearn.intake")

T = TypeVar("T")

_S = ArrivalState
MANIFEST_AT_MOST = 4 << 20  #: bytes
SMALL = 1 << 20  #: bytes; files up to here are in memory several at a time
OUT_OF_ARCHIVE = timedelta(days=2)  #: the longest wait for a blob that is brought back from the archive
HOUR = len("20261126T14")  #: of the id of an arrival
JUST_SEEN = timedelta(minutes=2)  #: after an arrival's data should be still, within which its check is the first
OVERLAP = timedelta(hours=1)  #: how far a sweep looks behind the last: listings and clocks may lag


@dataclass(frozen=True)
class Intake:
    pipelines: Pipelines
    records: Records
    data: TrainingData
    now: Callable[[], datetime]
    begun: datetime  #: when this process began

    @property
    def arrivals(self) -> Arrivals:
        return Arrivals(pipelines=self.pipelines, records=self.records, data=self.data, now=self.now)

    def see(self, path: str) -> list[Arrival]:
        """Record what is at this path, once for each pipeline whose pattern it fits."""
        takers = self.pipelines.taking(path)
        if not takers:
            log.warning("%r belongs to no pipeline; %s", path, self.pipelines.why_none(path))
            return []
        dataset = self.data.find(path)
        if dataset is None:
            if not any(self.records.arrivals.moved(pipeline.name, path) for pipeline in takers):
                log.warning("%s is not taken up: it was deleted, or only says that there is a folder", path)
            return []
        return self.arrivals.see(dataset)

    def take_up(self, begin: Callable[[RetrainingJob], object] = lambda _: None) -> list[RetrainingJob]:
        """Take every open arrival as far as it goes, while there is time; return the jobs that were made.

        `begin` is called with each new job once its batch is recorded, by several threads.
        """
        pipelines = list(self._to_take_up())
        # Read before the marks are: a batch that another run closes meanwhile makes this run's write fail.
        batches = at_once(lambda each: self._guarded(each, lambda: self._retrained_on_time(each), None), pipelines)
        marks = self.records.marks(shown=True)
        active: dict[str, list[str]] = {}
        for job_id in marks.jobs:
            active.setdefault(pipeline_of(job_id), []).append(job_id)

        def take_up(work: tuple[Pipeline, Stored[Batches]]) -> list[RetrainingJob]:
            pipeline, stored = work
            arrivals, jobs = marks.arrivals.get(pipeline.name, {}), active.get(pipeline.name, ())
            closer = BatchCloser(self.arrivals, begin)
            return self._guarded(pipeline, lambda: self._take_up(pipeline, stored, arrivals, jobs, closer), [])

        work = [(pipeline, stored) for pipeline, stored in zip(pipelines, batches, strict=True) if stored]
        taken = in_time(take_up, work, TAKE_UP_SECONDS, self.now, "pipelines with data to be taken up")
        return [job for jobs in taken for job in jobs]

    def _to_take_up(self) -> Iterator[Pipeline]:
        """Yield every pipeline that is alone, each fleet for its schedule, and its members with open arrivals."""
        yield from self.pipelines.alone.values()
        marked = sorted(self.records.marks().arrivals) if self.pipelines.fleets else []
        for name, fleet in self.pipelines.fleets.items():
            if fleet.template.schedule:
                yield fleet.template
            yield from self.pipelines.of_fleet(name, [each for each in marked if each.startswith(f"{name}-")])

    def sweep(self, container: str) -> int:
        """Record files that had no event; return how many.

        Blobs older than the last sweep are skipped by timestamp; what is recorded of the others is listed by the hour.
        """
        begun = self.now()
        since = self.records.arrivals.swept_until(container)
        recorded = cache(self.records.arrivals.ids_that_begin)
        missed = 0
        for dataset in self.data.listed():
            if since and dataset.modified < since - OVERLAP:
                continue
            for pipeline in self.pipelines.taking(dataset.path):
                arrival = arrival_id(dataset)
                if arrival not in recorded(pipeline.name, arrival[:HOUR]):
                    self.arrivals.see(dataset)
                    missed += 1
        self.records.arrivals.set_swept(container, begun)
        if missed:
            log.warning("The sweep found %d blobs that had no event", missed)
        return missed

    def retrain(self, pipeline: str, parameters: dict[str, str], request_id: str) -> RetrainingJob:
        """Make a job on the data that is live, or was trained on last; the same request makes the same job."""
        return self.records.jobs.open(self.job_again(pipeline, parameters, request_id)).record

    def job_again(self, pipeline: str, parameters: dict[str, str], request_id: str) -> RetrainingJob:
        """Return the job that `retrain` makes, which is not recorded yet."""
        if self.pipelines[pipeline].training.folder in parameters:
            raise BadMessage(f"The app itself gives {self.pipelines[pipeline].training.folder!r}: the path of the data")
        live = self.records.champions.load(pipeline).live
        last = (live and live.job) or self.records.arrivals.batches(pipeline).record.newest
        stored = self.records.jobs.load(last) if last else None
        if stored is None or not stored.record.parts:
            raise BadMessage(f"Pipeline {pipeline} has no data yet to train on again; drop some")
        job = stored.record
        return received(
            pipeline,
            job.parts,
            self.now(),
            once_more=request_id,
            again=True,
            joined=job.joined,
            after=job.after,
            parameters=parameters,
        )

    def replay(self, pipeline: str, path: str, request_id: str) -> Arrival:
        """Take up once more what was set aside or left out, by the same path as new data, once for each request."""
        takes = self.pipelines[pipeline].takes(path)
        if takes and (arrival := self.arrivals.quarantine.put_back(pipeline, path, request_id)):
            return arrival
        dataset = self.data.find(path) if takes else None
        if dataset is None:
            raise BadMessage(f"Pipeline {pipeline} has no data at {path}: it is gone, or fits another pattern")
        first = self.records.arrivals.load(pipeline, arrival_id(dataset))
        if first and first.record.state is _S.MOVING:
            raise Busy(f"{path} is being moved into quarantine")
        if first and first.record.open:
            return first.record
        return next(each for each in self.arrivals.see(dataset, request_id) if each.pipeline == pipeline)

    def _guarded(self, pipeline: Pipeline, work: Callable[[], T], otherwise: T) -> T:
        return guarded(work, otherwise, f"The data of pipeline {pipeline.name}", log)

    def _take_up(
        self,
        pipeline: Pipeline,
        batches: Stored[Batches],
        marked: Mapping[str, bytes | None],
        jobs: Sequence[str],
        closer: BatchCloser,
    ) -> list[RetrainingJob]:
        arriving = pipeline.arriving
        # What was in a batch, or may wait for others, has a record.
        new_since = None if arriving.several else self.now() - timedelta(seconds=arriving.settle) - JUST_SEEN
        in_batch = batches.record.closing.arrivals if batches.record.closing else ()
        marked = {each: None if each in in_batch else content for each, content in marked.items()}
        active = self.records.arrivals.active(pipeline.name, marked, new_since)
        if closer.finish(pipeline, batches.record, active):
            return []  # what is ready has to be read again
        advanced = self._advanced(active, pipeline)
        known = {stored.record.id for stored in active if stored.record.state is _S.READY}
        ready = [each.record for each in advanced if each.record.state is _S.READY]
        if any(each.marker and each.id not in known for each in ready):
            closer.write(advanced)
            return []  # reading a marker took its folder's files up, which are not among these yet
        return closer.close(pipeline, batches, advanced, jobs)

    def _retrained_on_time(self, pipeline: Pipeline) -> Stored[Batches]:
        """Make the job that the schedule asks for: one job, however many scheduled times have passed."""
        stored = self.records.arrivals.recent_batches(pipeline.name)
        if pipeline.schedule is None:
            return stored
        from croniter import croniter

        now, since = self.now(), stored.record.scheduled
        if since is not None:
            due = croniter(pipeline.schedule, since, second_at_beginning=True).get_next(datetime)
            if due > now:
                return stored

            def again(name: str) -> None:
                try:
                    self.retrain(name, {}, f"{due:%Y%m%dT%H%M%S}")
                except BadMessage as error:
                    log.warning("%s", error)  # the data are not in the container yet

            at_once(again, self.pipelines.members(pipeline.name))
        return self.records.arrivals.save_batches(stored, msgspec.structs.replace(stored.record, scheduled=now))

    def _advanced(self, active: Sequence[Stored[Arrival]], pipeline: Pipeline) -> list[Stored[Arrival]]:
        """Take each as far as it goes: small files several at once, large ones one after another for the memory."""
        # Where it is the only one and may be taken at once, that it is ready is written with that.
        only = len(active) == 1 and not pipeline.arriving.several

        def further(stored: Stored[Arrival]) -> Stored[Arrival]:
            return self._further(stored, pipeline, only=only)

        if pipeline.checks.drift:
            return [further(each) for each in active]  # each is compared with the one before
        small = [each for each in active if each.record.dataset.size <= SMALL]
        large = [each for each in active if each.record.dataset.size > SMALL]
        return [*at_once(further, small), *map(further, large)]

    def _further(self, stored: Stored[Arrival], pipeline: Pipeline, *, only: bool) -> Stored[Arrival]:
        """Take the arrival as far as it goes. Where that fails, as it was read it keeps its batch from being closed."""

        def step() -> Stored[Arrival]:
            try:
                taken = self._step(stored, pipeline)
            except RecordChanged:
                there = None if stored.etag else self.records.arrivals.load(pipeline.name, stored.record.id)
                if there is None:
                    raise
                # Its event came again, or another run was faster.
                taken = self._step(there, pipeline) if self.records.arrivals.still_open(there) else there
            return taken if taken.written or only else self.records.arrivals.save(taken, taken.record)

        return guarded(step, stored, stored.record.dataset.path, log)

    def _step(self, stored: Stored[Arrival], pipeline: Pipeline) -> Stored[Arrival]:
        if stored.record.not_before and self.now() < stored.record.not_before:
            return stored
        if stored.record.state is _S.SETTLING:
            return self._settle(stored, pipeline)
        if stored.record.state is _S.MOVING:
            return self.arrivals.quarantine.finish(stored)
        return stored

    def _settle(self, stored: Stored[Arrival], pipeline: Pipeline) -> Stored[Arrival]:
        arrival, now = stored.record, self.now()
        if now - arrival.seen_at < timedelta(seconds=pipeline.arriving.settle):
            return self.arrivals.as_found(stored)
        if arrival.marker:
            try:
                return self._read_marker(stored, pipeline)
            except RetrainingError as error:
                return self._not_read(stored, arrival, pipeline, error)
        reason = arrival.never_checked(now)
        if reason is not None:
            return self.arrivals.refuse(stored, pipeline, reason) if reason else self.arrivals.as_found(stored)
        if not self._is_surely_first(stored):
            # Written down before it begins: a check that never ends must not begin for ever.
            stored = self.records.arrivals.save(stored, arrival.checking(now))
        try:
            report = self._checked(arrival, pipeline)
            return self._after_check(replace(stored, record=arrival), pipeline, report)
        except RetrainingError as error:
            return self._not_read(stored, arrival, pipeline, error)

    def _is_surely_first(self, stored: Stored[Arrival]) -> bool:
        """Return whether this check is surely the first of its data, so that its begin need not be written down.

        The file is small and younger than this process, by the storage's clock and by the app's, so no process has died
        of it. If the event of a file that was taken comes again, the claim on its content shows that. For a replay it
        does not.
        """
        arrival, data = stored.record, stored.record.dataset
        is_new = not stored.etag and not arrival.replay and arrival.seen_at - data.modified <= JUST_SEEN
        # The storage gives times in whole seconds.
        is_younger = self.begun <= arrival.seen_at and self.begun.replace(microsecond=0) <= data.modified
        return is_new and is_younger and data.size <= SMALL

    def _checked(self, arrival: Arrival, pipeline: Pipeline) -> Report:
        profile = self.records.arrivals.profile(pipeline.name) if pipeline.checks.drift else None
        alone = not pipeline.arriving.several
        with alone_if(arrival.dataset.size > SMALL):
            content = self.data.read(arrival.dataset)
            path, inputs = arrival.dataset.path, pipeline.inputs
            return check(path, content, pipeline.checks, profile, inputs=inputs, alone=alone, profiled=False)

    def _not_read(
        self, stored: Stored[Arrival], arrival: Arrival, pipeline: Pipeline, error: RetrainingError
    ) -> Stored[Arrival]:
        """Return the arrival whose blob could not be read: it ended, or waits for somebody or for the storage.

        `arrival` is as it was before its check: the check ended, and nothing is known against the data.
        """
        now = self.now()
        archived = isinstance(error, NotYetReadable)
        if isinstance(error, ServiceRefused) or (archived and now - arrival.seen_at > OUT_OF_ARCHIVE):
            reason = f"{arrival.dataset.path} cannot be read: {error}; once it can be read, replay it"
            return self.arrivals.refuse(stored, pipeline, reason, copy=False)
        if archived or isinstance(error, AskHuman):
            log.warning("%s waits: %s", arrival.dataset.path, error)
            return self.records.arrivals.save(stored, arrival.waiting(now + LOOK_AGAIN, str(error)))
        if stored.record is not arrival:
            stored = self.records.arrivals.save(stored, arrival)
        if isinstance(error, DataChanged):
            return self.arrivals.as_found(stored)
        raise error

    def _after_check(self, stored: Stored[Arrival], pipeline: Pipeline, report: Report) -> Stored[Arrival]:
        arrival = stored.record
        if report.reason:
            return self.arrivals.refuse(stored, pipeline, report.reason, report=report)
        claimed = self.records.arrivals.first_with(arrival, report.sha256)
        first = claimed.record if claimed else arrival
        if claimed and claimed.etag and not stored.etag and first.id == arrival.id:
            raise RecordChanged(f"The arrival {arrival.id} was taken up by another run")
        if first.id != arrival.id and not arrival.replay:
            where = f"job {first.job}" if first.job else "data that is waiting"
            reason = f"{first.dataset.path} had the same content; it is in {where}"
            return self.arrivals.end(stored, _S.SAME, reason, sha256=report.sha256, job=first.job)
        if pipeline.checks.drift and report.profile:
            self.records.arrivals.keep_profile(arrival, report.profile)
        ready = arrival.become(_S.READY, self.now(), sha256=report.sha256, summary=report.summary)
        return stored.ahead(ready)

    def _read_marker(self, stored: Stored[Arrival], pipeline: Pipeline) -> Stored[Arrival]:
        """Record the files of the folder, also those without an event, and what a manifest lists."""
        arrival = stored.record
        if self.data.find(arrival.dataset.path) != arrival.dataset:
            raise DataChanged(f"{arrival.dataset.path} was overwritten or deleted before it was read")
        files = None
        if arrival.dataset.path.endswith(".json"):
            content = b"".join(self.data.read(arrival.dataset)) if arrival.dataset.size <= MANIFEST_AT_MOST else b""
            try:
                files = from_json(content, _Manifest).files
            except msgspec.MsgspecError as error:
                fault = f'{arrival.dataset.path} is not a manifest ({error}); write {{"files": [{{"path": "a.csv"}}]}}'
                return self.arrivals.refuse(stored, pipeline, fault)
        folder = self.data.listed(arrival.folder)
        at_once(self.arrivals.see, [each for each in folder if pipeline.takes(each.path) and each != arrival.dataset])
        ready = arrival.become(_S.READY, self.now(), files=files, sha256="")
        return self.records.arrivals.save(stored, ready)


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    files: tuple[Listed, ...]
