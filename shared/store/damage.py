"""Finds records that cannot be read, of what is under way. The flows skip them; a person has to look at them."""

from __future__ import annotations

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
    "active/jobs/": RetrainingJob,
    "active/arrivals/": Arrival,
    "active/changes/": ChangeMark,
    "active/watches/": Watch,
    "active/deployments/": Deployments,
    "champions/": Champion,
    "batches/": Batches,
    "sweeps/": Sweep,
    "rollouts/": Rollout,
    "polls/": Poll,
}
_MARKED = {"active/jobs/": "jobs/", "active/arrivals/": "arrivals/"}  #: a mark, and the record that it is for


def damaged(documents: Documents) -> list[str]:
    """Return a line for each record that cannot be read: its name and what is wrong with it."""

    def look(place: tuple[str, Any]) -> str | None:
        name, kind = place
        try:
            Shelf(documents, kind).load(name)
        except BadConfiguration as error:
            return str(error)
        return None

    return [line for line in at_once(look, _places(documents)) if line]


def _places(documents: Documents) -> Iterator[tuple[str, Any]]:
    for prefix, kind in _KINDS.items():
        for name in documents.names(prefix):
            yield name, kind
            if prefix in _MARKED:
                yield _MARKED[prefix] + name.removeprefix(prefix), kind
