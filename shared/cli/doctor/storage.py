"""Checks containers, queues, the rights that the app needs on them, and the storage's clock."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import uuid4

import requests
from azure.core.exceptions import ResourceNotFoundError

from shared.adapters.http import download
from shared.adapters.storage.accounts import BlobStore, open_store, storage_errors
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.queue import open_queues, waiting
from shared.base.errors import RetrainingError
from shared.base.settings import Settings
from shared.cli.doctor.finding import Finding, looked, ok, remedy, warning, wrong

OWN = ("retraining", "models", "quarantine", "batches")  #: containers that the app makes when it first needs them
POISON = "webjobs-blobtrigger-poison"
_SKEW = 60.0  #: seconds; links begin 5 minutes before now, and a signed request is refused after 15


def look(settings: Settings, data_container: str) -> Iterator[Finding]:
    yield looked("storage TRAINING_DATA", lambda: _data(open_store(settings, "TRAINING_DATA"), data_container))
    store, found = _records(settings)
    yield found
    if store is not None:
        yield from (looked(f"container {name}", lambda name=name: _own(store, name)) for name in OWN)  # type: ignore[misc]
        yield looked("rights on RETRAINING_STORE", lambda: _probe(store))
    queue = settings.get("PROMOTIONS_QUEUE") or ""
    if queue:
        yield looked(f"queue {queue}", lambda: _queue(settings, "PROMOTIONS", queue))
        yield looked(f"queue {queue}-poison", lambda: _poison(settings, "PROMOTIONS", f"{queue}-poison"))
    yield looked(f"queue {POISON}", lambda: _poison(settings, "TRAINING_DATA", POISON))


def _data(store: BlobStore, name: str) -> str | Finding:
    with storage_errors(f"looking at the container {name}"):
        container = store.client.get_container_client(name)
        try:
            next(iter(container.list_blobs(results_per_page=1)), None)
        except ResourceNotFoundError:
            return wrong(
                "storage TRAINING_DATA",
                f"has no container {name}, which TRAINING_DATA_PATH names",
                f"create it (az storage container create --name {name} ...), or correct TRAINING_DATA_PATH",
            )
    _ = store.link(name, "probe", 60).sas  # by an identity, this asks the service for the right to make links
    return f"the container {name} can be read"


def _records(settings: Settings) -> tuple[BlobStore | None, Finding]:
    """Return the records' store if it answers, and what its clock says."""
    what = "storage RETRAINING_STORE"
    dates: list[str] = []
    try:
        store = open_store(settings, "RETRAINING_STORE")
        with storage_errors("asking for its time"), suppress(ResourceNotFoundError):
            store.client.get_container_client(OWN[0]).get_container_properties(
                raw_response_hook=lambda answer: dates.append(answer.http_response.headers.get("Date", ""))
            )
    except RetrainingError as error:
        return None, wrong(what, str(error), remedy(error))
    return store, skew(what, dates[-1] if dates else "", datetime.now(UTC))


def skew(what: str, date: str, now: datetime) -> Finding:
    """Return how far this machine's clock is from the `Date` of an answer."""
    try:
        seconds = (now - parsedate_to_datetime(date)).total_seconds()
    except ValueError:
        return ok(what, "answers")
    if abs(seconds) <= _SKEW:
        return ok(what, "answers, and its clock is this machine's")
    side = "ahead of" if seconds > 0 else "behind"
    return wrong(
        what,
        f"this machine's clock is {abs(seconds):.0f} s {side} the storage's",
        "set the clock (timedatectl set-ntp true): links and leases are made by it",
    )


def _own(store: BlobStore, name: str) -> str:
    with storage_errors(f"looking at the container {name}"):
        there = store.client.get_container_client(name).exists()
    return "exists" if there else "does not exist yet; the app creates it when it first needs it"


def _probe(store: BlobStore) -> str:
    """Write, lease, replace, link to, read and delete a document, in a temporary container before the app's exists."""
    with storage_errors(f"looking at the container {OWN[0]}"):
        there = store.client.get_container_client(OWN[0]).exists()
    container, name = (OWN[0] if there else f"relearn-doctor-{uuid4().hex[:8]}"), f"doctor/{uuid4().hex}.json"
    documents = BlobDocuments(store, container)
    try:
        etag = documents.create(name, b"{}")
        with documents.lease(name) as lease:
            documents.replace(name, b"[]", str(etag), lease)
        link = store.link(container, name, 60)
        with requests.Session() as session:
            session.trust_env = False
            signed = link.sas
            sas = signed.reveal().lstrip("?") if signed else ""
            b"".join(download(session, f"{link.address}?{sas}"))
    finally:
        with suppress(RetrainingError):
            documents.delete(name)
    documents.delete(name)
    if not there:
        with storage_errors(f"deleting the container {container}"):
            store.client.delete_container(container)
    return "a probe was written, leased, replaced, read by its link, and deleted"


def _queue(settings: Settings, setting: str, name: str) -> str | Finding:
    messages = waiting(open_queues(settings, setting), name)
    if messages is not None:
        return f"exists; about {messages} messages wait"
    return warning(
        f"queue {name}",
        "does not exist yet; the host creates it with the first promotion",
        f"to send messages by hand before, create it: az storage queue create --name {name} ...",
    )


def _poison(settings: Settings, setting: str, name: str) -> str | Finding:
    messages = waiting(open_queues(settings, setting), name)
    if messages is None:
        return "does not exist yet; the host creates it when a message fails five times"
    if messages == 0:
        return "is empty"
    return warning(
        f"queue {name}",
        f"about {messages} messages wait; the app reads them itself while it runs",
        "see that the function app runs, and look at its log",
    )
