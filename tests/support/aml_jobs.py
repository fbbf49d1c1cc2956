"""Jobs of a local Azure Machine Learning workspace in this process: submitted, waited for, and read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite
from tests.support.aml import Here
from tests.support.waiting import until

FINAL = ("Completed", "Failed", "Canceled")
PYTHON = shlex.quote(sys.executable)


@contextmanager
def started(folder: Path, azurite: Azurite) -> Iterator[Here]:
    here = Here(folder, azurite.connection_string)
    here.jobs.start()
    try:
        yield here
    finally:
        here.jobs.stop()


def with_data(here: Here, blobs: BlobServiceClient) -> None:
    """Give the workspace an environment and two files of rows."""
    here.put("environments/python/versions/1", image="python:3.12")
    blobs.create_container(store(here))
    blobs.get_blob_client(store(here), "in/rows.csv").upload_blob(b"a,b\n1,2\n")
    blobs.get_blob_client(store(here), "in/more/rows.csv").upload_blob(b"a,b\n3,4\n")


def store(here: Here) -> str:
    return str(here.call("GET", "datastores/workspaceblobstore").json["properties"]["containerName"])


def submitted(here: Here, name: str, command: str, **more: Any) -> dict[str, Any]:
    place = f"{here.workspace.id}/environments/python/versions/1"
    answer = here.put(f"jobs/{name}", jobType="Command", command=command, environmentId=place, **more)
    assert answer.status == 201, answer.body
    return dict(answer.json["properties"])


def status(here: Here, name: str) -> str:
    return str(here.call("GET", f"jobs/{name}").json["properties"]["status"])


def ended(here: Here, name: str) -> str:
    until(lambda: status(here, name) in FINAL, lambda: status(here, name))
    return status(here, name)


def log_of(blobs: BlobServiceClient, name: str) -> str:
    blob = blobs.get_blob_client("azureml", f"ExperimentRun/dcid.{name}/user_logs/std_log.txt")
    return blob.download_blob().readall().decode()


def error_of(here: Here, name: str) -> str:
    details = here.call("GET", f"/history/v1.0{here.workspace.id}/runs/{name}/details").json
    return str(details["error"]["error"]["message"])


def paths(text: str) -> dict[str, str]:
    return {"jobInputType": "uri_folder" if text.endswith("/") else "uri_file", "uri": text}
