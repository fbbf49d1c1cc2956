"""The queue service of one connection setting.

The Functions host alone takes messages, except those that it cannot decode: they would go around in a poison queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from shared.adapters.storage.accounts import (
    DIRECT,
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
            return QueueServiceClient.from_connection_string(connection, **_RETRIES, **DIRECT)
    address = service_address(settings, name, "queue")
    return QueueServiceClient(address, credential=identity(settings.get(f"{name}__clientId")), **_RETRIES, **DIRECT)


_SOME = 32  #: messages, the most that one call gives
_HELD = 30  #: seconds until the host sees a message again whose run died here


class HostPoisonQueue:
    """The poison queue of this name. It may not be there: the host makes it with the first failure."""

    def __init__(self, queues: QueueServiceClient, name: str) -> None:
        self._queue, self._name = queues.get_queue_client(name), name

    def clear(self, fault: Callable[[str], str | None], record: Callable[[str, str], None]) -> None:
        with storage_errors(f"clearing the queue {self._name}"):
            try:
                # A message that is only looked at stays as it was for the host.
                if not any(fault(str(each.content)) for each in self._queue.peek_messages(_SOME)):
                    return
            except ResourceNotFoundError:
                return
            for each in self._queue.receive_messages(max_messages=_SOME, visibility_timeout=_HELD):
                if why := fault(str(each.content)):
                    record(str(each.id), why)
                    self._queue.delete_message(each)
                else:
                    self._queue.update_message(each, visibility_timeout=0)


def waiting(queues: QueueServiceClient, name: str) -> int | None:
    """Return about how many messages wait in the queue, or None when there is no such queue."""
    with storage_errors(f"looking at the queue {name}"):
        try:
            queue = queues.get_queue_client(name)
            queue.peek_messages(1)  # the right to look at messages is another than to look at the queue
            return int(queue.get_queue_properties().approximate_message_count or 0)
        except ResourceNotFoundError:
            return None
