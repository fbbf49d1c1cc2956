"""An added endpoint of a Classic predictive web service.

GET {address} reads the endpoint; PATCH {address} with `Resources` swaps a trained model. PATCH answers with an empty
body, and no answer says when the model is live (the documents say about 30 s). PUT {address} makes the endpoint.
"""

import logging
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from shared.adapters.http import Answer, Service, origin
from shared.adapters.storage.references import read_reference, write_reference
from shared.adapters.studio.rrs import RequestResponseService
from shared.base.errors import BadConfiguration, ServiceRefused
from shared.base.suggestion import case_hint
from shared.domain.ports import BlobReference, Wait
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, ScoringService
from shared.domain.values import Address, read_key

log = logging.getLogger("relearn.classic")

NOT_FOUND = 404
_NEW = {"Description": "made by Relearn", "PreventUpdate": "false"}


class ClassicEndpoint:
    """`create`: an endpoint that is missing is made, with the models of the default one; for many from one experiment.

    Where the configuration has `services` only, the endpoint's own answer gives its scoring address and key.
    """

    staging = None

    def __init__(self, session: requests.Session, target: ClassicTarget, *, create: bool = False) -> None:
        self._session, self._target, self._create = session, target, create
        self._service = Service(session, target.name, target.address, lambda: f"Bearer {target.key.reveal()}")
        self._known: ScoringService | None = None

    def model(self) -> BlobReference:
        answer = self._read()
        if self._target.scoring.services:
            self._known = answer.read(self._scoring_of, "endpoint with ApiLocation and PrimaryKey")
        return answer.read(self._location, "endpoint with a list of resources")

    def _read(self) -> Answer:
        try:
            return self._service.call("GET", "")
        except ServiceRefused as error:
            if not self._create or error.status != NOT_FOUND:
                raise
        try:
            self._service.call("PUT", "", body=_NEW)
        except ServiceRefused:
            with suppress(ServiceRefused):
                return self._service.call("GET", "")  # another run was faster, or an answer had been lost
            raise
        log.info("%s: the endpoint was missing and is made", self._target.name)
        return self._service.call("GET", "")

    def scoring(self) -> ScoringService:
        """Return where the endpoint scores, with its key."""
        if not self._target.scoring.services:
            return self._target.scoring
        if self._known is None:
            self._known = self._read().read(self._scoring_of, "endpoint with ApiLocation and PrimaryKey")
        return self._known

    def _scoring_of(self, endpoint: Any) -> ScoringService:
        services = self._target.scoring.services
        assert services is not None, "asked only where the configuration has it"
        address, key = endpoint["ApiLocation"], endpoint["PrimaryKey"]
        if not isinstance(address, str) or not isinstance(key, str):
            raise TypeError
        there, path = origin(address), urlsplit(address).path
        if there != origin(services):
            raise BadConfiguration(
                f"{self._target.name} says that it scores at {there}, and scoring.services names {origin(services)}"
            )
        # Not every library finds the same host in an odd address, so the host is taken from the configuration.
        scoring = Address(f"{origin(services)}/{path.strip('/')}")
        return msgspec.structs.replace(self._target.scoring, address=scoring, key=read_key(key))

    def _location(self, endpoint: Any) -> BlobReference:
        resources = endpoint["Resources"]
        names = [str(resource.get("Name")) for resource in resources]
        if self._target.resource not in names:
            raise BadConfiguration(
                f"{self._target.name} has no resource {self._target.resource!r} (the name must match exactly); "
                f"{case_hint(self._target.resource, names)}it has: "
                f"{', '.join(names) or 'none: is it the training service, or the default endpoint?'}"
            )
        location = resources[names.index(self._target.resource)]["Location"]
        return read_reference(location, f"The location of {self._target.resource!r}")

    def update(self, model: BlobReference, wait: Wait) -> None:  # noqa: ARG002 (the service has no operation to wait for)
        self._service.call(
            "PATCH", "", body={"Resources": [{"Name": self._target.resource, "Location": write_reference(model)}]}
        )

    def score(self, rows: Rows) -> Rows:
        return RequestResponseService(self._session, self._target.name, self.scoring()).score(rows)
