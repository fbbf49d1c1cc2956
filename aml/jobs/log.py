"""The log of a job: a file here, and the blob `user_logs/std_log.txt` of its run, to which it is added as it grows."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobSasPermissions, generate_blob_sas

from aml.state.runs import artifacts_of
from aml.storage.accounts import Account
from aml.storage.blobs import container_of

CONTAINER = "azureml"
NAME = "user_logs/std_log.txt"
EVERY = 1.0  #: seconds between two additions
_BLOCK = 4 << 20  #: bytes that one addition may have

log = logging.getLogger("aml.jobs")


class JobLog:
    def __init__(self, account: Account, job: str, folder: Path) -> None:
        self._account, self._job = account, job
        self.file = folder / "std_log.txt"
        self.file.touch()
        self._sent, self._due = 0, 0.0

    def write(self, line: str) -> None:
        """Add a line of the server's own."""
        with self.file.open("a", encoding="utf-8") as opened:
            opened.write(f"{line}\n")

    def send(self, *, now: bool = False) -> None:
        """Add what is new to the blob, if it is time. What cannot be sent is sent the next time."""
        if not now and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY
        try:
            self._send()
        except AzureError as error:
            log.warning("The log of job %s could not be sent (%s); it is tried again", self._job, type(error).__name__)

    def _send(self) -> None:
        blob = log_blob(self._account, self._job)
        if not self._sent:
            container_of(self._account, CONTAINER)
            with suppress(ResourceExistsError):
                blob.create_append_blob()
        with self.file.open("rb") as opened:
            opened.seek(self._sent)
            while part := opened.read(_BLOCK):
                blob.append_block(part)
                self._sent += len(part)


def log_blob(account: Account, job: str) -> BlobClient:
    return account.client.get_blob_client(CONTAINER, f"{artifacts_of(job)}{NAME}")


def end_of_log(account: Account, job: str, most: int) -> tuple[str, bool]:
    """Return the end of a job's log, of so many bytes at most, and whether something is before it.

    Somebody waits for it: a storage that does not answer is asked once.
    """
    blob = log_blob(account, job)
    try:
        size = int(blob.get_blob_properties(retry_total=0).size)
        if not size:
            return "", False
        content = blob.download_blob(offset=max(0, size - most), length=most).readall()
    except ResourceNotFoundError:
        return "", False
    text = content.decode(errors="replace")
    return (text.partition("\n")[2] or text, True) if size > most else (text, False)


def link_to(blob: BlobClient, permission: BlobSasPermissions | None = None) -> str:
    """Return an address by which anybody reads the blob for a day, or does what is permitted."""
    now = datetime.now(UTC)
    sas = generate_blob_sas(
        account_name=str(blob.account_name),
        container_name=blob.container_name,
        blob_name=blob.blob_name,
        account_key=getattr(blob.credential, "account_key", None),
        permission=permission or BlobSasPermissions(read=True),
        start=now - timedelta(minutes=5),
        expiry=now + timedelta(days=1),
    )
    return f"{blob.url}?{sas}"
