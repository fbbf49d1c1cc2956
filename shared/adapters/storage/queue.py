"""The queue service of one connection setting, for looking only: the Functions host alone takes messages."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from shared.adapters.storage.accounts import (
    calls_of,
    connection_string,
    identity,
    readable_connection,
    service_address,
    storage_errors,
)
from shared.base.settings import Settings

_RETRIES: dict[str, Any] = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1}


def open_queues(settings: Settings, name: str) -> QueueServiceClient:
    """Return the queue service that the setting names (see `storage.py`); nothing is called yet."""
    if connection := connection_string(settings, name):
        with readable_connection(name):
            return QueueServiceClient.from_connection_string(connection, **_RETRIES, **calls_of(name))
    address = service_address(settings, name, "queue")
    credential = identity(settings.get(f"{name}__clientId"))
    return QueueServiceClient(address, credential=credential, **_RETRIES, **calls_of(name))


def waiting(queues: QueueServiceClient, name: str) -> int | None:
    """Return about how many messages wait in the queue, or None when there is no such queue."""
    with storage_errors(f"looking at the queue {name}"):
        try:
            queue = queues.get_queue_client(name)
            queue.peek_messages(1)  # the right to look at messages is another than to look at the queue
            return int(queue.get_queue_properties().approximate_message_count or 0)
        except ResourceNotFoundError:
            return None
