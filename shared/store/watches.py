"""Records of the pipelines whose endpoints are checked after a change of models.

active/watches/{pipeline}.json what is looked at after a change, until its bake time is over
"""

from __future__ import annotations

from shared.domain.champions import Watch
from shared.domain.ports import Documents
from shared.store.shelf import Shelf, Stored


class WatchRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents, self._watches = documents, Shelf(documents, Watch)

    def begin(self, pipeline: str, watch: Watch) -> None:
        """Have the pipeline's endpoints looked at, in place of an earlier watch."""
        self._watches.put(_watch(pipeline), watch)

    def load(self, pipeline: str) -> Stored[Watch] | None:
        return self._watches.load(_watch(pipeline))

    def save(self, stored: Stored[Watch], watch: Watch) -> Stored[Watch]:
        return self._watches.replace(stored, watch)

    def end(self, stored: Stored[Watch]) -> None:
        """End this watch, or raise `RecordChanged`: a promotion has begun another one."""
        self._documents.delete(stored.name, stored.etag)


def _watch(pipeline: str) -> str:
    return f"active/watches/{pipeline}.json"
