"""Finds records that cannot be read, of what is under way. The flows skip them; a person has to look at them."""

from collections.abc import Iterator
from typing import Any

from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.domain.arrivals import Arrival
from shared.domain.champions import Champion, Watch
from shared.domain.deployments import Deployments
from shared.domain.jobs import RetrainingJob
from shared.domain.ports import Documents
from shared.domain.rollouts import Rollout
from shared.store.arrivals import Batches, Sweep
from shared.store.champions import ChangeMark
from shared.store.polls import Poll
from shared.store.shelf import Shelf

_KINDS: dict[str, Any] = {
    "active/jobs": RetrainingJob,
    "active/arrivals": Arrival,
    "active/changes": ChangeMark,
    "active/watches": Watch,
    "active/deployments": Deployments,
    "champions": Champion,
    "batches": Batches,
    "sweeps": Sweep,
    "rollouts": Rollout,
    "polls": Poll,
}
_MARKED = {"active/jobs": "jobs", "active/arrivals": "arrivals"}  #: a mark, and the record that it is for


def damaged(documents: Documents) -> list[str]:
    """Return a line for each record that cannot be read: its name and what is wrong with it."""

    def look(record: tuple[Shelf[Any], str]) -> str | None:
        shelf, key = record
        try:
            shelf.load(key)
        except BadConfiguration as error:
            return str(error)
        return None

    return [line for line in at_once(look, _records(documents)) if line]


def _records(documents: Documents) -> Iterator[tuple[Shelf[Any], str]]:
    for place, kind in _KINDS.items():
        shelf = Shelf(documents, kind, place)
        for key in shelf.listed():
            yield shelf, key
            if place in _MARKED:
                yield Shelf(documents, kind, _MARKED[place]), key
