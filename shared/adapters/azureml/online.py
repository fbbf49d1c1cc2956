"""A managed online endpoint: each model is its own deployment, beside the live one, and gets a share of the calls.

Nothing here waits for an operation of the service: a write is accepted, and a later call reads what became of it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from shared.adapters.azureml import versions
from shared.adapters.azureml.deployments import (
    Deployment,
    deployment_body,
    deployment_name,
    is_changing,
    look_again,
    made_for,
    model_of,
)
from shared.adapters.azureml.places import OwnStorage, folder_of
from shared.adapters.azureml.scoring import Access, OnlineScoring, joined
from shared.adapters.azureml.traffic import MIRROR, live_deployment, mirrored, shares_in, with_shares
from shared.adapters.azureml.workspace import BeingChanged, Workspace, is_same, state_of
from shared.adapters.http import understood
from shared.base.errors import BadConfiguration, RetrainingError, ServiceRefused, ServiceUnavailable, readable
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, Pending, Ready, Refused, Shares, Wait
from shared.domain.rows import Rows

log = logging.getLogger("relearn.azureml")
Seen = TypeVar("Seen")

STRANGE = "is answered in a form that is not known"
LATER = Pending(5.0)  #: the service gives no other time
SETTLING = 30.0  #: seconds in which what was written may still be read as it was before
UPDATE_SECONDS = 600.0  #: of waiting for an update
YOUNG = 2.0  #: seconds in which what one use of the endpoint has read need not be read again by its next step
LOG_LINES, LOG_CHARACTERS = 100, 2500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTAINERS = ("InferenceServer", "StorageInitializer")
_ENDED_BADLY = ("failed", "canceled")


@dataclass
class Known:
    """What this process knows of an endpoint beyond one use of it: how it is called, what was last written to it.

    `names` are the deployments as they were last listed, by the model's SHA-256; `keys` is how the shares name each, by
    its name in lower case.
    """

    access: Access = field(default_factory=Access)
    names: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    adopted: dict[str, Mapping[str, Any]] = field(default_factory=dict)  #: versions, whose tags do not change any more
    written: tuple[dict[str, int], dict[str, int]] | None = None
    former: dict[str, int] = field(default_factory=dict)  #: the shares that were read when that was written
    at: float = 0.0


class AzureMLOnlineEndpoint:
    """`pipeline` is a tag of what it makes, and `scoring` asks the endpoint for answers."""

    def __init__(
        self,
        workspace: Workspace,
        target: AzureMLOnlineTarget,
        pipeline: str,
        scoring: OnlineScoring,
        own: OwnStorage,
        known: Known,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace, self._target, self._pipeline, self._own = workspace, target, pipeline, own
        self._known, self._clock, self._scoring = known, clock, scoring
        self._path = f"onlineEndpoints/{target.endpoint}"
        self._live: tuple[str, str] | None = None  #: deployment and version of a live model that is to be adopted
        #: the endpoint when nothing changed it, and since when
        self._read: tuple[float, Mapping[str, Any]] | None = None
        self._listed: tuple[float, list[Deployment]] | None = None  #: likewise its deployments

    @property
    def staging(self) -> AzureMLOnlineEndpoint:
        return self

    def model(self) -> BlobReference:
        endpoint = self._young(self._read) or self._endpoint()
        live = self._live_of(endpoint, self._deployments())
        if live.sha256:
            return self._own.kept(live.sha256)
        self._live = (live.name, self._version_path(live))
        return folder_of(self._workspace, self._own, str(live.version["properties"].get("modelUri") or ""))

    def update(self, model: BlobReference, wait: Wait) -> None:
        """Give the model all calls. It must be staged."""
        sha256, waited = model.relative.rstrip("/").rpartition("/")[2], 0.0
        while pending := self.share({sha256: 100}):
            if waited >= UPDATE_SECONDS:
                raise ServiceUnavailable(
                    f"The traffic of the endpoint {self._target.endpoint} is not as it was written"
                )
            wait(pending.after)
            waited += pending.after

    def score(self, rows: Rows) -> Rows:
        return self._scoring.score(rows)

    def adopt(self, model: Model) -> None:
        if self._live is None:
            live = self._live_of(self._endpoint(), self._deployments())
            if live.sha256 not in ("", model.sha256):
                raise ServiceUnavailable(f"{live.name} of {self._target.endpoint} serves another model by now")
            if live.made:
                return
            self._live = (live.name, self._version_path(live))
        name, path = self._live
        with understood(f"The version {path} {STRANGE}"):
            version = versions.adopt(self._workspace, path, self._target.endpoint, name, model)
        if versions.sha256_of(version) == model.sha256:
            self._known.adopted[path.lower()] = version
        self._known.names[model.sha256], self._known.keys[name.lower()] = name, model.sha256

    def stage(self, model: Model) -> Ready | Pending | Refused:
        deployments = self._young(self._listed) or self._deployments()
        found = _best([each for each in deployments if each.sha256 == model.sha256])
        if found is None or (found.state in _ENDED_BADLY and not is_same(found.name, deployment_name(model))):
            return self._begin(model, deployments)
        if found.state == "succeeded":
            return Ready()
        return self._refused(found) if found.state in _ENDED_BADLY else look_again(found.resource, _now())

    def score_staged(self, model: Model, rows: Rows) -> Rows:
        return joined(self.score_pieces(model, rows, 0))

    def score_pieces(self, model: Model, rows: Rows, begin: int) -> Iterator[Rows]:
        try:
            yield from self._scoring.pieces(rows, begin, self._name_of(model.sha256))
        except ServiceRefused:
            self._known.names.pop(model.sha256, None)  # somebody may have deleted it
            raise

    def shares(self) -> Shares:
        endpoint = self._young(self._read) or self._endpoint()
        shares, of = shares_in(endpoint), dict[str, int]()
        if not shares.keys() <= self._known.keys.keys():
            self._deployments()
        for name, share in shares.items():
            key = self._known.keys.get(name, name)
            of[key] = of.get(key, 0) + share
        settled, written = not is_changing(endpoint), self._known.written
        if settled and written and shares != self._known.former and not _same(shares, written[0]):
            self._known.written = None  # somebody else has written since: it will not be read any more
        return Shares(of, settled)

    def share(self, shares: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> Pending | None:
        if sum(shares.values()) != 100:
            raise ValueError(f"the shares of an endpoint are 100 per cent, not {sum(shares.values())}")
        endpoint = self._young(self._read) or self._endpoint()
        if is_changing(endpoint):
            return look_again(endpoint, _now())
        traffic = self._named(shares, endpoint)
        copies = mirrored(endpoint, self._named(mirror or {}, endpoint))
        failed = state_of(endpoint) in _ENDED_BADLY
        written = self._known.written if self._clock() - self._known.at < SETTLING else None
        is_read = not failed and _same(shares_in(endpoint), traffic) and _same(shares_in(endpoint, MIRROR), copies)
        # What was written may be read late: to write the same again would begin all over, and other shares that are
        # asked for since have to be written although they are read.
        if is_read and written in (None, (traffic, copies)):
            self._known.written = None
            return None
        if not failed and written == (traffic, copies):
            return LATER
        if failed:
            reason = self._workspace.reason(endpoint)
            log.warning("The last change of the endpoint %s failed (%s); its traffic is written", self._path, reason)
        self._read = None
        try:
            answer = self._workspace.put(self._path, with_shares(endpoint, traffic, copies))
        except BeingChanged:
            return LATER
        self._known.written, self._known.at = (traffic, copies), self._clock()
        self._known.former = shares_in(endpoint)
        return look_again(answer, _now())

    def drop(self, model: Model) -> Pending | None:
        serving = [each for each in self._deployments() if each.sha256 == model.sha256]
        made = [each for each in serving if each.made]
        if not made and serving:
            raise ServiceRefused(
                f"The deployment {serving[0].name} of {self._target.endpoint} serves the model {model.sha256[:12]}; "
                "this app neither made it nor found it live, so delete it by hand",
                409,
            )
        left = [each for each in made if self._delete(each)]
        return LATER if left else None

    def describe(self, model: Model) -> Mapping[str, str]:
        return {
            "workspace": self._workspace.name,
            "endpoint": self._target.endpoint,
            "deployment": self._known.names.get(model.sha256, deployment_name(model)),
            "version": f"{self._target.model}:{versions.version_name(model)}",
        }

    def _endpoint(self) -> Mapping[str, Any]:
        endpoint: Mapping[str, Any] = self._workspace.get(self._path)
        self._scoring.notice(endpoint)
        with understood(f"The endpoint {self._target.endpoint} {STRANGE}"):
            shares_in(endpoint), shares_in(endpoint, MIRROR)
        self._read = None if is_changing(endpoint) else (self._clock(), endpoint)
        return endpoint

    def _young(self, read: tuple[float, Seen] | None) -> Seen | None:
        """Return what this use of the endpoint has just read, unless it has changed it since."""
        return read[1] if read and self._clock() - read[0] < YOUNG else None

    def _deployments(self) -> list[Deployment]:
        """Return all deployments, each with the model that it serves."""
        looked: dict[str, Mapping[str, Any]] = {}
        with understood(f"A deployment of {self._target.endpoint} {STRANGE}"):
            resources = list(self._workspace.listed(f"{self._path}/deployments"))
            found = [self._deployment(each, looked) for each in resources]
        known = {each.sha256 for each in found if each.sha256}
        self._known.names = {
            sha256: best.name for sha256 in known if (best := _best([each for each in found if each.sha256 == sha256]))
        }
        self._known.keys = {each.name.lower(): each.key for each in found}
        self._listed = None if any(is_changing(each.resource) for each in found) else (self._clock(), found)
        return found

    def _deployment(self, resource: Mapping[str, Any], looked: dict[str, Mapping[str, Any]]) -> Deployment:
        name, state, path = str(resource["name"]), state_of(resource), self._workspace.below(model_of(resource))
        if path is None:
            return Deployment(name, state, "", False, resource, versions.MISSING)
        if sha256 := made_for(resource, path, self._target):
            return Deployment(name, state, sha256, True, resource, versions.MISSING)
        key = path.lower()
        version = self._known.adopted.get(key) or looked.get(key) or self._workspace.find(path) or versions.MISSING
        looked[key], sha256 = version, versions.sha256_of(version)
        adopted = versions.adopted_by(version, self._target.endpoint)
        if sha256 and adopted:
            self._known.adopted[key] = version
        return Deployment(name, state, sha256, is_same(adopted, name), resource, version)

    def _live_of(self, endpoint: Mapping[str, Any], deployments: list[Deployment]) -> Deployment:
        live = live_deployment(endpoint)
        found = next((each for each in deployments if each.name.lower() == live), None)
        if found is None:
            raise BadConfiguration(
                f"The endpoint {self._target.endpoint} has no deployment with traffic, which would be the pattern for "
                "new ones; make the first deployment and give it the traffic"
            )
        return found

    def _version_path(self, live: Deployment) -> str:
        path = self._workspace.below(model_of(live.resource))
        if path is None or live.version is versions.MISSING:
            raise BadConfiguration(
                f"The live deployment {live.name} of {self._target.endpoint} serves "
                f"{model_of(live.resource) or 'a script'}, which is not a model of the workspace "
                f"{self._workspace.name}; register its model there, and deploy that"
            )
        return path

    def _begin(self, model: Model, deployments: list[Deployment]) -> Pending | Refused:
        """Register the model and begin its deployment, a copy of the live one."""
        name = deployment_name(model)
        if any(is_same(each.name, name) for each in deployments):
            return Refused(
                f"The endpoint {self._target.endpoint} has a deployment {name} that serves another model than "
                f"{model.sha256[:12]}: somebody else made or changed it; delete it"
            )
        pattern = self._live_of(self._endpoint(), deployments).resource
        body = deployment_body(pattern, self._workspace.id, self._target, model, self._pipeline)
        self._listed = None
        try:
            with understood(f"The version of the model {model.sha256[:12]} {STRANGE}"):
                versions.register(self._workspace, self._target, model, self._pipeline)
            return look_again(self._workspace.put(f"{self._path}/deployments/{name}", body), _now())
        except BeingChanged:
            return LATER
        except ServiceRefused as error:
            return Refused(str(error))

    def _refused(self, deployment: Deployment) -> Refused:
        """Return why the deployment failed: what the operation says, and the end of the container's log."""
        reason = self._workspace.reason(deployment.resource)
        log_end = self._log_of(deployment.name)
        text = f"The deployment {deployment.name} of {self._target.endpoint} is {deployment.state}: {reason}"
        return Refused(readable(f"{text}\nThe end of its log:\n{log_end}" if log_end else text))

    def _log_of(self, deployment: str) -> str:
        """Return the end of the log of what serves, or of what loads the model where that is all there is."""
        for container in _CONTAINERS:
            body = {"containerType": container, "tail": LOG_LINES}
            try:
                answer = self._workspace.post(f"{self._path}/deployments/{deployment}/getLogs", body)
                content = answer.read(lambda found: str(found.get("content") or ""), "log").strip()
            except RetrainingError as error:
                return f"(it cannot be read: {error})"
            if content:
                return content[-LOG_CHARACTERS:]
        return ""

    def _named(self, shares: Mapping[str, int], endpoint: Mapping[str, Any]) -> dict[str, int]:
        """Return the shares above 0 by deployment. Few of them have to be listed: a model names its deployment."""
        there = {**shares_in(endpoint), **shares_in(endpoint, MIRROR)}
        named: dict[str, int] = {}
        for key, share in shares.items():
            if share:
                own = deployment_name(Model(sha256=key, size=0)) if _SHA256.fullmatch(key) else key
                named[own if own.lower() in there or own == key else self._name_of(key)] = share
        return named

    def _name_of(self, sha256: str) -> str:
        """Return the deployment that serves the model."""
        if sha256 not in self._known.names:
            self._deployments()
        if sha256 not in self._known.names:
            raise ServiceRefused(f"No deployment of {self._target.endpoint} serves the model {sha256[:12]}", 404)
        return self._known.names[sha256]

    def _delete(self, deployment: Deployment) -> bool:
        """Have the deployment deleted; return whether it is still there."""
        if deployment.state == "deleting":
            return True
        endpoint = self._endpoint()
        if deployment.name.lower() in {**shares_in(endpoint), **shares_in(endpoint, MIRROR)}:
            raise ServiceRefused(
                f"The deployment {deployment.name} of {self._target.endpoint} has traffic; it is not deleted", 409
            )
        self._listed = None
        try:
            return self._workspace.delete(f"{self._path}/deployments/{deployment.name}")
        except BeingChanged:
            return True


def _now() -> datetime:
    return datetime.now(UTC)


def _best(deployments: list[Deployment]) -> Deployment | None:
    """Return the one of several with the same model that answers, or that comes nearest to it."""
    ranks = {"succeeded": 0, "deleting": 3, **dict.fromkeys(_ENDED_BADLY, 2)}
    return min(deployments, key=lambda each: (ranks.get(each.state, 1), not each.made, each.name), default=None)


def _same(found: Mapping[str, int], asked: Mapping[str, int]) -> bool:
    return found == {name.lower(): share for name, share in asked.items() if share}
