"""What the workspace can be ordered to do wrong. An order's `endpoint` names an endpoint, a deployment or a job."""

from __future__ import annotations

from typing import ClassVar

from service.faults import orders

_OF_CALLS = {**orders.OF_CALLS, "expired token": "401: the token of the caller counts as expired"}


class Faults(orders.Faults):
    KINDS: ClassVar = {
        **_OF_CALLS,
        "updating": "a write of an endpoint or deployment is refused, as if it were in Updating provisioning state",
        "failing operation": "a write is accepted; its operation fails `seconds` (0) later and leaves the state Failed",
        "endless operation": "a write is accepted, and its operation goes on until the server ends",
        "out of quota": "a PUT of a deployment is accepted; its operation fails with OutOfQuota",
        "no effect": "a PUT of an endpoint ends well, and its traffic is the former one",
        "deaf": "a PUT ends well and is shown; an endpoint's calls follow the former traffic, a deployment serves the "
        "model that it served before, or else the model of the deployment with the most traffic",
        "late": "a PUT of an endpoint ends well, and its traffic is the former one for `seconds` (30)",
        "model error": "a call is answered 424: the container answered 500",
        "other writer": "after a GET of an endpoint, somebody's PUT gives all traffic to the deployment with the least",
        "dropped traffic": "somebody's PUT drops the traffic of the endpoint before the call, which is answered 404",
        "stuck": "a job stays `state` (Queued or Running) until it is cancelled",
        "failed job": "a job ends Failed, although its command ended well",
        "canceled job": "a job is cancelled when its command has ended, as if by somebody else",
        "not responding": "a job that runs shows NotResponding",
        "unknown status": "a job that has not ended shows Unknown",
        "missing output": "a job ends Completed and has kept no output",
        "empty output": "a job ends Completed, and each file of its outputs is empty",
        "late metrics": "a run shows no metrics until `seconds` (30) after its job ended",
        "no logged models": "calls of MLflow 3's logged models are answered 404 without a body, as the service does",
        "nan metrics": "the metrics of a run are NaN",
    }
    OF_CALLS: ClassVar = tuple(_OF_CALLS)
    SECONDS: ClassVar = {"late": 30.0, "late metrics": 30.0}
    MEMBERS: ClassVar = {
        **orders.MEMBERS,
        "operation": (
            str,
            "narrow a kind that strikes any call to an operation, as arm.jobs.put, or bucket, as arm.reads",
        ),
        "endpoint": (str, "strike only this endpoint, deployment, job or asset, given by name"),
        "state": (str, "of a stuck job: Queued or Running"),
    }
    STATES: ClassVar = ("Queued", "Running")
