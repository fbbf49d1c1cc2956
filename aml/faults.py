"""What the workspace can be ordered to do wrong. An order's `endpoint` names an endpoint or a deployment."""

from __future__ import annotations

from typing import ClassVar

from service.faults import orders


class Faults(orders.Faults):
    KINDS: ClassVar = {
        **orders.OF_CALLS,
        "updating": "a write of an endpoint or deployment is refused, as if it were in Updating provisioning state",
        "failing operation": "a write is accepted; its operation fails `seconds` (0) later and leaves the state Failed",
        "endless operation": "a write is accepted, and its operation goes on until the server ends",
        "out of quota": "a PUT of a deployment is accepted; its operation fails with OutOfQuota",
        "no effect": "a PUT of an endpoint ends well, and its traffic is the former one",
        "deaf": "a PUT ends well and is shown; an endpoint's calls follow the former traffic, a deployment serves the "
        "model that it served before, or else that of the deployment with the most traffic",
        "late": "a PUT of an endpoint ends well, and its traffic is the former one for `seconds` (30)",
        "model error": "a call is answered 424: the container answered 500",
        "dropped traffic": "somebody's PUT drops the traffic of the endpoint before the call, which is answered 404",
    }
    SECONDS: ClassVar = {"late": 30.0}
