"""The queue service of one connection setting, for looking only: the Functions host alone takes messages."""

from contextlib import suppress
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from shared.adapters.storage.accounts import open_service, storage_errors
from shared.base.settings import Settings

_RETRIES: dict[str, Any] = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1}


def open_queues(settings: Settings, name: str) -> QueueServiceClient:
    """Return the queue service that the setting names (see `accounts.py`); nothing is called yet."""
    client: QueueServiceClient = open_service(QueueServiceClient, settings, name, "queue", **_RETRIES)
    return client


def waiting(queues: QueueServiceClient, name: str) -> int | None:
    """Return about how many messages wait in the queue, or None if the queue does not exist."""
    with storage_errors(f"looking at the queue {name}"), suppress(ResourceNotFoundError):
        queue = queues.get_queue_client(name)
        queue.peek_messages(1)  # the right to look at messages is another than to look at the queue
        return int(queue.get_queue_properties().approximate_message_count or 0)
    return None
