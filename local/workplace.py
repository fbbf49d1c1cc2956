"""A whole workplace on this machine: Azurite, the local Studio with its web services, and the app's settings.

The demo, `up`, the tests and the benchmarks stand on it, with the committed sample as their pipelines file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy

from local.azurite import Azurite
from local.children import ROOT
from local.datasets import as_csv, breast_cancer
from local.studio import RunningStudio, running_studio
from studio.experiments.loading import load_experiment
from studio.publishing import PredictiveExperiment, Published

PIPELINE = "breast-cancer"
FIRST_ROWS = 100  #: what the first model, the one that is to be replaced, was trained on


@dataclass(frozen=True)
class Workplace:
    """`settings` is the app's environment; `header` and `rows` are the whole data set."""

    azurite: Azurite
    studio: RunningStudio
    settings: dict[str, str] = field(repr=False)
    first: PredictiveExperiment  #: whose model is live before the first promotion
    classic: Published
    new: Published
    header: list[str]
    rows: list[list[str]]
    container: str
    queue: str

    @property
    def blobs(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self.azurite.connection_string)

    @property
    def queues(self) -> QueueServiceClient:
        return QueueServiceClient.from_connection_string(self.azurite.connection_string)

    def drop(self, name: str, content: bytes) -> str:
        """Put a data set where the blob trigger watches; return its path within the container."""
        path = f"{PIPELINE}/{name}"
        self.blobs.get_blob_client(self.container, path).upload_blob(content, overwrite=True)
        return path

    def send(self, message: str) -> None:
        """Put a message on the promotion queue, base64 as many programs send it."""
        queue = self.queues.get_queue_client(self.queue, message_encode_policy=TextBase64EncodePolicy())
        queue.send_message(message)


@contextmanager
def workplace(azurite: Azurite, folder: Path, *flags: str, apart: str | None = None) -> Iterator[Workplace]:
    """Run a Studio, publish the breast cancer experiment Classic and New, and make the app's settings.

    `apart` ends the names of containers and queues, so that several may share one Azurite.
    """
    with running_studio(folder / "studio", azurite.connection_string, *flags) as studio:
        yield publish(azurite, studio, apart if apart is not None else uuid4().hex[:8])


def publish(azurite: Azurite, studio: RunningStudio, apart: str) -> Workplace:
    """Publish in a Studio that runs. `apart` ends every name, so that several may share Azurite and Studio."""
    end = f"-{apart}" if apart else ""
    header, rows = breast_cancer()
    experiment = studio.studio.run(load_experiment(PIPELINE), as_csv(header, rows[:FIRST_ROWS]))
    training = studio.studio.deploy_training(experiment.experiment)
    [classic] = studio.studio.deploy_classic(experiment)
    new = studio.studio.deploy_new(experiment, f"breastcancer{end}")
    container, queue = f"training-data{end}", f"model-promotions{end}"
    storage = azurite.connection_string
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
        "PIPELINES_FILE": str(ROOT / "pipelines.sample.yaml"),
        "BREAST_CANCER_TRAINING_ADDRESS": f"{studio.address}{training.path}",
        "BREAST_CANCER_TRAINING_KEY": training.key,
        "BREAST_CANCER_CLASSIC_ADDRESS": f"{studio.address}{classic.management}",
        "BREAST_CANCER_CLASSIC_SCORING_ADDRESS": f"{studio.address}{classic.path}",
        "BREAST_CANCER_CLASSIC_KEY": classic.key,
        "ARM_ADDRESS": studio.address,
        "ARM_TOKEN": studio.studio.identity.arm_token,
        "BREAST_CANCER_NEW_ID": new.management,
        "BREAST_CANCER_NEW_SCORING_ADDRESS": f"{studio.address}{new.path}",
        "BREAST_CANCER_NEW_KEY": new.key,
    }
    place = Workplace(azurite, studio, settings, experiment, classic, new, header, rows, container, queue)
    place.blobs.create_container(container)
    place.queues.create_queue(queue)
    return place
