"""The Studio API, as far as clients ask it before anything else: data sets and experiments of a workspace.

The local Studio has neither: an experiment is a file, and data are in the storage.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from studio.api.context import Call, Context


def list_nothing(context: Context, call: Call) -> Response:
    context.owned_workspace(call)
    return JSONResponse([])


ADDRESSES = [
    ("workspace.datasources", "GET", "/api/workspaces/{workspace}/datasources", list_nothing),
    ("workspace.experiments", "GET", "/api/workspaces/{workspace}/experiments", list_nothing),
]
