"""Artifacts of runs as MLflow's client stores and reads them: blobs beside the logs of the run's job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobPrefix, ContainerClient
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.runs import logged_models
from aml.runs.protocol import BASE, missing
from aml.runs.sources import VERSIONS, is_folder_of_version, place_of_version
from aml.runs.views import run_of
from aml.state.runs import artifacts_of
from aml.state.workspace import ARTIFACTS, LOGS
from aml.storage.addresses import Place, place_of
from aml.storage.blobs import container_of, is_file

_RUN, _MODEL = "ExperimentRun/dcid.", "LocalUpload/"

Handler = Callable[[Context, Call], Response]


def stored(handler: Handler) -> Handler:
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


@stored
def put(context: Context, call: Call) -> Response:
    place = writable(context, call.names["path"])
    container_of(context.workspace.account, place.container).upload_blob(place.path, call.body, overwrite=True)
    return scope.answer({})


@stored
def get(context: Context, call: Call) -> Response:
    place = checked(context, call.names["path"])
    blob = _container(context, place).download_blob(place.path)
    return Response(blob.readall(), media_type="application/octet-stream")


@stored
def find(context: Context, call: Call) -> Response:
    """List a folder, each entry by its name."""
    path = call.query.get("path") or ""
    place = checked(context, path)
    files = [_shown(entry, f"{place.path}/") for entry in _entries(context, place)]
    if not files and is_folder_of_version(path):
        files = [{"path": name, "is_dir": False} for name in blobs_below(context, place)]
    return scope.answer({"files": files})


@stored
def find_of_run(context: Context, call: Call) -> Response:
    """List a folder of a run, each entry by its path from the run's own folder."""
    run = run_of(context, call.query.get("run_id") or call.query.get("run_uuid") or "")
    root = artifacts_of(run.name)
    place = checked(context, f"{root}{call.query.get('path') or ''}".rstrip("/"))
    files = [_shown(entry, root) for entry in _entries(context, place)]
    return scope.answer({"root_uri": f"mlflow-artifacts:/{root}", "files": files})


def writable(context: Context, path: str) -> Place:
    """Return the place of a new artifact."""
    place = checked(context, path)
    inner = place.path.removeprefix(_RUN).removeprefix(_MODEL).partition("/")[2]
    if path.startswith(VERSIONS) or not inner or inner.partition("/")[0] in LOGS:
        message = "an artifact has a name, and is not a log or of a registered model"
        raise bad_request(f"Nothing can be stored as {path[:200]!r}: {message}.", "path")
    return place


def checked(context: Context, path: str) -> Place:
    """Return the place of a path, which must be of a run, a model of no run, or a version that is there."""
    if path.startswith(VERSIONS):
        place = place_of_version(context, path)
        return replace(place, path=place.path.rstrip("/"))
    place = place_of(context.workspace, f"azureml://datastores/{ARTIFACTS}/paths/{path}", "path")
    if place.path.startswith(_RUN):
        run_of(context, place.path.removeprefix(_RUN).partition("/")[0])
    elif place.path.startswith(f"{_MODEL}m-"):
        logged_models.of(context, place.path.removeprefix(_MODEL).partition("/")[0])
    elif not place.path.startswith(_MODEL):  # the plug-in uploads local models to its own containers
        message = f"The path {path[:200]!r} does not begin with {_RUN}RUN/, as a run's artifact_uri does."
        raise bad_request(message, "path")
    return replace(place, path=place.path.rstrip("/"))


def _entries(context: Context, place: Place) -> list[Any]:
    try:
        found = _container(context, place).walk_blobs(name_starts_with=f"{place.path}/", delimiter="/")
        return sorted(found, key=lambda entry: str(entry.name))  # folders come before blobs
    except ResourceNotFoundError:  # the container: nothing was stored yet
        return []


def blobs_below(context: Context, place: Place) -> list[str]:
    """Return the paths of all artifacts below the place, from there on, or the name of the one that is the place."""
    try:
        names = list(_container(context, place).list_blob_names(name_starts_with=f"{place.path}/"))
    except ResourceNotFoundError:
        return []
    if not names and is_file(context.workspace.account, place):
        return [place.path.rpartition("/")[2]]
    return [str(name).removeprefix(f"{place.path}/") for name in names]


def _shown(entry: Any, root: str) -> dict[str, Any]:
    folder = isinstance(entry, BlobPrefix)
    shown: dict[str, Any] = {"path": entry.name.removeprefix(root).rstrip("/"), "is_dir": folder}
    return shown if folder else {**shown, "file_size": entry.size}


def _container(context: Context, place: Place) -> ContainerClient:
    return context.workspace.account.client.get_container_client(place.container)


def _absent(path: str) -> ArmError:
    return missing(f"The artifact {path[:300]!r} does not exist.")


_ARTIFACTS = f"{BASE}/mlflow-artifacts/artifacts"
ADDRESSES = [
    ("mlflow.artifacts", "GET", _ARTIFACTS, find),
    ("mlflow.artifacts", "GET", f"{BASE}/mlflow/artifacts/list", find_of_run),
    ("mlflow.artifacts", "GET", f"{_ARTIFACTS}/{{path:path}}", get),
    ("mlflow.artifacts", "PUT", f"{_ARTIFACTS}/{{path:path}}", put),
]
