"""The traffic of an endpoint: whole per cent by deployment. No I/O.

A PUT of an endpoint replaces all that it does not name, so it is written as it was read, with other shares.
"""

from collections.abc import Mapping
from typing import Any

from shared.adapters.azureml.deployments import identity_for_writing, is_our_name
from shared.adapters.azureml.workspace import for_writing

TRAFFIC, MIRROR = "traffic", "mirrorTraffic"


def shares_in(endpoint: Mapping[str, Any], member: str = TRAFFIC) -> dict[str, int]:
    """Return the shares above 0 by the deployments' names in lower case."""
    given = endpoint["properties"].get(member) or {}
    return {str(name).lower(): int(share) for name, share in given.items() if share}


def live_deployment(endpoint: Mapping[str, Any]) -> str | None:
    """Return the name, in lower case, of the deployment with the most traffic; None where no deployment has any."""
    shares = shares_in(endpoint)
    return max(shares, key=lambda name: shares[name], default=None)


def mirrored(endpoint: Mapping[str, Any], asked: Mapping[str, int]) -> dict[str, int]:
    """Return the mirrored traffic that shall be: as asked, and where nothing is asked, what others have made.

    A deployment that this app made gets copies of calls only while they are asked for.
    """
    if asked:
        return dict(asked)
    there = endpoint["properties"].get(MIRROR) or {}
    return {name: share for name, share in there.items() if share and not is_our_name(name)}


def with_shares(endpoint: Mapping[str, Any], traffic: Mapping[str, int], mirror: Mapping[str, int]) -> dict[str, Any]:
    """Return the endpoint to write. As the official client does, it has no deployment with 0."""
    body = for_writing(endpoint)
    maps = {TRAFFIC: dict(traffic), MIRROR: dict(mirror)}
    return {**body, **identity_for_writing(body), "properties": {**body["properties"], **maps}}
