"""Blob triggers by polling: a scan finds new versions, a receipt says that one was found, a hidden queue runs them.

Per candidate: the path fits, the version (ETag) has no complete receipt, the receipt is leased, the message is
queued, the receipt is completed. A crash in between queues it once more.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from local.host.functions import Function, Send, blob_argument, run
from local.host.queues import send
from local.host.settings import Wrong, filled

log = logging.getLogger("host")

HOSTS = "azure-webjobs-hosts"
POISON = "webjobs-blobtrigger-poison"


def hidden_queue(host_id: str) -> str:
    return f"azure-webjobs-blobtrigger-{host_id}"


class Watch:
    """One blob trigger: `container/pattern`, in which `{name}` stands for anything, slashes included."""

    def __init__(self, function: Function, data: BlobServiceClient) -> None:
        self.function, self.data = function, data
        path = filled(function.trigger["path"])
        self.container, _, pattern = path.partition("/")
        parts = re.split(r"\{[^{}]+\}", pattern)
        self._pattern = re.compile(".+".join(re.escape(part) for part in parts))
        self.latest: datetime | None = None
        if function.trigger.get("source", "LogsAndContainerScan") != "LogsAndContainerScan":
            raise Wrong(
                f"{function.name}: Event Grid does not run on this machine; set TRAINING_DATA_SOURCE to polling"
            )

    def fits(self, name: str) -> bool:
        return self._pattern.fullmatch(name) is not None

    def etag(self, name: str) -> str | None:
        """Return the blob's ETag with its quotes, or None when it is gone."""
        try:
            etag = self.data.get_blob_client(self.container, name).get_blob_properties().etag
        except ResourceNotFoundError:
            return None
        return f'"{etag.strip(chr(34))}"'


class BlobScan:
    """Scans the watched containers, and runs what the hidden queue holds."""

    def __init__(self, watches: Mapping[str, Watch], host: BlobServiceClient, queue: QueueClient, host_id: str) -> None:
        self._watches, self._queue, self._host_id = watches, queue, host_id
        self._receipts = host.get_container_client(HOSTS)

    def loop(self, stopping: threading.Event, every: float) -> None:
        while not stopping.is_set():
            for watch in self._watches.values():
                try:
                    self._scan(watch)
                except AzureError as error:
                    log.warning("The container %s cannot be scanned (%s)", watch.container, type(error).__name__)
            stopping.wait(every)

    def _scan(self, watch: Watch) -> None:
        try:
            blobs = list(watch.data.get_container_client(watch.container).list_blobs())
        except ResourceNotFoundError:
            return
        newest = watch.latest
        for blob in blobs:
            # Times have whole seconds, so the newest of the scan before is looked at again.
            if watch.latest is None or blob.last_modified >= watch.latest:
                newest = max(newest or blob.last_modified, blob.last_modified)
                if watch.fits(blob.name):
                    self._take(watch, blob.name)
        watch.latest = newest

    def _take(self, watch: Watch, name: str) -> None:
        etag = watch.etag(name)
        if etag is None:
            return
        path = f"blobreceipts/{self._host_id}/{watch.function.id}/{etag}/{watch.container}/{name}"
        receipt = self._receipts.get_blob_client(path)
        try:
            receipt.upload_blob(b"", overwrite=False, metadata={"Incomplete": "Incomplete"})
        except ResourceExistsError:
            if "Incomplete" not in receipt.get_blob_properties().metadata:
                return
        try:
            lease = receipt.acquire_lease(lease_duration=30)
        except ResourceExistsError:
            return  # another host is on it
        try:
            if "Incomplete" in receipt.get_blob_properties().metadata:
                send(self._queue, json.dumps(_message(watch, name, etag)))
                receipt.set_blob_metadata({}, lease=lease)
        finally:
            lease.release()

    def run_message(self, body: str, _id: str, _count: int) -> bool:
        """Run the function of a hidden message; False has it tried again."""
        message = json.loads(body)
        watch = self._watches.get(message["FunctionId"])
        if watch is None:
            return True  # the function was renamed or removed: dropped, as the host does
        name = message["BlobName"]
        if watch.etag(name) != message["ETag"]:
            return True  # gone, or a newer version that the scan finds by itself
        sends: dict[str, Send] = {}
        return run(watch.function, blob_argument(watch.function, message["ContainerName"], name), sends)


def _message(watch: Watch, name: str, etag: str) -> dict[str, str]:
    return {
        "Type": "BlobTrigger",
        "FunctionId": watch.function.id,
        "BlobType": "BlockBlob",
        "ContainerName": watch.container,
        "BlobName": name,
        "ETag": etag,
    }
