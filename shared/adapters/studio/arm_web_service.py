"""A New predictive web service: a definition in the Azure Resource Manager, `api-version=2017-01-01`.

The model is one asset of `properties.assets`, of type `Resource`, with its blob's address in `locationInfo.uri`. The
definition is read, the one address changed, and the definition written back with PATCH, whose 200 is only acceptance:
the operation under `Azure-AsyncOperation` is followed to its end.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests

from shared.adapters.http import Answer, Service, retry_after
from shared.adapters.studio.rrs import RequestResponseService
from shared.base.errors import BadConfiguration, ServiceRefused, ServiceUnavailable, UnexpectedAnswer
from shared.base.suggestion import case_hint
from shared.domain.ports import BlobReference, Wait
from shared.domain.rows import Rows
from shared.domain.services import NewTarget

_VERSION = {"api-version": "2017-01-01"}
#: members that the service fills itself, or refuses to change
_NOT_WRITTEN = frozenset(
    {"createdon", "modifiedon", "provisioningstate", "swaggerlocation", "storageaccount", "commitmentplan", "keys"}
)
OPERATION_PAUSE = 2.0  #: seconds between two looks, when the service asks for no other
OPERATION_SECONDS = 600.0  #: of waiting, whatever pauses the service asks for


class ArmWebService:
    staging = None

    def __init__(self, session: requests.Session, target: NewTarget, token: Callable[[], str]) -> None:
        self._target = target
        self._scoring = RequestResponseService(session, target.name, target.scoring)
        self._service = Service(session, target.name, target.address, lambda: f"Bearer {token()}")

    def model(self) -> BlobReference:
        return self._get().read(self._reference, "web service definition")

    def update(self, model: BlobReference, wait: Wait) -> None:
        body = self._get().read(lambda definition: self._with(model, definition), "web service definition")
        self._follow(self._service.call("PATCH", self._target.id, body=body, **_VERSION), wait)

    def score(self, rows: Rows) -> Rows:
        return self._scoring.score(rows)

    def _get(self) -> Answer:
        return self._service.call("GET", self._target.id, **_VERSION)

    def _reference(self, definition: Any) -> BlobReference:
        parts = urlsplit(self._asset(definition)["locationInfo"]["uri"])
        return BlobReference(f"{parts.scheme}://{parts.netloc}/", parts.path.lstrip("/"))

    def _with(self, model: BlobReference, definition: Any) -> dict[str, Any]:
        """Return the definition with the model's address, and without what the service refuses."""
        self._asset(definition)["locationInfo"]["uri"] = model.address
        properties = {k: v for k, v in definition["properties"].items() if k.lower() not in _NOT_WRITTEN}
        return {"properties": properties, "tags": definition.get("tags") or {}}

    def _asset(self, definition: Any) -> dict[str, Any]:
        properties = definition["properties"]
        if properties.get("payloadsInBlobStorage"):
            raise BadConfiguration(
                f"{self._target.name} keeps its definition in a blob (above 3 MB); its model cannot be swapped"
            )
        assets = properties.get("assets") or {}
        models: dict[str, dict[str, Any]] = {
            str(asset.get("name")): asset for asset in assets.values() if asset.get("type") == "Resource"
        }
        asset = models.get(self._target.asset)
        if asset is None:
            raise BadConfiguration(
                f"{self._target.name} has no asset {self._target.asset!r} of type Resource; "
                f"{case_hint(self._target.asset, models)}it has: "
                f"{', '.join(sorted(models)) or 'none'}"
            )
        if not isinstance(asset["locationInfo"]["uri"], str):
            raise UnexpectedAnswer(f"{self._target.name}: the asset {self._target.asset!r} names no blob")
        return asset

    def _follow(self, answer: Answer, wait: Wait) -> None:
        """Look at the operation until it has ended; raise `ServiceRefused` when it failed."""
        address = answer.headers.get("azure-asyncoperation")
        waited = 0.0
        while waited < OPERATION_SECONDS:
            looked = self._service.call("GET", address) if address else self._get()
            state, reason = looked.read(_operation, "operation")
            match state.lower():
                case "succeeded":
                    return
                case "failed" | "canceled" | "cancelled":
                    raise ServiceRefused(f"{answer.asked} was accepted and then {state}: {reason}", 200)
            pause = min(max(retry_after(looked.headers) or OPERATION_PAUSE, 1.0), 30.0)
            wait(pause)
            waited += pause
        raise ServiceUnavailable(f"{answer.asked} was accepted and its operation does not end")


def _operation(body: Any) -> tuple[str, str]:
    """Return the operation's state and, where it failed, why.

    The specification calls the state `provisioningState`; on the wire it is `status`.
    """
    state = body.get("status") or {**body, **(body.get("properties") or {})}.get("provisioningState")
    error = body.get("error") or body.get("errorInfo") or {}
    return str(state), f"{error.get('code')}: {error.get('message')}" if error else "it gave no reason"
