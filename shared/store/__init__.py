"""Under which name each record is kept, and how it is written.

active/watches/{pipeline}.json   what is looked at after a change, until its bake time is over
retention/{day}.json             which models were removed on that day
"""

from datetime import datetime

import msgspec

from shared.domain.champions import Watch
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
from shared.store.shelf import Shelf


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """Which models the retention removed on one day. Written before the first of them is removed."""

    at: datetime
    models: tuple[str, ...] = ()


class Records:
    """All records over one store of documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.arrivals = ArrivalRecords(documents)
        self.jobs = JobRecords(documents)
        self.answers = AnswerRecords(documents)
        self.champions = ChampionRecords(documents)
        self.deployments = DeploymentRecords(documents)
        self.watches = Shelf(documents, Watch, "active/watches")
        self.rollouts = RolloutRecords(documents)
        self.polls = PollRecords(documents)
        self.requests = RequestRecords(documents)
        self.removals = Shelf(documents, Removal, "retention")

    def marks(self, *, shown: bool = False) -> Marks:
        return read_marks(self._documents, shown=shown)
