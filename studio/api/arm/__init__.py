"""The resource manager, `Microsoft.MachineLearning`: New web services, commitment plans and workspaces.

Resource ids and member names are read in any case; members are answered in camelCase.
"""

from studio.api.arm import listing, operations, plans, provider, regional, services, workspaces
from studio.api.arm.scope import check_token

__all__ = ["ADDRESSES", "check_token"]

ADDRESSES = [
    *provider.ADDRESSES,
    *listing.ADDRESSES,
    *services.ADDRESSES,
    *regional.ADDRESSES,
    *operations.ADDRESSES,
    *plans.ADDRESSES,
    *workspaces.ADDRESSES,
]
