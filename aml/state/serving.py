"""Online endpoints and their deployments, as they are kept. Every change of a state goes through the methods here."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from aml.state.records import Resource, now

MOVING = ("Creating", "Updating", "Scaling", "Deleting")  #: while in one of these, a resource takes no other write


class Served(Resource, frozen=True):
    """What has a long-running operation. `operation` is the id of the last one."""

    state: str = "Creating"
    operation: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """How an order for a fault names it: a deployment also by its endpoint."""
        return tuple(self.path.split("/")[1::2])

    @property
    def moves(self) -> bool:
        return self.state in MOVING

    def begun(self, state: str, operation: str, **changes: Any) -> Self:
        """Return the resource as the operation begins to change it."""
        return msgspec.structs.replace(self, state=state, operation=operation, modified=now(), **changes)

    def ended(self, operation: str, **changes: Any) -> Self | None:
        """Return the resource as the operation leaves it, or None when a later one has begun."""
        if self.operation != operation:
            return None
        return msgspec.structs.replace(self, **{"state": "Succeeded", **changes})


class AnyEndpoint(Served, frozen=True):
    """An endpoint of either kind."""

    identity: dict[str, Any] = {}
    kind: str = ""


class Endpoint(AnyEndpoint, frozen=True):
    """`properties` are as they were asked for; calls follow `traffic` and `mirror`, the map that was applied."""

    primary: str = ""
    secondary: str = ""
    traffic: dict[str, int] = {}
    mirror: dict[str, int] = {}

    def with_traffic(self, asked: Endpoint) -> Self | None:
        """Return the endpoint with the traffic that was asked for applied, or None when another change has begun."""
        maps = {name: asked.properties[name] for name in ("traffic", "mirrorTraffic")}
        applied = {"traffic": maps["traffic"], "mirror": maps["mirrorTraffic"]}
        return self.ended(asked.operation, properties={**self.properties, **maps}, **applied)

    @property
    def with_former_traffic(self) -> dict[str, Any]:
        """Its properties, with the traffic that was applied."""
        return {**self.properties, "traffic": self.traffic, "mirrorTraffic": self.mirror}

    def without(self, deployment: str) -> Self:
        """Return the endpoint without the zero that its maps may have for a deployment that is deleted."""
        maps = {name: self.properties[name] for name in ("traffic", "mirrorTraffic")}
        left = {name: {key: part for key, part in each.items() if key != deployment} for name, each in maps.items()}
        return msgspec.structs.replace(self, properties={**self.properties, **left})


class AnyDeployment(Served, frozen=True):
    """A deployment, below `{kind of endpoint}/{endpoint}/deployments`."""

    @property
    def endpoint(self) -> str:
        """The id of its endpoint."""
        return self.parent.rpartition("/")[0]


class BatchEndpoint(AnyEndpoint, frozen=True):
    """An endpoint whose calls start jobs. `properties` have the name of its default deployment."""

    @property
    def default(self) -> str:
        return str(self.properties["defaults"].get("deploymentName") or "")

    def without(self, deployment: str) -> Self | None:
        """Return the endpoint without a default, where that is the deployment."""
        if self.default.lower() != deployment.lower():
            return None
        return msgspec.structs.replace(self, properties={**self.properties, "defaults": {}})


class BatchDeployment(AnyDeployment, frozen=True):
    """A deployment of a batch endpoint: a pipeline component, of which each call makes a job."""


class Deployment(AnyDeployment, frozen=True):
    """A deployment, below `onlineendpoints/{endpoint}/deployments`.

    `folder` has what was last ordered, `served` is the folder of what answers: another one while a change is carried
    out and after one that failed, none before the first that succeeded. `serves` are the properties of what answers.
    """

    sku: dict[str, Any] = {}
    folder: str = ""
    served: str = ""
    serves: dict[str, Any] = {}
    instances: int = 1  #: of what answers

    @property
    def capacity(self) -> int:
        return int(self.sku.get("capacity") or 1)
