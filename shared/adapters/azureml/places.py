"""Where a registered model is in the storage: its `modelUri` becomes the address of a blob or of a folder."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.adapters.azureml.versions import datastore_and_path
from shared.adapters.azureml.workspace import Workspace
from shared.base.errors import BadConfiguration
from shared.domain.ports import BlobReference

_OUTPUT = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)(?:/|/paths/(.*))?", re.IGNORECASE)
_RUN = re.compile(r"runs:/([^/]+)/(.+)")
_ARTIFACTS = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{}/{}"
_DEFAULT = "azureml://datastores/workspaceblobstore/paths/azureml/{}/{}/"


@dataclass(frozen=True)
class OwnStorage:
    """The app's own storage: its address, with a final slash, the account's name, and the container of models."""

    address: str
    account: str
    models: str = "models"

    def kept(self, sha256: str) -> BlobReference:
        """Return where the kept model of that SHA-256 is."""
        return BlobReference(self.address, f"{self.models}/{sha256}/")


def folder_of(workspace: Workspace, own: OwnStorage, address: str) -> BlobReference:
    """Return the folder that a model's address names, or the one blob of that name.

    A model is read as a folder, so the reference always ends with a slash.
    """
    if run := _RUN.fullmatch(address):
        address = _ARTIFACTS.format(*run.groups())
    elif output := _OUTPUT.fullmatch(address):
        address = _of_output(workspace, *output.groups(""))
    if found := datastore_and_path(address):
        return _in_datastore(workspace, own, *found)
    parts = urlsplit(address)
    if parts.scheme == "https":
        base, path = f"https://{parts.netloc}/", parts.path.lstrip("/")
    elif parts.scheme in ("wasbs", "abfss") and parts.username:
        host = (parts.hostname or "").replace(".dfs.", ".blob.")
        base, path = f"https://{host}/", f"{parts.username}{parts.path}"
    else:
        raise BadConfiguration(f"The live model is at {address[:200]!r}, which is not an address of a storage")
    return BlobReference(base, f"{unquote(path).rstrip('/')}/")


def _of_output(workspace: Workspace, job: str, output: str, path: str) -> str:
    """Return the address of an output of a job, in a datastore; what its run logged is the output `artifacts`."""
    if output == "artifacts":
        return _ARTIFACTS.format(job, path)
    found = workspace.find(f"jobs/{job}") or {}
    outputs: dict[str, Any] = (found.get("properties") or {}).get("outputs") or {}
    base = str((outputs.get(output) or {}).get("uri") or _DEFAULT.format(job, output))
    return f"{base.rstrip('/')}/{path}"


def _in_datastore(workspace: Workspace, own: OwnStorage, name: str, path: str) -> BlobReference:
    properties = workspace.get(f"datastores/{name}")["properties"]
    account, container = properties.get("accountName"), properties.get("containerName")
    if not account or not container:
        raise BadConfiguration(f"The live model is in the datastore {name}, which is not a container of blobs")
    if account == own.account:
        base = own.address
    else:
        base = f"https://{account}.blob.{properties.get('endpoint') or 'core.windows.net'}/"
    return BlobReference(base, f"{container}/{unquote(path)}/")
