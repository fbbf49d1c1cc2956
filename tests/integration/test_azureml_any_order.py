"""Data, polls, messages, rollbacks, deaths and second deliveries in any order, over a workspace whose jobs really run.

However a story goes, it ends with one champion, one history without gaps, and all calls with the model that the history
says, as its answers show. The stories are the same at each run; RELEARN_STORIES=100 makes as many new ones.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from local.azureml import PIPELINE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.base.errors import RetrainingError, TryLater
from shared.domain.champions import Action
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.store.history_check import verify
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, let_lease_run_out, place_of
from tests.support.dying import dying
from tests.support.waiting import until

MORE = os.environ.get("RELEARN_STORIES")
SEEDS = range(int(MORE)) if MORE else (1, 2)
STEPS = 30
TRAININGS = 2  #: of a story, at most
WHAT = ("drop", "roll back", "cancel", *["poll", "deliver", "wait"] * 4)


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory)


class Story:
    """`deliverable` are messages in the queue, each with its id; some are delivered more than once."""

    numbers = count(300, 3)  #: rows of the next data set, and ids of messages: each is new

    def __init__(self, place: AzureMLPlace, settings: dict[str, str], seed: int) -> None:
        self.place, self.settings, self.random = place, settings, random.Random(seed)
        self.flow = AzureMLFlow(place, settings)
        self.deliverable: list[tuple[Request, str]] = []
        self.drops = self.deaths = 0
        self.dies = True

    def happens(self) -> None:
        match self.random.choice(WHAT):
            case "drop" if self.drops < TRAININGS:
                self.drop()
            case "roll back":
                self._say(Request(pipeline=PIPELINE, action=Command.ROLLBACK, by="ann"))
            case "cancel":
                for job in self.flow.app.records.jobs.active()[:1]:
                    self._say(Request(pipeline=PIPELINE, action=Command.CANCEL, job=job, by="ann"))
            case "deliver" if self.deliverable:
                self.deliver(again=self.random.random() < 0.3)
            case "wait":
                self.flow.pass_time(timedelta(seconds=self.random.choice([5, 60, 600])))
            case _:
                self.poll()
        self.look()

    def drop(self) -> None:
        """Data arrives, and is taken up."""
        self.drops += 1
        rows = self.place.rows[: next(self.numbers)]
        path = self.place.drop(f"{len(rows)}.csv", as_csv(self.place.header, rows))
        self.flow.app.flows.intake.see(path)
        self.flow.pass_time(timedelta(seconds=1))
        self._run(lambda flow: flow.app.flows.intake.take_up(flow.app.flows.training.start))

    def poll(self) -> None:
        """The messages of a poll that dies are lost with it."""

        def run(flow: AzureMLFlow) -> None:
            self.deliverable += [(each, self._id()) for each in flow.app.flows.poll()]

        self.flow.let_trainings_end()
        self._run(run)

    def deliver(self, *, again: bool) -> None:
        request, message = self.deliverable.pop(self.random.randrange(len(self.deliverable)))
        done: list[bool] = []

        def run(flow: AzureMLFlow) -> None:
            try:
                flow.app.flows.requests.carry_out(request, message)
                done.append(True)
            except TryLater:
                pass
            except RetrainingError:
                done.append(True)  # it is written down

        self._run(run)
        if again or not done:
            self.deliverable.append((request, message))

    def look(self) -> None:
        """Nobody is served by a model that was not proven, at any time."""
        self.flow.look()
        jobs = [self.flow.job(each) for each in self.flow.app.records.jobs.ids()]
        unproven = {
            f"m{job.model.sha256[:12]}" for job in jobs if job.model and not (job.stage and job.stage.proven_at)
        }
        assert not unproven & self.flow.traffic().keys()

    def end(self) -> None:
        """Let all that is open come to its end, and look at what there is then."""

        def nothing_open() -> bool:
            self.flow.let_trainings_end()
            flow = self.flow
            flow.app.flows.intake.sweep(self.place.container)
            flow.app.flows.intake.take_up(flow.app.flows.training.start)
            self.deliverable += [(each, self._id()) for each in flow.app.flows.poll()]
            for _ in range(len(self.deliverable)):
                self.deliver(again=False)
            champion = flow.champion
            sharing = champion.change and champion.change.traffic and champion.change.traffic.watch
            flow.pass_time(timedelta(minutes=1) if sharing else timedelta(seconds=5))
            is_open = champion.change or champion.repair or champion.waiting or flow.app.records.jobs.active()
            return not is_open and not self.deliverable

        self.dies = False
        until(nothing_open, lambda: (self.flow.champion.change, self.flow.app.records.jobs.active()))
        self.flow.settle()
        self.look()
        champion, store = self.flow.champion, self.flow.app.records.champions
        assert verify(store.stored_history(PIPELINE), champion).faults == []
        promoted = [entry.job for entry, _ in store.entries(PIPELINE) if entry.action is Action.PROMOTED]
        assert len(promoted) == len(set(promoted))
        jobs = [self.flow.job(each) for each in self.flow.app.records.jobs.ids()]
        assert [job for job in jobs if not job.final] == []
        assert {job.id for job in jobs if job.state is JobState.PROMOTED} <= set(promoted)
        assert all(self.flow.trainings(job) <= 1 for job in jobs)
        [serving] = self.flow.traffic()
        assert self.flow.traffic() == {serving: 100}
        assert self.flow.deployments() == {serving}
        if champion.live:
            [model] = set(champion.live.models.values())
            assert self.flow.answered() == self.flow.predicted(model.sha256)

    def _say(self, request: Request) -> None:
        self.deliverable.append((request, self._id()))

    def _run(self, what: Callable[[AzureMLFlow], object]) -> None:
        """Run it in the app, which may die of it; then another process goes on once the lease has run out."""
        after = self.random.choice([None, None, 1, 2, 3, 5, 8, 13]) if self.dies else None
        with dying(after):
            what(self.flow)
            return
        self.deaths += 1
        served = self.flow.served
        self.flow = AzureMLFlow(self.place, self.settings)
        self.flow.served = served
        let_lease_run_out(self.place)

    def _id(self) -> str:
        return f"message-{next(self.numbers)}"


@pytest.mark.parametrize("seed", SEEDS)
def test_in_any_order_all_calls_are_answered_by_the_model_that_the_history_says(
    azureml: AzureMLPlace, tmp_path: Path, seed: int
) -> None:
    story = Story(azureml, configured(tmp_path, *PASSING), seed)
    story.drop()
    for _ in range(STEPS):
        story.happens()
    story.end()
    assert story.deaths
