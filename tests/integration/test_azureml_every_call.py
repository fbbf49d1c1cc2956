"""The app dies before and after every call that it makes, of the service and of the storage, over real parts.

The story has several acts. It runs twice, each time in a new workspace and a new storage. In the first run no process
dies, and the test records each point (see tests/support/every_call.py). In the second run the process dies at each
recorded point. After a death the next process goes on as in the host: the poll comes again, and a message that was not
carried out is delivered again. An act repeats until the process has died at all of its points. Each time, it must make
the same entries of the history.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from local.azureml import ENDED, ENDPOINT, PIPELINE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.adapters.azureml import online
from shared.app import App
from shared.base import threads
from shared.base.errors import TryLater
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain import arrivals
from shared.domain.champions import Action, HistoryEntry
from shared.domain.fleets import Pipelines
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.store.history_check import verify
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, let_lease_run_out, place_of
from tests.support.every_call import Calls, Death, deaths_at
from tests.support.waiting import PATIENCE, until

ROUNDS = 100  #: without a death, until what is waited for has come
AT_MOST = 6  #: times that an act runs: one run does not reach all points that follow a write
MINUTE = timedelta(minutes=1)
SOON = ("bake: 15m", "bake: 2m")  #: fewer looks at each model
Made = tuple[Action, tuple[int, ...]]  #: an entry of the history, and the shares of its steps


class Story:
    """`seen_by` looks at the workspace and the records; `app` is the process of the moment, which may die.

    It is the clock of the processes, whose time does not pass by itself.
    """

    def __init__(self, place: AzureMLPlace, settings: dict[str, str], planned: frozenset[Death] = frozenset()) -> None:
        self.place, self.settings = place, {**place.settings, **settings}
        self.calls = Calls(place.workspace.address, str(place.blobs.primary_endpoint), planned)
        self.seen_by = AzureMLFlow(place, settings)
        self.at = datetime.now(UTC) + timedelta(hours=1)  # what is dropped has not changed for long
        self.read = load_pipelines(Path(self.settings["PIPELINES_FILE"]), Settings(self.settings))
        self.app = self._new_process()
        self.queue: list[tuple[Request, str]] = []
        self.events: list[str] = []
        self.jobs: list[str] = []
        self.rows = count(300, 3)  #: of the next data: each gives another model

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def promoted(self) -> None:
        """A model is promoted step by step, and its bake ends."""
        self.trained(JobState.PROMOTED)
        self.go_on(lambda: not self.is_watched(), 4 * MINUTE)

    def rolled_back(self) -> None:
        """A person goes back to the former model, and to the later one again, which is not deployed by then."""
        live = self.live
        self.asks(Command.ROLLBACK)
        self.settled()
        self.asks(Command.ROLLBACK, to=live.number)
        self.settled()
        assert self.live.models == live.models

    def not_deployed(self) -> None:
        """The service cannot deploy the candidate."""
        before = self.live
        self.seen_by.order("failing operation", count=1)
        self.trained(JobState.FAILED)
        self.settled()
        assert self.live == before

    def failed_at_its_first_calls(self) -> None:
        """The candidate answers errors from its first share of the calls on."""
        before, ordered = self.live, list[str]()

        def look(job: RetrainingJob) -> None:
            name = f"m{job.model.sha256[:12]}" if job.model else ""
            if not ordered and 0 < self.seen_by.traffic().get(name, 0) < 100:
                self.seen_by.order("model error", endpoint=name, count=1000)
                ordered.append(name)

        self.trained(JobState.REVERTED, look)
        requests.delete(f"{self.place.workspace.control}/faults", timeout=PATIENCE)
        self.settled()
        assert self.live == before

    @property
    def acts(self) -> tuple[Callable[[], None], ...]:
        return self.promoted, self.rolled_back, self.not_deployed, self.failed_at_its_first_calls

    def made_by(self, act: Callable[[], None]) -> list[Made]:
        """Have it happen; return what the history has of it. What was live at first is found only once."""
        last = self.seen_by.champion.last
        act()
        made = [(each.action, tuple(step.share for step in each.traffic)) for each in self.entries(last)]
        return [each for each in made if each[0] is not Action.FOUND]

    @property
    def live(self) -> HistoryEntry:
        live = self.seen_by.champion.live
        assert live is not None
        return live

    def settled(self) -> None:
        """Go on until nothing is open. The history's model has all calls then, and it alone is deployed."""

        def is_settled() -> bool:
            records = self.seen_by.app.records
            is_open = self.queue or records.jobs.active() or self.seen_by.champion.change or self.is_watched()
            return not is_open and not records.deployments.load(PIPELINE).record.extra

        self.go_on(is_settled, 60 * MINUTE)
        [model] = set(self.live.models.values())
        assert self.seen_by.answered() == self.seen_by.predicted(model.sha256)
        [serving] = self.seen_by.traffic()
        assert self.seen_by.traffic() == {serving: 100}
        assert self.seen_by.deployments() == {serving}
        assert all(self.seen_by.trainings(self.seen_by.job(each)) == 1 for each in self.jobs)
        store = self.seen_by.app.records.champions
        assert verify(store.stored_history(PIPELINE), self.seen_by.champion).faults == []

    def entries(self, after: int) -> list[HistoryEntry]:
        store = self.seen_by.app.records.champions
        found = [store.entry(PIPELINE, number) for number in range(after + 1, self.seen_by.champion.last + 1)]
        return [each for each in found if each]

    def trained(self, state: JobState, looking: Callable[[RetrainingJob], object] = lambda _: None) -> None:
        """Drop data like no other, and go on until its job has ended in the state; look at the job at each round."""
        rows = self.place.rows[: next(self.rows)]
        self.events.append(self.place.drop(f"{len(rows)}.csv", as_csv(self.place.header, rows)))
        known = set(self.seen_by.app.records.jobs.ids())

        def ended() -> bool:
            new = set(self.seen_by.app.records.jobs.ids()) - known
            if not new:
                return False
            [job] = map(self.seen_by.job, new)
            looking(job)
            return job.final and not self.seen_by.champion.change

        self.go_on(ended)
        [new] = set(self.seen_by.app.records.jobs.ids()) - known
        self.jobs.append(new)
        job = self.seen_by.job(new)
        assert job.state is state, [step.note for step in job.steps]

    def asks(self, action: Command, to: int | None = None) -> None:
        last = self.seen_by.champion.last
        self.queue.append((Request(pipeline=PIPELINE, action=action, by="ann", to=to), uuid4().hex))
        self.go_on(lambda: self.seen_by.champion.last > last and not self.seen_by.champion.change and not self.queue)

    def go_on(self, is_over: Callable[[], bool], step: timedelta = MINUTE) -> None:
        """Have the triggers come, round after round, until it is over. A round without a death takes that long."""
        for _ in range(ROUNDS):
            while self._round():
                self.sleep(3)
            self.sleep(step.total_seconds())
            if is_over():
                return
        raise AssertionError(f"it did not come to that: {self.seen_by.champion.change}, {self.queue}")

    def _round(self) -> bool:
        """Have each trigger come once; return whether the process has died of one."""
        triggers: list[Callable[[], object]] = [partial(self._see, path) for path in self.events]
        triggers += [self.app.flows.take_up, self._poll]
        return any(map(self._dies_of, triggers)) or any(
            self._dies_of(partial(self._deliver, *message)) for message in [*self.queue]
        )

    def _see(self, path: str) -> None:
        self.app.flows.intake.see(path)
        self.events.remove(path)

    def _poll(self) -> None:
        """What a poll that dies asks for is lost with it."""
        self.queue += [(each, uuid4().hex) for each in self.app.flows.poll()]

    def _deliver(self, request: Request, message: str) -> None:
        try:
            self.app.flows.requests.carry_out(request, message)
        except TryLater:
            return  # it is delivered again
        self.queue.remove((request, message))

    def _dies_of(self, work: Callable[[], object]) -> bool:
        writes = self.calls.writes
        with self.calls.process() as has_died:
            work()
        if has_died():
            self.app = self._new_process()
        if self.calls.writes != writes:
            self._let_the_service_work()
            self._look()
        return has_died()

    def _new_process(self) -> App:
        """Return the app of another process, once the lease of the one that died has run out."""
        let_lease_run_out(self.place)
        process = App(Settings(self.settings), self)
        # It takes much of a short process's time to read the file, which is the same for all.
        process.pipelines = Pipelines(self.read.alone, self.read.fleets, process.records.arrivals.known)
        return process

    def _let_the_service_work(self) -> None:
        """Wait until nothing is under way in the workspace: the app's polls would only take time from it."""
        remote, path = self.place.workspace.remote, f"onlineEndpoints/{ENDPOINT}"

        def idle() -> bool:
            states = [each["properties"]["provisioningState"] for each in remote.listed(f"{path}/deployments")]
            jobs = [each["properties"]["status"] for each in remote.listed("jobs")]
            return set(states) <= {"Succeeded", "Failed"} and set(jobs) <= ENDED

        until(idle, "the workspace is idle")

    def _look(self) -> None:
        """Nobody is served by a model that was not proven."""
        fresh = [name for name in self.seen_by.traffic() if name not in self.seen_by.served]
        if not fresh:
            return
        jobs = [self.seen_by.job(each) for each in self.seen_by.app.records.jobs.ids()]
        proven = {f"m{job.model.sha256[:12]}" for job in jobs if job.model and job.stage and job.stage.proven_at}
        assert not self.seen_by.served or set(fresh) <= proven
        self.seen_by.served += fresh

    def is_watched(self) -> bool:
        return self.seen_by.app.records.watches.load(PIPELINE) is not None


def test_the_app_dies_before_and_after_each_call_and_the_story_ends_the_same(
    one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "SETTLING", 0.0)  # the local workspace is not read late
    monkeypatch.setattr(online, "YOUNG", PATIENCE)  # on a slow machine too, a use of the endpoint reads it once
    monkeypatch.setattr(threads, "THREADS", 0)  # one thread makes its calls in the same order each time
    monkeypatch.setattr(arrivals, "CHECKS_AT_MOST", 100)  # data is set aside when it stops its reader more often
    settings = configured(tmp_path, *PASSING, SOON)
    made, own = list[list[Made]](), list[set[Death]]()
    for place in place_of(one_azurite, tmp_path_factory):
        story = Story(place, settings)
        for act in story.acts:
            before = set(story.calls.points)
            made.append(story.made_by(act))
            own.append(set().union(*map(deaths_at, story.calls.points - before)))
    planned = frozenset().union(*own)
    for place in place_of(one_azurite, tmp_path_factory):
        story = Story(place, settings, planned)
        for _ in range(AT_MOST):
            for act, first, of_act in zip(story.acts, made, own, strict=True):
                if not of_act <= story.calls.deaths:
                    assert story.made_by(act) == first
    assert story.calls.deaths == planned
