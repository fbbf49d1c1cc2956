"""Where the data of a job's outputs is, by the ids of assets that run history names."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.storage.addresses import resolved


def data_uris(context: Context, call: Call) -> Response:
    return _answered(context, call, lambda uri: {"uri": uri, "type": "UriFolder"})


def model_uris(context: Context, call: Call) -> Response:
    return _answered(context, call, lambda uri: {"path": uri})


def _answered(context: Context, call: Call, shown: Any) -> Response:
    """Answer the address of each asset. One that is not there is left out."""
    ids = call.json().get("values")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise bad_request("The member 'values' must be a list of ids.", "values")
    found = {}
    for each in ids:
        try:
            found[each] = shown(resolved(context.workspace, each))
        except ArmError:
            continue
    return scope.answer({"values": found})


ADDRESSES = [
    ("history.outputs", "POST", f"/data/v1.0{scope.WORKSPACE}/dataversion/batchGetResolvedUris", data_uris),
    ("history.outputs", "POST", f"/dataset/v1.0{scope.WORKSPACE}/dataversion/batchGetResolvedUris", data_uris),
    ("history.outputs", "POST", f"/modelregistry/v1.0{scope.WORKSPACE}/models/batchGetResolvedUris", model_uris),
]
