"""Where the calls of an endpoint go: what the gateway reads of it at every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aml.serving.backend import Backend
from aml.serving.replica import Order, Started
from aml.serving.split import Split
from aml.state.serving import Deployment, Endpoint


@dataclass(eq=False)
class Live:
    """What answers for a deployment. `started` is None while its process is started again after it ended by itself."""

    order: Order
    started: Started | None = None

    @property
    def backend(self) -> Backend | None:
        return self.started.backend if self.started else None


@dataclass(frozen=True)
class Route:
    """An endpoint's deployments by their names in lower case, each with its name and what answers."""

    endpoint: Endpoint
    traffic: Split
    mirror: Split
    deployments: Mapping[str, tuple[str, Live | None]] = field(default_factory=dict)


def make_route(
    endpoint: Endpoint, deployments: list[Deployment], live: Mapping[str, Live], former: Route | None
) -> Route:
    """Return the route. A split that stays the same goes on where it was."""
    return Route(
        endpoint,
        _split(endpoint.traffic, former.traffic if former else None),
        _split(endpoint.mirror, former.mirror if former else None),
        {each.name.lower(): (each.name, live.get(each.id)) for each in deployments},
    )


def _split(parts: Mapping[str, int], former: Split | None) -> Split:
    return former if former and former.parts == dict(parts) else Split(parts)
