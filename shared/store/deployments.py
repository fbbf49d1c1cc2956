"""Records of what endpoints have deployed beside the live model.

active/deployments/{pipeline}.json   written before a model is deployed; deleted when no deployment is left to drop
"""

from shared.domain.deployments import Deployments
from shared.domain.ports import Documents
from shared.store.shelf import Shelf, Stored


class DeploymentRecords:
    def __init__(self, documents: Documents) -> None:
        self._shelf = Shelf(documents, Deployments, "active/deployments")

    def load(self, pipeline: str) -> Stored[Deployments]:
        """Return the record, or an empty one that is not written yet."""
        return self._shelf.load(pipeline) or Stored(self._shelf.name(pipeline), Deployments(extra=()), "")

    def save(self, stored: Stored[Deployments], deployments: Deployments) -> None:
        """Write the record; without a deployment it is deleted. Raises `RecordChanged` if another run was first."""
        if deployments.extra:
            self._shelf.save(stored, deployments)
        elif stored.etag:
            self._shelf.end(stored)
