"""One workspace in a folder: its records, who it is, and where it stands in the resource manager."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from aml.identity.authority import new_authority
from aml.state.records import IDENTITY, Compute, Datastore, Identity, Records, Resource, make, now
from aml.storage.accounts import Account

PROVIDER = "Microsoft.MachineLearningServices"
DEFAULT_DATASTORE = "workspaceblobstore"
ARTIFACTS = "workspaceartifactstore"
LOGS = ("user_logs", "system_logs")  #: folders of a run's artifacts that the service itself writes


@dataclass(frozen=True)
class Names:
    """How a new workspace is called."""

    subscription: str = ""
    group: str = "relearn"
    workspace: str = "local"
    location: str = "westeurope"


class Workspace:
    """The folder is made, and closed to other users. `storage` is a connection string."""

    def __init__(self, folder: Path, storage: str, names: Names | None = None) -> None:
        self.folder, self.account = folder, Account(storage)
        self.records = Records(folder)
        self.identity = self.records.find_or_make(Identity, IDENTITY, lambda: _new_identity(names or Names()))
        for made in self._built_in():
            self.records.find_or_make(type(made), made.id, lambda made=made: made)  # type: ignore[misc]

    @property
    def id(self) -> str:
        """Its ARM id."""
        known = self.identity
        place = f"/subscriptions/{known.subscription}/resourceGroups/{known.group}/providers/{PROVIDER}"
        return f"{place}/workspaces/{known.workspace}"

    def _built_in(self) -> list[Resource]:
        containers = {DEFAULT_DATASTORE: f"azureml-blobstore-{self.identity.guid}", ARTIFACTS: "azureml"}
        stores: list[Resource] = [
            make(Datastore, f"datastores/{name}", self._blob_datastore(container, name == DEFAULT_DATASTORE))
            for name, container in containers.items()
        ]
        identity = {"type": "SystemAssigned"}
        cluster = make(Compute, "computes/cpu-cluster", compute_properties("Standard_DS3_v2", 2), identity=identity)
        return [*stores, cluster]

    def _blob_datastore(self, container: str, is_default: bool) -> dict[str, object]:
        return {
            "datastoreType": "AzureBlob",
            "accountName": self.account.name,
            "containerName": container,
            "endpoint": self.account.suffix,
            "protocol": "https",
            "isDefault": is_default,
            "credentials": {"credentialsType": "None"},
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
            "subscriptionId": self.identity.subscription,
            "resourceGroup": self.identity.group,
            "properties": {},
            "tags": {},
        }


def compute_properties(size: str, nodes: int) -> dict[str, object]:
    """Return a cluster that runs so many jobs at once."""
    scale = {"maxNodeCount": nodes, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    cluster = {"vmSize": size, "vmPriority": "Dedicated", "subnet": None, "scaleSettings": scale}
    return {"computeType": "AmlCompute", "provisioningState": "Succeeded", "properties": cluster}


def _new_identity(names: Names) -> Identity:
    return Identity(
        id=IDENTITY,
        subscription=names.subscription or str(uuid.uuid4()),
        group=names.group,
        workspace=names.workspace,
        location=names.location,
        guid=str(uuid.uuid4()),
        tenant=str(uuid.uuid4()),
        principal=str(uuid.uuid4()),
        created=now(),
        token_secret=secrets.token_urlsafe(32),
        identity_header=secrets.token_urlsafe(32),
        authority=new_authority(),
    )
