"""The local Azure Machine Learning workspace as a child process, and the sample's component and endpoint in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy

from aml.cli.env import variables
from aml.cli.imports import make_one, read_files
from aml.cli.place import identity_of
from aml.cli.running import open_running
from aml.identity.authority import AUTHORITY
from aml.importing.assets import Assets
from aml.remote import Remote
from local.azurite import Azurite
from local.children import PATIENCE, ROOT, Child, NotStarted, python_child
from local.datasets import as_csv, breast_cancer

PIPELINE = ENDPOINT = "breast-cancer"
SAMPLE = ROOT / "samples" / "azureml"
FIRST_ROWS = 100  #: what the first model, the one that is to be replaced, is trained on
BATCHES, MODELS = "batches", "models"  #: containers of the app that jobs and deployments read
#: the variables by which the app's identity gets its tokens from the workspace, and trusts its certificate
LEADING = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE")
ENDED = {"Completed", "Failed", "Canceled"}


@dataclass(frozen=True)
class RunningWorkspace:
    """`settings` are the variables that lead a program here; they hold a secret."""

    address: str
    id: str
    control: str  #: address of the faults' control; empty unless the flag --control was given
    settings: dict[str, str] = field(repr=False)
    remote: Remote
    child: Child


@contextmanager
def running_workspace(folder: Path, storage: str, *flags: str) -> Iterator[RunningWorkspace]:
    """Run the workspace on a free port until the context ends. `storage` is its connection string."""
    with python_child(["aml", "serve", "--data", str(folder), *flags], {"AML_STORAGE": storage}) as child:
        address = str(child.said["address"])
        settings = variables(identity_of(folder), address, str((folder / AUTHORITY).resolve()))
        control = str(child.said.get("control", ""))
        yield RunningWorkspace(address, str(child.said["workspace"]), control, settings, open_running(folder), child)


@dataclass(frozen=True)
class AzureMLPlace:
    """`settings` is the app's environment; `header` and `rows` are the whole data set."""

    azurite: Azurite
    workspace: RunningWorkspace
    settings: dict[str, str] = field(repr=False)
    header: list[str]
    rows: list[list[str]]
    container: str
    queue: str

    @property
    def blobs(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self.azurite.connection_string)

    def drop(self, name: str, content: bytes) -> str:
        """Put a data set where the blob trigger watches; return its path within the container."""
        path = f"{PIPELINE}/{name}"
        self.blobs.get_blob_client(self.container, path).upload_blob(content, overwrite=True)
        return path

    def send(self, message: str) -> None:
        """Put a message on the promotion queue, base64 as many programs send it."""
        queues = QueueServiceClient.from_connection_string(self.azurite.connection_string)
        queue = queues.get_queue_client(self.queue, message_encode_policy=TextBase64EncodePolicy())
        queue.send_message(message)


@contextmanager
def azureml_place(azurite: Azurite, folder: Path, *flags: str, apart: str | None = None) -> Iterator[AzureMLPlace]:
    """Run a workspace with the sample's component and a live first model, and make the app's settings."""
    with running_workspace(folder / "aml", azurite.connection_string, *flags) as workspace:
        yield publish(azurite, workspace, apart if apart is not None else uuid4().hex[:8])


def publish(azurite: Azurite, workspace: RunningWorkspace, apart: str, own: Path = SAMPLE) -> AzureMLPlace:
    """Publish in a workspace that runs. `apart` ends the names of container and queue.

    Files in the folder `own` take the place of the sample's files that have the same names.
    """
    end = f"-{apart}" if apart else ""
    header, rows = breast_cancer()
    container, queue, storage = f"training-data{end}", f"model-promotions{end}", azurite.connection_string
    settings = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": storage,
        "TRAINING_DATA": storage,
        "TRAINING_DATA_PATH": f"{container}/{{name}}",
        "TRAINING_DATA_SOURCE": "polling",
        "RETRAINING_STORE": storage,
        "PROMOTIONS": storage,
        "PROMOTIONS_QUEUE": queue,
        "POLL_SCHEDULE": "* * * * * *",
        "SWEEP_SCHEDULE": "*/20 * * * * *",
        "PIPELINES_FILE": str(SAMPLE / "pipelines.yaml"),
        "AML_WORKSPACE": workspace.id,
        "AML_ADDRESS": workspace.address,
        **{name: workspace.settings[name] for name in LEADING},
    }
    place = AzureMLPlace(azurite, workspace, settings, header, rows, container, queue)
    for name in (container, BATCHES, MODELS):
        if not place.blobs.get_container_client(name).exists():
            place.blobs.create_container(name)
    with suppress(ResourceExistsError):
        QueueServiceClient.from_connection_string(storage).create_queue(queue)
    _open_datastores(workspace.remote, str(place.blobs.account_name))
    first = as_csv(header, rows[:FIRST_ROWS])
    place.blobs.get_blob_client(BATCHES, "first/rows.csv").upload_blob(first, overwrite=True)
    make = partial(_make, workspace.remote, own)
    make("environment.yml", "component.yml")
    _await_job(workspace.remote, *make("first-job.yml"))
    make("model.yml", "endpoint.yml", "deployment.yml")
    make("traffic.yml")
    return place


def _open_datastores(remote: Remote, account: str) -> None:
    """Have the workspace read the app's containers, as itself."""
    for name in (BATCHES, MODELS):
        store = {
            "datastoreType": "AzureBlob",
            "accountName": account,
            "containerName": name,
            "credentials": {"credentialsType": "None"},
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
        }
        remote.put(f"datastores/relearn_{name}", {"properties": store})


def _make(remote: Remote, own: Path, *names: str) -> list[str]:
    """Make what the files of these names describe; return the names of what is made."""
    assets, files = Assets(remote), [own / name if (own / name).exists() else SAMPLE / name for name in names]
    return [make_one(assets, document, kind) for document, kind in read_files(files)]


def _await_job(remote: Remote, name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (state := remote.get(f"jobs/{name}")["properties"]["status"]) not in ENDED:
        if time.monotonic() > deadline:
            raise NotStarted(f"the job {name} of the first model is still {state} after {PATIENCE:.0f} s")
        time.sleep(0.1)
    if state != "Completed":
        raise NotStarted(f"the job {name} of the first model is {state}; its log: python3 run.py aml logs {name}")
