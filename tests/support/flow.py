"""The app over the real adapters, driven step by step instead of by triggers."""

from __future__ import annotations

from collections.abc import Mapping

from local.workplace import PIPELINE, Workplace
from shared.app import App
from shared.arrivals import Arrival
from shared.at_once import at_once
from shared.champions import Champion
from shared.jobs import RetrainingJob
from shared.messages import Request
from shared.records import stem
from shared.settings import Settings
from tests.support.waiting import until


class Flow:
    """`requests` are the promotion messages that were asked for and not yet carried out."""

    def __init__(self, place: Workplace, settings: Mapping[str, str] | None = None) -> None:
        self.place = place
        self.app = App(Settings({**place.settings, **(settings or {})}))
        self.requests: list[Request] = []

    def drop(self, name: str, content: bytes) -> RetrainingJob:
        """Drop a data set and take its blob event; return the job."""
        jobs = self.arrive(self.place.drop(name, content))
        assert jobs, [each.reason for each in self.arrivals()]
        return jobs[0]

    def arrive(self, path: str) -> list[RetrainingJob]:
        """Take a blob's event, and take up what has arrived until nothing is settling; return the new jobs."""
        self.app.arriving.see(path)
        jobs: list[RetrainingJob] = []

        def settled() -> bool:
            jobs.extend(self.app.retraining.start(job) for job in self.app.arriving.take_up())
            return not self.app.arriving.arrivals.active(PIPELINE)

        until(settled, lambda: self.arrivals())
        return jobs

    def arrivals(self) -> list[Arrival]:
        """Return every arrival there is a record of, by its time."""
        records = self.place.blobs.get_container_client("retraining")
        names = records.list_blob_names(name_starts_with=f"arrivals/{PIPELINE}/")
        found = at_once(lambda name: self.app.arriving.arrivals.require(PIPELINE, stem(name)).arrival, names)
        return sorted(found, key=lambda each: each.seen_at)

    def job(self, job_id: str) -> RetrainingJob:
        return self.app.records.require(job_id).job

    def poll(self) -> None:
        self.requests += self.app.retraining.poll()

    def promote(self) -> None:
        while self.requests:
            request = self.requests.pop(0)
            self.app.promotion.carry_out(request, f"message-{len(self.requests)}")

    def finish(self, job: RetrainingJob) -> RetrainingJob:
        """Poll and promote until the job is final."""

        def settled() -> bool:
            self.poll()
            self.promote()
            return self.job(job.id).final

        until(settled, lambda: self.job(job.id))
        return self.job(job.id)

    @property
    def champion(self) -> Champion:
        return self.app.records.champion(PIPELINE)

    def answers(self) -> dict[str, list[list[str]]]:
        """Return what both services answer for the kept rows, asked as any client would."""
        pipeline = self.app.pipelines[PIPELINE]
        endpoints = self.app.promotion.endpoints(pipeline)
        return {name: endpoint.score(pipeline.rows) for name, endpoint in endpoints.items()}
