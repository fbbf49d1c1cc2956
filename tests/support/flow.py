"""The app over the real adapters, driven step by step instead of by triggers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from local.demo.story import Place
from local.workplace import PIPELINE, Workplace
from shared.app import App
from shared.base.errors import TryLater
from shared.base.settings import Settings
from shared.base.threads import at_once
from shared.domain.arrivals import Arrival
from shared.domain.champions import Champion
from shared.domain.jobs import RetrainingJob
from shared.domain.messages import Request
from studio.learning.scoring import score
from studio.state.records import FINAL, Job
from tests.support.waiting import until

#: for tests that look at which model is live: the gate passes nearly every one, and data is taken up at once
PASSING = (
    ("AUC >= champion - 0.01", "AUC >= champion - 0.5"),
    ("AUC >= 0.95", "AUC >= 0.5"),
    ("settle: 1s", "settle: 0.001s"),
)


def configured(place: Workplace, folder: Path, *changes: tuple[str, str]) -> dict[str, str]:
    """Write the sample's pipelines file with each first text replaced by the second; return the setting for it."""
    sample = Path(place.settings["PIPELINES_FILE"])
    text = sample.read_text("utf-8")
    for old, new in (("samples/", f"{sample.parent}/samples/"), *changes):
        assert old in text, old
        text = text.replace(old, new)
    file = folder / "pipelines.yaml"
    file.write_text(text, "utf-8")
    return {"PIPELINES_FILE": str(file)}


class Driven:
    """The app, with this as its clock.

    `requests` are promotion messages that were asked for and not yet carried out; `troubles` is what tries met.
    """

    def __init__(self, place: Place, settings: Mapping[str, str] | None = None) -> None:
        self.place = place
        self.app = App(Settings({**place.settings, **(settings or {})}), self)
        self.requests: list[Request] = []
        self.troubles: list[str] = []
        self.ahead = timedelta()
        self._stuck: set[str] = set()  #: jobs that took longer than a poll waits for them

    def drop(self, name: str, content: bytes) -> RetrainingJob:
        """Drop a data set and take its blob event; return the job."""
        jobs = self.arrive(self.place.drop(name, content))
        assert jobs, [each.reason for each in self.arrivals()]
        return jobs[0]

    def arrive(self, path: str) -> list[RetrainingJob]:
        """Take a blob's event, and take up what has arrived until nothing is settling; return the new jobs."""
        self.app.flows.intake.see(path)
        self.pass_time(timedelta(seconds=self.app.pipelines[PIPELINE].arriving.settle))
        jobs: list[RetrainingJob] = []

        def settled() -> bool:
            self.app.flows.intake.take_up(lambda job: jobs.append(self.app.flows.training.start(job)))
            return not self.app.records.arrivals.active(PIPELINE)

        until(settled, lambda: self.arrivals())
        return jobs

    def arrivals(self) -> list[Arrival]:
        """Return every arrival there is a record of, by its time."""
        arrivals = self.app.records.arrivals
        found = at_once(lambda key: arrivals.require(*key).record, arrivals.ids(PIPELINE))
        return sorted(found, key=lambda each: each.seen_at)

    def job(self, job_id: str) -> RetrainingJob:
        return self.app.records.jobs.require(job_id).record

    def poll(self) -> None:
        self.requests += self.app.flows.poll()

    def promote(self) -> None:
        """Deliver each message, again where another delivery is worth it, as the host does."""
        while self.requests:
            request, message = self.requests.pop(0), f"message-{uuid4().hex}"
            while not self._delivered(request, message):
                pass

    def _delivered(self, request: Request, message: str) -> bool:
        try:
            self.app.flows.requests.carry_out(request, message)
        except TryLater as error:
            self.troubles.append(str(error))
            return False
        return True

    def pass_time(self, span: timedelta) -> None:
        """Let the app's clock go ahead, so that nothing has to be waited for."""
        self.ahead += span

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def champion(self) -> Champion:
        return self.app.records.champions.load(PIPELINE)


class Flow(Driven):
    """The app over a local Studio."""

    place: Workplace

    def __init__(self, place: Workplace, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(place, settings)

    def finish(self, job: RetrainingJob) -> RetrainingJob:
        """Poll and promote until the job is final."""

        def settled() -> bool:
            self.let_trainings_end()
            self.poll()
            self.promote()
            return self.job(job.id).final

        until(settled, lambda: self.job(job.id))
        return self.job(job.id)

    def let_trainings_end(self) -> None:
        """Wait for what the Studio trains, for a second at most: each poll takes processor time from the training."""

        def ended() -> bool:
            return all(job.state in FINAL or not job.queued or job.id in self._stuck for job in records.all(Job))

        records = self.place.studio.studio.records
        try:
            until(ended, "the trainings end", seconds=1)
        except AssertionError:
            self._stuck |= {job.id for job in records.all(Job)}

    def answers(self) -> dict[str, list[list[str]]]:
        """Return what both services answer for the kept rows, asked as any client would."""
        pipeline = self.app.pipelines[PIPELINE]
        endpoints = self.app.endpoints_of(pipeline)
        return {name: endpoint.score(pipeline.rows).values for name, endpoint in endpoints.items()}

    def predicted(self, sha256: str) -> list[list[str]]:
        """Return what the model answers for the kept rows, by the Studio's own scoring of the file."""
        rows = self.app.pipelines[PIPELINE].rows
        model = self.place.studio.studio.models.load(sha256)
        return [row[-2:] for row in score(model, rows.columns, rows.values).values]
