"""Under which name each record is kept, and how it is written."""

from __future__ import annotations

from shared.domain.ports import Documents
from shared.store.answers import AnswerRecords
from shared.store.arrivals import ArrivalRecords
from shared.store.champions import ChampionRecords
from shared.store.deployments import DeploymentRecords
from shared.store.jobs import JobRecords
from shared.store.marks import Marks, read_marks
from shared.store.polls import PollRecords
from shared.store.requests import RequestRecords
from shared.store.rollouts import RolloutRecords
from shared.store.watches import WatchRecords


class Records:
    """All records over one store of documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.arrivals = ArrivalRecords(documents)
        self.jobs = JobRecords(documents)
        self.answers = AnswerRecords(documents)
        self.champions = ChampionRecords(documents)
        self.deployments = DeploymentRecords(documents)
        self.watches = WatchRecords(documents)
        self.rollouts = RolloutRecords(documents)
        self.polls = PollRecords(documents)
        self.requests = RequestRecords(documents)

    def marks(self, *, shown: bool = False) -> Marks:
        return read_marks(self._documents, shown=shown)
