"""An added endpoint of a Classic predictive web service.

GET {address} reads the endpoint; PATCH {address} with `Resources` swaps a trained model. PATCH answers with an empty
body, and nothing tells when the model is live (the documents say about 30 s).
"""

from __future__ import annotations

from typing import Any

import requests

from shared.adapters.blob_references import read_reference, write_reference
from shared.adapters.http import Service
from shared.adapters.scoring import ScoringService
from shared.configuration.file import ClassicTarget
from shared.errors import BadConfiguration
from shared.ports import BlobReference, Wait
from shared.rows import Rows


class ClassicEndpoint:
    def __init__(self, session: requests.Session, target: ClassicTarget) -> None:
        self._target = target
        self._scoring = ScoringService(session, target.name, target.scoring)
        self._service = Service(session, target.name, target.address, lambda: f"Bearer {target.key.reveal()}")

    def model(self) -> BlobReference:
        return self._service.call("GET", "").read(self._location, "endpoint with a list of resources")

    def _location(self, endpoint: Any) -> BlobReference:
        resources = endpoint["Resources"]
        names = [str(resource.get("Name")) for resource in resources]
        if self._target.resource not in names:
            raise BadConfiguration(
                f"{self._target.name} has no resource {self._target.resource!r} (the name must match exactly); "
                f"it has: {', '.join(names) or 'none: is it the training service, or the default endpoint?'}"
            )
        location = resources[names.index(self._target.resource)]["Location"]
        return read_reference(location, f"The location of {self._target.resource!r}")

    def update(self, model: BlobReference, wait: Wait) -> None:  # noqa: ARG002 (there is no operation to wait for)
        self._service.call(
            "PATCH", "", body={"Resources": [{"Name": self._target.resource, "Location": write_reference(model)}]}
        )

    def score(self, rows: Rows) -> Rows:
        return self._scoring.score(rows)
