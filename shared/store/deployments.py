"""Records of what endpoints have deployed beside the live model.

active/deployments/{pipeline}.json   written before a model is deployed; deleted when no deployment is left to drop
"""

from __future__ import annotations

from shared.domain.deployments import Deployments
from shared.domain.ports import Documents
from shared.store.shelf import Shelf, Stored


class DeploymentRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents, self._shelf = documents, Shelf(documents, Deployments)

    def load(self, pipeline: str) -> Stored[Deployments]:
        """Return the record, or an empty one that is not written yet."""
        name = f"active/deployments/{pipeline}.json"
        return self._shelf.load(name) or Stored(name, Deployments(extra=()), "")

    def save(self, stored: Stored[Deployments], deployments: Deployments) -> None:
        """Write the record; without a deployment it is deleted. Raises `RecordChanged` if another run was first."""
        if deployments.extra:
            self._shelf.replace(stored, deployments)
        elif stored.etag:
            self._documents.delete(stored.name, stored.etag)
