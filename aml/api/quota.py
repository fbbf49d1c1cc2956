"""Sizes of machines, and how many cores of each family are used.

`Usages_List` and `VirtualMachineSizes_List` of Azure's REST interface, version 2024-04-01. Nothing is refused for it.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.state.serving import Deployment
from aml.state.workspace import PROVIDER

LIMIT = 100  #: cores of a family
SIZES = {  # family, cores, GB of memory
    "Standard_DS2_v2": ("standardDSv2Family", 2, 7),
    "Standard_DS3_v2": ("standardDSv2Family", 4, 14),
    "Standard_DS4_v2": ("standardDSv2Family", 8, 28),
    "Standard_F4s_v2": ("standardFSv2Family", 4, 8),
}


def list_sizes(_: Context, __: Call) -> Response:
    return scope.answer(
        {
            "value": [
                {"name": name, "family": family, "vCPUs": cores, "gpus": 0, "memoryGB": memory}
                for name, (family, cores, memory) in SIZES.items()
            ]
        }
    )


def list_usages(context: Context, _: Call) -> Response:
    """Answer the cores that online deployments use; a deployment of a size that is not listed counts nothing."""
    used = dict.fromkeys((family for family, *_ in SIZES.values()), 0)
    for each in context.workspace.records.all(Deployment):
        if known := SIZES.get(str(each.properties.get("instanceType"))):
            used[known[0]] += known[1] * each.capacity
    return scope.answer({"value": [_usage(family, cores) for family, cores in used.items()]})


def _usage(family: str, cores: int) -> dict[str, Any]:
    kind = f"{PROVIDER}/vmFamily/dedicatedCores/usages"
    return {
        "type": kind,
        "unit": "Count",
        "currentValue": cores,
        "limit": LIMIT,
        "name": {"value": family, "localizedValue": family},
    }


_PLACE = f"{scope.SUBSCRIPTION}/providers/{PROVIDER}/locations/{{location}}"
ADDRESSES = [
    ("arm.sizes", "GET", f"{_PLACE}/vmSizes", list_sizes),
    ("arm.usages", "GET", f"{_PLACE}/usages", list_usages),
]
