"""One run that holds one pipeline's champion record: what its parts have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.messages import Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints, Models
from shared.store import Records
from shared.store.champions import HeldChampion


@dataclass(frozen=True)
class Run:
    pipeline: Pipeline
    held: HeldChampion
    records: Records
    models: Models
    endpoints: Endpoints
    now: Callable[[], datetime]

    def note(self, request_id: str, outcome: str, request: Request | None) -> None:
        """Record what became of a request, for the person who sent it."""
        self.records.requests.note(request_id, outcome, request, self.pipeline.name)
