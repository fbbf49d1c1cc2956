"""Where the files of a version are that MLflow registers, and how MLflow's client reads those of any version."""

from __future__ import annotations

import re

from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.runs import logged_models
from aml.runs.protocol import missing
from aml.state.models import versions_id
from aml.state.records import Version
from aml.state.runs import artifacts_of
from aml.state.workspace import ARTIFACTS
from aml.storage.addresses import Place, below, place_of, resolved
from aml.storage.blobs import is_file

VERSIONS, FOLDER = "Models/", "model/"  #: where the files of versions are read: `Models/{name}:{version}/model/`
_OF_RUN = re.compile(
    r"azureml://.*/workspaces/[^/]+/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts/(?P<path>.+)", re.I
)
_UPLOADED = re.compile(r"azureml://(?:artifacts/)?(?P<path>(?:ExperimentRun|LocalUpload)/.+)", re.I)
_LOGGED = re.compile(r"models:/(?P<model>m-\w+)")
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[^/@]+)")


def address_of(context: Context, source: str) -> tuple[str, str]:
    """Return the address of a source, and the id of the logged model that it is."""
    model, address = "", source
    if found := _LOGGED.fullmatch(source):
        model = found["model"]
        address = _artifacts(logged_models.of(context, model).artifacts)
    elif found := _VERSION.fullmatch(source):
        address = f"{context.workspace.id}/models/{found['name']}/versions/{found['version']}"
    elif source.startswith("mlflow-artifacts:/"):
        address = _artifacts(source.removeprefix("mlflow-artifacts:").lstrip("/"))
    elif found := _OF_RUN.fullmatch(source):
        address = _artifacts(f"{artifacts_of(found['run'])}{found['path']}")
    elif found := _UPLOADED.fullmatch(source):
        address = _artifacts(found["path"])
    address = resolved(context.workspace, address, "source")
    if place_of(context.workspace, address, "source").path.strip("/") == "":
        raise bad_request(f"The source {source[:200]!r} names a whole container.", "source")
    return address, model


def readable(call: Call, version: Version) -> str:
    """Return the address at which MLflow's client reads the files of a version, wherever they are."""
    scheme = "mlflow-artifacts:" if call.names["release"] == "v1.0" else "azureml://artifacts"  # that of the plug-in
    return f"{scheme}/{VERSIONS}{version.path.split('/')[1]}:{version.name}/{FOLDER}".rstrip("/")


def is_folder_of_version(path: str) -> bool:
    """Return whether the path is `Models/{name}:{version}/model`."""
    return path.startswith(VERSIONS) and path.strip("/").partition("/")[2].partition("/")[2] == FOLDER.rstrip("/")


def place_of_version(context: Context, path: str) -> Place:
    """Return the place of `Models/{name}:{version}/model/...`."""
    which, _, inner = path.removeprefix(VERSIONS).partition("/")
    name, _, version = which.partition(":")
    found = context.workspace.records.find(Version, f"{versions_id(name)}/{version}".lower())
    if found is None:
        raise missing(f"Model Version (name={name[:255]}, version={version[:80]}) not found")
    address, inner = found.properties["modelUri"].rstrip("/"), f"{inner}/".removeprefix(FOLDER).rstrip("/")
    file = place_of(context.workspace, address, "path")
    if inner == file.path.rpartition("/")[2] and is_file(context.workspace.account, file):
        return file  # a model of one file is read as a folder that has this file alone
    return below(place_of(context.workspace, f"{address}/", "path"), inner)


def _artifacts(path: str) -> str:
    return f"azureml://datastores/{ARTIFACTS}/paths/{path}"
