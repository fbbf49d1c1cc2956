"""Artifacts of runs as MLflow's client stores and reads them: blobs beside the logs of the run's job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobPrefix, ContainerClient
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.jobs.log import CONTAINER
from aml.runs import logged_models
from aml.runs.protocol import BASE, missing
from aml.runs.views import run_of
from aml.state.runs import artifacts_of
from aml.state.workspace import ARTIFACTS, LOGS
from aml.storage.addresses import place_of
from aml.storage.blobs import container_of

_RUN, _MODEL = "ExperimentRun/dcid.", "LocalUpload/"

Handler = Callable[[Context, Call], Response]


def _stored(handler: Handler) -> Handler:
    """Have a storage that cannot be used refused as what it is."""

    def answer(context: Context, call: Call) -> Response:
        try:
            return handler(context, call)
        except ResourceNotFoundError:
            raise _absent(call.names.get("path") or call.query.get("path") or "") from None
        except AzureError as error:
            message = f"The storage could not be used: {type(error).__name__}."
            raise ArmError(503, "TEMPORARILY_UNAVAILABLE", message) from None

    return answer


@_stored
def put(context: Context, call: Call) -> Response:
    path = _path(context, call.names["path"])
    inner = path.removeprefix(_RUN).removeprefix(_MODEL).partition("/")[2]
    if not inner or inner.partition("/")[0] in LOGS:
        raise bad_request(f"An artifact cannot be stored as {path[:200]!r}: it has a name, and is not a log.", "path")
    container_of(context.workspace.account, CONTAINER).upload_blob(path, call.body, overwrite=True)
    return scope.answer({})


@_stored
def get(context: Context, call: Call) -> Response:
    blob = _container(context).download_blob(_path(context, call.names["path"]))
    return Response(blob.readall(), media_type="application/octet-stream")


@_stored
def find(context: Context, call: Call) -> Response:
    """List a folder, each entry by its name."""
    path = _path(context, call.query.get("path") or "")
    return scope.answer({"files": [_shown(entry, f"{path}/") for entry in _entries(context, path)]})


@_stored
def find_of_run(context: Context, call: Call) -> Response:
    """List a folder of a run, each entry by its path from the run's own folder."""
    run = run_of(context, call.query.get("run_id") or call.query.get("run_uuid") or "")
    root = artifacts_of(run.name)
    path = _path(context, f"{root}{call.query.get('path') or ''}".rstrip("/"))
    files = [_shown(entry, root) for entry in _entries(context, path)]
    return scope.answer({"root_uri": f"mlflow-artifacts:/{root}", "files": files})


def _path(context: Context, path: str) -> str:
    """Return the path, which must be of a run, or of a model of no run, that is there."""
    place = place_of(context.workspace, f"azureml://datastores/{ARTIFACTS}/paths/{path}", "path").path.rstrip("/")
    if place.startswith(_RUN):
        run_of(context, place.removeprefix(_RUN).partition("/")[0])
    elif place.startswith(_MODEL):
        logged_models.of(context, place.removeprefix(_MODEL).partition("/")[0])
    else:
        message = f"The path {path[:200]!r} does not begin with {_RUN}RUN/, as a run's artifact_uri does."
        raise bad_request(message, "path")
    return place


def _entries(context: Context, path: str) -> list[Any]:
    try:
        found = _container(context).walk_blobs(name_starts_with=f"{path}/", delimiter="/")
        return sorted(found, key=lambda entry: str(entry.name))  # folders come before blobs
    except ResourceNotFoundError:  # the container: nothing was stored yet
        return []


def _shown(entry: Any, root: str) -> dict[str, Any]:
    folder = isinstance(entry, BlobPrefix)
    shown: dict[str, Any] = {"path": entry.name.removeprefix(root).rstrip("/"), "is_dir": folder}
    return shown if folder else {**shown, "file_size": entry.size}


def _container(context: Context) -> ContainerClient:
    return context.workspace.account.client.get_container_client(CONTAINER)


def _absent(path: str) -> ArmError:
    return missing(f"There is no artifact {path[:300]!r}.")


_ARTIFACTS = f"{BASE}/mlflow-artifacts/artifacts"
ADDRESSES = [
    ("mlflow.artifacts", "GET", _ARTIFACTS, find),
    ("mlflow.artifacts", "GET", f"{BASE}/mlflow/artifacts/list", find_of_run),
    ("mlflow.artifacts", "GET", f"{_ARTIFACTS}/{{path:path}}", get),
    ("mlflow.artifacts", "PUT", f"{_ARTIFACTS}/{{path:path}}", put),
]
