"""One workspace: its resources at the resource manager, its runs by MLflow and run history.

Only its own hosts are called: the management address of the configuration, the data plane under `api.azureml.ms`, and
the scoring hosts of its endpoints. Where the management address is on this machine, all of them are there.

A write that takes long is accepted with 200, 201 or 202. Nothing here waits for it: a later `find` of the resource
shows its `provisioningState`, and `reason` says why it failed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from shared.adapters.azureml.runs import Runs
from shared.adapters.http import Answer, Limits, Service, download, origin
from shared.adapters.identity import MACHINE_LEARNING, MANAGEMENT, Tokens
from shared.base.errors import NeverAgain, ServiceRefused, ServiceUnavailable, UnexpectedAnswer
from shared.base.retry import asked_again
from shared.domain.values import LOOPBACK

VERSION = "2025-12-01"
MOST_PAGES = 1000  #: of one list
_DATA_PLANE = re.compile(r"(?:[a-z0-9-]+\.)+api\.azureml\.ms(?::443)?")
_SCORING = r"{}\.[a-z0-9-]+\.inference\.ml\.azure\.com(?::443)?"
_CHANGING = re.compile(r"\bin \w+ provisioning state", re.IGNORECASE)
#: codes of a 404 that says that the workspace itself, or what it is in, is not there
_NO_WORKSPACE = frozenset({"SubscriptionNotFound", "ResourceGroupNotFound", "ParentResourceNotFound"})
#: members that the service fills, by where they are
_NOT_WRITTEN = frozenset({"id", "name", "type", "systemData"})
_NOT_WRITTEN_PROPERTIES = frozenset({"provisioningState", "scoringUri", "swaggerUri"})
_OPERATION = "AzureAsyncOperationUri"
_ENDED = frozenset({"succeeded", "failed", "canceled"})


class BeingChanged(ServiceUnavailable):
    """The service is changing the resource, and refuses other writes of it meanwhile."""


class Workspace:
    """Paths are below the workspace, as `models/income/versions/1`; one with `/` before it is the whole path."""

    def __init__(self, session: requests.Session, tokens: Tokens, address: str, workspace: str) -> None:
        self.id = workspace.rstrip("/")
        self.name = self.id.rpartition("/")[2]
        self._session, self._tokens, self._address = session, tokens, address
        self._manager = self._service(address, MANAGEMENT)
        self.runs = Runs(self.mlflow)

    def get(self, path: str, **query: str) -> Any:
        """Return the resource; raise `ServiceRefused` when it is not there."""
        return self._manage("GET", path, query=query).read(_resource, "resource")

    def find(self, path: str) -> Any | None:
        """Return the resource, or None when the workspace does not have it."""
        try:
            return self.get(path)
        except ServiceRefused as error:
            if self._is_missing(error):
                return None
            raise

    def put(self, path: str, body: Mapping[str, Any], **headers: str) -> Any:
        """Write the resource; return it as the service answers it, which may still be at work on it."""
        return self._manage("PUT", path, dict(body), headers).read(_resource, "resource")

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        return self._manage("POST", path, body)

    def delete(self, path: str) -> bool:
        """Have the resource deleted; return False when it is not there."""
        try:
            return self._manage("DELETE", path).status != 204
        except ServiceRefused as error:
            if self._is_missing(error):
                return False
            raise

    def listed(self, path: str, **query: str) -> Iterator[Any]:
        """Yield the resources of a list, page after page."""
        answer = self._manage("GET", path, query=query)
        for _ in range(MOST_PAGES):
            resources, following = answer.read(_page, "list")
            yield from resources
            if not following:
                return
            answer = self._called(partial(self._manager.call, "GET", following))
        raise UnexpectedAnswer(f"{answer.asked}: the list does not end after {MOST_PAGES} pages")

    def reason(self, resource: Mapping[str, Any]) -> str:
        """Return why the last operation on the resource failed. Only the operation says so, and not for ever."""
        address = ((resource.get("properties") or {}).get("properties") or {}).get(_OPERATION)
        if not isinstance(address, str):
            return "the service gave no reason"
        try:
            return asked_again(lambda: self._reason(address))
        except NeverAgain:
            return "the service no longer has the reason"

    def _reason(self, address: str) -> str:
        answer = self._called(lambda: self._manager.call("GET", address))
        status, error = answer.read(lambda body: (str(body["status"]), said(body.get("error"))), "operation")
        if status.lower() not in _ENDED:  # the resource's state may be there first
            raise ServiceUnavailable(f"{answer.asked}: the operation is {status}", retry_after=0.1)
        return error or "the service gave no reason"

    def mlflow(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """Call MLflow's tracking, as `runs/search`."""
        return self._of_runs(method, f"mlflow/v2.0{self.id}/api/2.0/mlflow/{path}", body, query)

    def details(self, run: str) -> Any:
        """Return what run history knows of a run: its error, and links to its logs."""
        return self._of_runs("GET", f"history/v1.0{self.id}/runs/{run}/details", None, {}).json()

    def download(self, address: str, limits: Limits) -> Iterator[bytes]:
        """Yield what is at a link of the workspace's own storage account."""
        account, parts = self._facts[1].rpartition("/")[2].lower(), urlsplit(address)
        own = parts.scheme == "https" and parts.netloc.lower() == f"{account}.blob.core.windows.net"
        if not (own or (self._is_local and parts.hostname in LOOPBACK)):
            raise UnexpectedAnswer(
                f"The workspace {self.name} links to {parts.scheme}://{parts.hostname}, which is not its own storage"
            )
        return download(self._session, address, limits)

    def scoring(
        self, address: str, endpoint: str, hosts: Sequence[str] = (), authorization: Callable[[], str] | None = None
    ) -> Service:
        """Return an endpoint at the address that the workspace gave for it, which must be a host of this endpoint.

        `hosts` are further ones of the configuration. Without an `authorization` the app's identity is used.
        """
        parts = urlsplit(address)
        own = re.fullmatch(_SCORING.format(re.escape(endpoint.lower())), parts.netloc.lower())
        if not (
            (parts.scheme == "https" and own)
            or origin(address) in {origin(host) for host in hosts}
            or (self._is_local and origin(address) == origin(self._address))
        ):
            raise UnexpectedAnswer(
                f"The endpoint {endpoint} names {parts.scheme}://{parts.netloc} for its calls, which is not a host of "
                f"Azure Machine Learning; if it is right, add it to `hosts` of the target"
            )
        own_token = authorization or (lambda: f"Bearer {self.machine_learning_token()}")
        return Service(self._session, f"endpoint {endpoint}", address, own_token)

    def machine_learning_token(self) -> str:
        return self._tokens.token(MACHINE_LEARNING)

    def renewing(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call by the app's identity gives, which is made once more where its token is refused."""
        return self._tokens.renewing(call)

    def below(self, resource: str) -> str | None:
        """Return the path of a resource id in this workspace, whatever its case; None for one of another place."""
        prefix = f"{self.id}/"
        return resource[len(prefix) :] if resource.lower().startswith(prefix.lower()) else None

    def _manage(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        place = quote(path if path.startswith("/") else f"{self.id}/{path}".rstrip("/"), safe="/:")
        parameters = {"api-version": VERSION, **(query or {})}
        manager = self._manager.having(**(headers or {}))
        return self._called(lambda: manager.call(method, place, body=body, **parameters))

    def _of_runs(self, method: str, path: str, body: Any, query: Mapping[str, str]) -> Answer:
        return self._called(lambda: self._data_plane.call(method, quote(path, safe="/:"), body=body, **query))

    def _called(self, call: Callable[[], Answer]) -> Answer:
        """Return the answer, with a new token if need be. A resource that the service is changing is for later."""
        try:
            return self._tokens.renewing(call)
        except ServiceRefused as error:
            if error.status in (400, 409) and _CHANGING.search(str(error)):
                raise BeingChanged(str(error)) from None
            raise

    @cached_property
    def _facts(self) -> tuple[str, str]:
        """What the workspace says of itself, asked once: its MLflow address and the id of its storage account."""

        def read(body: Any) -> tuple[str, str]:
            properties = body["properties"]
            return str(properties["mlFlowTrackingUri"]), str(properties.get("storageAccount") or "")

        return self._manage("GET", "").read(read, "workspace")

    @cached_property
    def _data_plane(self) -> Service:
        """Where `mlFlowTrackingUri` says: azureml://{host}/mlflow/..."""
        host = urlsplit(self._facts[0]).netloc.lower()
        address = self._address if self._is_local else f"https://{host}"
        if not (_DATA_PLANE.fullmatch(host) or (self._is_local and host == urlsplit(self._address).netloc.lower())):
            raise UnexpectedAnswer(
                f"The workspace {self.name} names {host[:80]!r} for its runs, which is not a host of it"
            )
        return self._service(address, MANAGEMENT)

    def _service(self, address: str, scope: str) -> Service:
        name = f"workspace {self.name}"
        return Service(self._session, name, address, lambda: f"Bearer {self._tokens.token(scope)}")

    @property
    def _is_local(self) -> bool:
        return urlsplit(self._address).hostname in LOOPBACK

    def _is_missing(self, error: ServiceRefused) -> bool:
        """Return whether the resource is missing, and not the workspace that it would be in."""
        of_workspace = f"workspaces/{self.name}'".lower() in str(error).lower()
        return error.status == 404 and not of_workspace and not _NO_WORKSPACE & set(error.codes)


def state_of(resource: Mapping[str, Any]) -> str:
    """Return the provisioning state in lower case; `succeeded`, `failed` and `canceled` are final."""
    return str((resource.get("properties") or {}).get("provisioningState") or "").lower()


def for_writing(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a GET answered as a PUT may have it: without the members that the service fills."""
    body = {name: value for name, value in resource.items() if name not in _NOT_WRITTEN}
    properties = dict(body.get("properties") or {})
    kept = {name: value for name, value in properties.items() if name not in _NOT_WRITTEN_PROPERTIES}
    if isinstance(own := kept.get("properties"), dict):
        kept["properties"] = {name: value for name, value in own.items() if name != _OPERATION}
    return {**body, "properties": kept}


def is_same(one: str, other: str) -> bool:
    """Return whether two names or ids mean the same resource: the service answers them in its own case."""
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def said(error: Any) -> str:
    """Return the texts of an error as operations and runs have it: the code, the message, and those inside."""
    found: list[str] = []
    left = [error]
    while left and len(found) < 10:
        each = left.pop(0)
        if isinstance(each, Mapping):
            text = ": ".join(str(each[name]) for name in ("code", "message") if each.get(name))
            found += [text] if text and text not in found else []
            details = each.get("details")
            left += [each.get("error"), each.get("innerError"), *(details if isinstance(details, list) else [])]
    return "; ".join(found)[:2000]


def _page(body: Any) -> tuple[list[Any], str]:
    return [_resource(each) for each in body["value"]], str(body.get("nextLink") or "")


def _resource(body: Any) -> dict[str, Any]:
    """Return a resource, which is an object with objects where its readers take them for such."""
    properties = body.get("properties") or {}
    for each in (properties, properties.get("properties") or {}, properties.get("tags") or {}, body.get("tags") or {}):
        each.keys()  # raises for another shape
    return {**body, "properties": properties}
