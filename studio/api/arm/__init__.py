"""The resource manager, `Microsoft.MachineLearning`: New web services, commitment plans and workspaces.

Resource ids and member names are read in any case; members are answered in camelCase.
"""

from studio.api.arm import listing, operations, plans, provider, regional, services, workspaces

ADDRESSES = [
    *provider.ADDRESSES,
    *listing.ADDRESSES,
    *services.ADDRESSES,
    *regional.ADDRESSES,
    *operations.ADDRESSES,
    *plans.ADDRESSES,
    *workspaces.ADDRESSES,
]
