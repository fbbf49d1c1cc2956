"""The flow from a judged model to a proven switch, and its revert.

One run at a time holds the pipeline's champion record, under a fence that rises with each. It writes down what is
live and what shall be (the change), has the endpoints switched and the switch proven, and writes the outcome; without
proof the former models are put back. A run that dies anywhere leaves the change in the record, and the next run that
comes by finishes it before it does anything else. A run that was only stopped finds at its next look that it has been
overtaken, and what it may have written late is repaired.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from shared.base.errors import BadMessage, Busy, NeverAgain, RecordChanged, RetrainingError
from shared.base.retry import delay
from shared.base.threads import together
from shared.domain.champions import Champion
from shared.domain.deployments import is_staged
from shared.domain.fleets import Pipelines
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import BlobReader, Endpoints, Models
from shared.flows.live import Seen, look
from shared.flows.promotion.before import Before, served_by
from shared.flows.promotion.change import ChangePlanner
from shared.flows.promotion.entries import EntryPlanner
from shared.flows.promotion.repair import LateWriteRepair
from shared.flows.promotion.rows import rows_to_prove
from shared.flows.promotion.settle import Settlement
from shared.flows.promotion.sharing import Sharing
from shared.flows.promotion.switch import Switch
from shared.store import Records
from shared.store.champions import HeldChampion
from shared.store.shelf import Stored

#: states of a job whose promotion writes it before any endpoint is touched
ASKED_FOR = frozenset({JobState.ACCEPTED, JobState.STAGING})


@dataclass(frozen=True)
class Promotion:
    pipelines: Pipelines
    records: Records
    models: Models
    reader: Callable[[Pipeline], BlobReader]
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def carry_out(self, request: Request, request_id: str) -> None:
        """Change the models as the request says, once, however often it is delivered.

        Raises `TryLater` or `AskHuman` when another delivery is worth it, `NeverAgain` when none is.
        """
        pipeline = self.pipelines[request.pipeline]
        own = request.action is Command.PROMOTE and request.by is None  # asked for by the poll
        job, found = together(
            lambda: self._job(request, ASKED_FOR if own else ()),
            lambda: self.records.champions.look(pipeline.name, recent=own),
        )
        champion = found.stored.record
        self._entry(request, request_id, champion)
        try:
            endpoints = self.endpoints(pipeline)
            with ExitStack() as given_back:

                def hold() -> HeldChampion:
                    return given_back.enter_context(self.records.champions.hold(found, self.now))

                seen: Seen | None = None
                before: Before | None = None
                if own and job and _changes_nothing_first(champion, job.record, endpoints):
                    held, seen, before = together(
                        hold,
                        lambda: look(self.models, endpoints, champion),
                        lambda: self._before(pipeline, endpoints, champion, job.record),
                    )
                else:
                    held = hold()
                self._run(pipeline, endpoints, held, seen, before).carry_out(request, request_id, job)
        except (Busy, RecordChanged):
            raise
        except RetrainingError as error:
            self._note_trouble(request, request_id, error)
            raise

    def _entry(self, request: Request, request_id: str, champion: Champion) -> None:
        """Raise `BadMessage` when no rollback can do what is asked.

        This costs a look at the records: the services are not called, and other promotions do not wait.
        """
        if not request.names_an_entry:
            return
        if request_id in champion.settled or (champion.change and champion.change.request_id == request_id):
            return  # a second delivery
        if request.live is not None and (champion.live is None or request.live > champion.last):
            raise BadMessage(f"Entry {request.live} is not in the history of {request.pipeline}")
        if request.to is not None and self.records.champions.entry(request.pipeline, request.to) is None:
            raise BadMessage(f"Pipeline {request.pipeline} has no entry {request.to} in its history")
        if request.model is not None and not self.models.find(request.model):
            raise BadMessage(f"The model {request.model} is not kept any more")

    def _before(
        self, pipeline: Pipeline, endpoints: Endpoints, champion: Champion, job: RetrainingJob
    ) -> Before | None:
        """Return what is answered for the rows of the proof; None where no live model is recorded yet."""
        live = champion.live.models.get(pipeline.targets[0].name) if champion.live else None
        if live is None:
            return None
        rows, expected = rows_to_prove(self.records, pipeline, job, live)
        return Before(live, rows, expected, served_by(endpoints, rows, self.now))

    def _run(
        self,
        pipeline: Pipeline,
        endpoints: Endpoints,
        held: HeldChampion,
        seen: Seen | None,
        before: Before | None,
    ) -> ChangePlanner:
        switch = Switch(
            endpoints=endpoints,
            timeout=pipeline.proof_timeout,
            link=self.models.link,
            renew=held.renew,
            keep=held.keep,
            now=self.now,
            sleep=self.sleep,
        )
        run = pipeline, held, self.records, self.models, endpoints, self.now
        sharing = Sharing(*run, switch)
        settlement, entries = Settlement(*run, switch, sharing), EntryPlanner(*run)
        repair = LateWriteRepair(*run, switch, settlement, entries)
        return ChangePlanner(*run, seen, before, self.reader(pipeline), switch, settlement, entries, repair)

    def _job(self, request: Request, states: Collection[JobState] = ()) -> Stored[RetrainingJob] | None:
        return self.records.jobs.job_of(request, states) if request.job else None

    def _note_trouble(self, request: Request, request_id: str, error: RetrainingError) -> None:
        """Note the error of this try on the job or the request; the poll asks for a job's promotion again later."""
        stored = self._job(request)
        if stored and not stored.record.final:
            job, now = stored.record, self.now()
            self.records.jobs.save(stored, job.waiting(now + delay(job.attempts + 1, error), now, str(error)))
        elif request.by_hand:
            word = "refused" if isinstance(error, NeverAgain) else "not yet"
            self.records.requests.note(request_id, f"{word}: {error}", request)


def _changes_nothing_first(champion: Champion, job: RetrainingJob, endpoints: Endpoints) -> bool:
    """Return whether what the endpoints name and answer may be asked for before the record is leased.

    The lease is given only if the record is still as it was read. Then no run has changed an endpoint since, and this
    one changes none before it looks.
    """
    unfinished = champion.change or champion.repair or champion.waiting or champion.late_writes
    return not (unfinished or is_staged(endpoints) or job.final or job.id in champion.settled)
