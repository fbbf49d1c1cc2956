"""The app over the real adapters, driven step by step instead of by triggers."""

from __future__ import annotations

from collections.abc import Mapping

from local.workplace import PIPELINE, Workplace
from shared.app import App
from shared.champions import Champion
from shared.jobs import RetrainingJob
from shared.messages import Request
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
        [job] = self.app.retraining.start(self.place.drop(name, content))
        return job

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
