"""The files of the sample, read by the client as `az ml` reads them. Nothing is sent."""

from pathlib import Path

from azure.ai.ml import (
    load_component,
    load_compute,
    load_datastore,
    load_environment,
    load_job,
    load_model,
    load_online_deployment,
    load_online_endpoint,
)
from report import report

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "azureml"
READERS = {
    "component.yml": load_component,
    "compute.yml": load_compute,
    "datastore-batches.yml": load_datastore,
    "datastore-models.yml": load_datastore,
    "deployment.yml": load_online_deployment,
    "endpoint.yml": load_online_endpoint,
    "environment.yml": load_environment,
    "first-job.yml": load_job,
    "model.yml": load_model,
    "traffic.yml": load_online_endpoint,
}


def run():
    files = sorted(file.name for file in SAMPLES.glob("*.yml") if file.name != "conda.yml")
    report(
        "the sample's files are read", {name: READERS[name](SAMPLES / name).name for name in files if name in READERS}
    )
    report("each file of the sample is known", files == sorted(READERS))
