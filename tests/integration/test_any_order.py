"""Arrivals, polls, promotions, approvals, rollbacks, deaths and second deliveries in any order: what always holds.

Each run is its own story against Azurite and the local Studio. However it goes, it ends with one champion, one
history without gaps, and endpoints that serve what the history says. The stories are the same at each run;
RELEARN_STORIES=100 makes as many new ones.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import ClassVar

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from local.azurite import Azurite
from local.datasets import as_csv
from local.studio import RunningStudio
from local.workplace import PIPELINE, publish
from shared.base.errors import BadMessage, RetrainingError, TryLater
from shared.domain.champions import Action, Champion
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.store.history_check import verify
from studio.state.records import Job
from tests.support.crashing import wait_for_bes_jobs
from tests.support.dying import dying
from tests.support.flow import PASSING, Flow, configured
from tests.support.waiting import until

STORIES, STEPS = 8, 15
MORE = os.environ.get("RELEARN_STORIES")
OTHERS = ("drop", "sweep", "take up", "poll", "decide", "wait")
#: of a data set: another number is another content, and one that was there before is the same
ROWS = st.integers(180, 420)
#: writes after which a run dies: reading changes nothing, so that a death after it is one after the write before.
#: Some runs have fewer, and live.
DEATHS = st.one_of(st.integers(1, 14), st.none())


class Story(RuleBasedStateMachine):
    """`deliverable` are messages in the queue, each with its id; some are delivered more than once."""

    azurite: ClassVar[Azurite]
    studio: ClassVar[RunningStudio]
    numbers: ClassVar[Iterator[int]] = count()

    def __init__(self) -> None:
        super().__init__()
        self.deliverable: list[tuple[Request, str]] = []
        self.dropped: list[str] = []
        self.rollbacks = 0
        self.folder = tempfile.TemporaryDirectory()

    @initialize(approval=st.booleans(), rows=ROWS)
    def begin(self, approval: bool, rows: int) -> None:
        self.place = publish(self.azurite, self.studio, f"story{next(self.numbers)}")
        wanted = ("    targets:", f"    approval: {{required: {str(approval).lower()}}}\n    targets:")
        self.settings = configured(self.place, Path(self.folder.name), *PASSING, wanted)
        self.flow = Flow(self.place, self.settings)
        self.retrain(rows, None, None, None)

    def drop(self, rows: int, said: bool) -> None:
        """Data arrives; its event may be lost. The same rows are the same content as another file's."""
        name = f"{len(self.dropped)}.csv"
        self.dropped.append(self.place.drop(name, as_csv(self.place.header, self.place.rows[:rows])))
        if said:
            self.flow.app.flows.intake.see(self.dropped[-1])

    def sweep(self, after: int | None) -> None:
        self._run(after, lambda flow: flow.app.flows.intake.sweep(self.place.container))

    def take_up(self, after: int | None) -> None:
        def run(flow: Flow) -> None:
            for job in flow.app.flows.intake.take_up():
                flow.app.flows.training.start(job)

        self._run(after, run)
        wait_for_bes_jobs(self.studio.studio.folder)

    def poll(self, after: int | None) -> None:
        """The messages of a poll that dies are lost with it."""

        def run(flow: Flow) -> None:
            self.deliverable += [(each, self._id()) for each in flow.app.flows.training.poll()]

        self._run(after, run)

    # One rule for all: of several, hypothesis leaves some out of most stories.
    @rule(
        what=st.sampled_from([*["retrain", "roll back", "deliver"] * 2, *OTHERS]),
        rows=ROWS,
        deaths=st.tuples(DEATHS, DEATHS, DEATHS),
        action=st.sampled_from([Command.REJECT, Command.CANCEL, Command.APPROVE]),
        again=st.booleans(),
    )
    def happens(
        self, what: str, rows: int, deaths: tuple[int | None, int | None, int | None], action: Command, again: bool
    ) -> None:
        after = deaths[0]
        match what:
            case "retrain":
                self.retrain(rows, *deaths)
            case "roll back":
                self.roll_back(after, again)
            case "deliver":
                self.deliver(after, rows, again)
            case "drop":
                self.drop(rows, said=again)
            case "sweep":
                self.sweep(after)
            case "take up":
                self.take_up(after)
            case "poll":
                self.poll(after)
            case "decide":
                self.decide(action, rows)
            case "wait":
                self.flow.pass_time(timedelta(minutes=after or 1))

    def retrain(self, rows: int, taken_up: int | None, polled: int | None, delivered: int | None) -> None:
        """Take one data set all the way, with deaths on it."""
        self.drop(rows, True)
        self.take_up(taken_up)
        self.poll(polled)
        self.poll(None)
        self.decide(Command.APPROVE, 0)
        self.poll(None)
        self.deliver(delivered, len(self.deliverable) - 1, rows % 3 == 0)

    def deliver(self, after: int | None, which: int, again: bool) -> None:
        if not self.deliverable:
            return
        request, message = self.deliverable.pop(which % len(self.deliverable))
        if self._carry_out(after, request, message) and not again:
            return
        self.deliverable.append((request, message))

    def decide(self, action: Command, which: int) -> None:
        jobs = [self.flow.job(each) for each in self.flow.app.records.jobs.active()]
        if jobs:
            job = jobs[which % len(jobs)]
            seen = job.approval.seen if job.approval else "0123456789abcdef"
            request = Request(pipeline=PIPELINE, action=action, job=job.id, by="ann", seen=seen)
            with suppress(BadMessage):
                self.flow.app.flows.requests.carry_out(request, self._id())

    def roll_back(self, delivered: int | None, again: bool) -> None:
        self.deliverable.append((Request(pipeline=PIPELINE, action=Command.ROLLBACK, by="ann"), self._id()))
        self.rollbacks += 1
        self.deliver(delivered, len(self.deliverable) - 1, again)

    @invariant()
    def one_champion_and_one_history(self) -> None:
        if not hasattr(self, "flow"):
            return
        entries = list(self.flow.app.records.champions.entries(PIPELINE))
        assert verify(self.flow.app.records.champions.stored_history(PIPELINE), self.flow.champion).faults == []
        promoted = [entry.job for entry, _ in entries if entry.action is Action.PROMOTED]
        assert len(promoted) == len(set(promoted))
        assert sum(entry.action is Action.ROLLED_BACK for entry, _ in entries) <= self.rollbacks

    def teardown(self) -> None:
        """Let all that is open come to its end, and look at what there is then."""
        try:
            if hasattr(self, "flow"):
                self._end()
        except AssertionError:
            traceback.print_exc()  # of what hypothesis tells next, this is the cause
            raise
        finally:
            # Also after a failure: run again, the story has to begin with nothing there.
            for container in self.place.blobs.list_containers() if hasattr(self, "place") else ():
                self.place.blobs.delete_container(container.name)
            self.folder.cleanup()

    def _end(self) -> None:
        def nothing_open() -> bool:
            self._run(None, lambda flow: flow.app.flows.intake.sweep(self.place.container))
            self.take_up_all()
            for request in self.flow.app.flows.training.poll():
                self.deliverable.append((request, self._id()))
            while self.deliverable:
                request, message = self.deliverable.pop(0)
                if not self._carry_out(None, request, message):
                    self.deliverable.append((request, message))
            for job_id in self.flow.app.records.jobs.active():
                job = self.flow.job(job_id)
                if job.state is JobState.AWAITING and job.approval:
                    seen = job.approval.seen
                    request = Request(pipeline=PIPELINE, action=Command.APPROVE, job=job_id, by="ann", seen=seen)
                    self.flow.app.flows.requests.carry_out(request, self._id())
            self.flow.pass_time(timedelta(minutes=3))
            records = self.place.blobs.get_container_client("retraining")
            names = [name for name in records.list_blob_names(name_starts_with="active/") if PIPELINE in name]
            return not [name for name in names if "/watches/" not in name]

        until(nothing_open, lambda: [self.flow.job(each) for each in self.flow.app.records.jobs.active()])
        self.one_champion_and_one_history()
        self._serves_what_the_history_says(self.flow.champion)
        self._trained_once_for_each_content()
        jobs = [self.flow.job(each) for each in self.flow.app.records.jobs.ids()]
        assert [job for job in jobs if not job.final] == []

    def take_up_all(self) -> None:
        for job in self.flow.app.flows.intake.take_up():
            self.flow.app.flows.training.start(job)

    def _serves_what_the_history_says(self, champion: Champion) -> None:
        if champion.live is None:
            return
        for name, model in champion.live.models.items():
            assert self.flow.answers()[name] == self.flow.predicted(model.sha256)

    def _trained_once_for_each_content(self) -> None:
        started = [job for job in self.studio.studio.records.all(Job) if job.queued is not None]
        read = [str(job.inputs["input1"].relative_location) for job in started if "input1" in job.inputs]
        mine = [path for path in read if path.startswith(f"{self.place.container}/")]
        assert len(mine) == len(set(mine))

    def _carry_out(self, after: int | None, request: Request, message: str) -> bool:
        """Return whether the message is done with: it is delivered again otherwise, as the host does."""
        done = []

        def run(flow: Flow) -> None:
            try:
                flow.app.flows.requests.carry_out(request, message)
                done.append(True)
            except TryLater:
                flow.pass_time(timedelta(seconds=30))
            except RetrainingError:
                done.append(True)  # it is written down

        self._run(after, run)
        return bool(done)

    def _run(self, after: int | None, what: object) -> None:
        """Run it in the app, which may die of it; then another process goes on once the leases have run out."""
        with dying(after):
            what(self.flow)  # type: ignore[operator]
            return
        ahead = self.flow.ahead
        self.flow = Flow(self.place, self.settings)
        self.flow.pass_time(ahead)
        blob = self.place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
        with suppress(HttpResponseError):  # it does not exist yet, or was not leased
            BlobLeaseClient(blob).break_lease(0)

    def _id(self) -> str:
        return f"message-{next(self.numbers)}"


def test_in_any_order_one_champion_is_live_and_the_history_says_which(
    azurite: Azurite, one_studio: RunningStudio
) -> None:
    Story.azurite, Story.studio = azurite, one_studio
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Story,
        settings=settings(
            max_examples=int(MORE or STORIES),
            stateful_step_count=STEPS,
            database=None,
            derandomize=MORE is None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
