"""Artifacts as MLflow's plug-in asks for them: by links to the storage, of a run or of an origin and a container."""

from __future__ import annotations

from typing import Any

from azure.storage.blob import BlobSasPermissions
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.jobs.log import link_to
from aml.runs.artifacts import blobs_below, checked, stored, writable
from aml.runs.sources import FOLDER, VERSIONS
from aml.state.runs import artifacts_of
from aml.storage.blobs import container_of
from service.guard import is_for_this_machine

_MOST = 1000  #: links of an answer


@stored
def find(context: Context, call: Call) -> Response:
    """List all artifacts below the root; those of a version are in its folder."""
    root = _root(call)
    folder = FOLDER if root.startswith(VERSIONS) else ""
    names = blobs_below(context, checked(context, f"{root}{folder}"))
    return scope.answer({"value": [_named(call, f"{folder}{name}") for name in names]})


@stored
def content(context: Context, call: Call) -> Response:
    """Answer a link that reads the artifact, by the account's real name: the plug-in reads from no other host."""
    path = call.query.get("path") or ""
    place = checked(context, f"{_root(call)}{path}")
    account = context.workspace.account
    blob = account.client.get_blob_client(place.container, place.path)
    if not blob.exists():
        raise ArmError(404, "UserError", f"The artifact {path[:300]!r} does not exist.")
    link = link_to(blob).replace(account.address, f"https://{account.name}.blob.{account.suffix}", 1)
    return scope.answer({**_named(call, path), "contentUri": link})


@stored
def prepare(context: Context, call: Call) -> Response:
    """Answer links that write artifacts."""
    given = call.json().get("paths")
    if not isinstance(given, list) or len(given) > _MOST or not all(isinstance(each, dict) for each in given):
        raise bad_request(f"The member 'paths' must be a list of at most {_MOST} objects with a path.", "paths")
    account, host = context.workspace.account, call.base.partition("://")[2].partition(":")[0]
    artifacts, links = {}, {}
    for each in given:
        path = str(each.get("path") or "")
        place = writable(context, f"{_root(call)}{path}")
        blob = container_of(account, place.container).get_blob_client(place.path)
        link = link_to(blob, BlobSasPermissions(read=True, write=True, create=True, add=True))
        if not is_for_this_machine(host):
            link = link.replace(account.address, f"https://{account.name}.blob.{account.suffix}", 1)
        artifacts[path] = _named(call, path)
        links[path] = {**artifacts[path], "contentUri": link}
    return scope.answer({"artifacts": artifacts, "artifactContentInformation": links, "errors": {}})


def _origin(call: Call) -> tuple[str, str]:
    if run := call.names.get("run"):
        return "ExperimentRun", f"dcid.{run}"
    return call.names["origin"], call.names["container"]


def _root(call: Call) -> str:
    run = call.names.get("run")
    return artifacts_of(run) if run else "/".join([*_origin(call), ""])


def _named(call: Call, path: str) -> dict[str, Any]:
    origin, container = _origin(call)
    return {"artifactId": f"{origin}/{container}/{path}", "origin": origin, "container": container, "path": path}


_RUN = f"/history/v1.0{scope.WORKSPACE}/experiments/{{experiment}}/runs/{{run}}/artifacts"
_CONTAINER = f"/artifact/v2.0{scope.WORKSPACE}/artifacts/{{origin}}/{{container}}"
ADDRESSES = [
    each
    for root in (_RUN, _CONTAINER)
    for each in (
        ("history.artifacts", "GET", root, find),
        ("history.artifacts", "GET", f"{root}/contentinfo", content),
        ("history.artifacts", "POST", f"{root}/batch/metadata", prepare),
    )
]
