"""Queue triggers: receive, run, delete; after too many tries, put the message on the poison queue.

A message is invisible for 10 minutes while its function runs, renewed at half of them. A failed one comes back after
the configured visibility timeout. One that is not base64 goes to the poison queue at once. A poison queue has no poison
queue: what fails there stays invisible for the rest of the 10 minutes.
"""

from __future__ import annotations

import base64
import logging
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

log = logging.getLogger("host")

INVISIBLE = 600
_SPACE = str.maketrans("", "", " \t\r\n")  #: which the host's decoder skips, and no other
FIRST_DELAY = 0.1
Handle = Callable[[str, str, int], bool]  #: body, id and dequeue count of a message -> whether it is done with


def open_queue(connection: str, name: str) -> QueueClient:
    return QueueClient.from_connection_string(connection, name)


def send(queue: QueueClient, body: str, encoded: bool = True) -> None:
    """Send the message; the queue is made when it is not there."""
    content = base64.b64encode(body.encode()).decode() if encoded else body
    try:
        queue.send_message(content)
    except ResourceNotFoundError:
        create(queue)
        queue.send_message(content)


def create(queue: QueueClient) -> None:
    try:
        queue.create_queue()
    except ResourceExistsError:
        return


@dataclass(frozen=True)
class Rules:
    """How a queue is drained: messages at once, tries, seconds before the next try, longest pause, encoding."""

    batch: int
    threshold: int
    tries: int
    visibility_timeout: float
    longest_pause: float
    encoded: bool = True


class QueueListener:
    """Drains one queue with one function until it is stopped."""

    def __init__(self, queue: QueueClient, poison: QueueClient | None, rules: Rules, handle: Handle) -> None:
        self._queue, self._poison, self._rules, self._handle = queue, poison, rules, handle

    def loop(self, stopping: threading.Event) -> None:
        running: set[Future[None]] = set()
        pause = FIRST_DELAY
        with ThreadPoolExecutor(self._rules.batch + self._rules.threshold) as pool:
            while not stopping.is_set():
                running = {each for each in running if not each.done()}
                messages = self._receive() if len(running) <= self._rules.threshold else []
                for message in messages:
                    running.add(pool.submit(self._process, message))
                pause = FIRST_DELAY if messages else min(pause * 2, self._rules.longest_pause)
                stopping.wait(random.uniform(FIRST_DELAY, pause) if not messages else 0.0)

    def _receive(self) -> list[Any]:
        try:
            pages = self._queue.receive_messages(
                max_messages=self._rules.batch, messages_per_page=self._rules.batch, visibility_timeout=INVISIBLE
            )
            return list(pages)
        except ResourceNotFoundError:
            return []
        except AzureError as error:
            log.warning("The queue %s cannot be read (%s)", self._queue.queue_name, type(error).__name__)
            return []

    def _process(self, message: Any) -> None:
        try:
            content = decode(message.content or "", self._rules.encoded)
            if content is None:
                log.error("The message %s of %s is not base64", message.id, self._queue.queue_name)
                self._set_aside(message, message.pop_receipt)
                return
            with _held(self._queue, message) as receipt:
                done = message.dequeue_count <= self._rules.tries and self._run(message, content)
            self._settle(message, receipt[0], done)
        except AzureError:
            log.exception("A message of %s could not be settled; it comes back", self._queue.queue_name)

    def _run(self, message: Any, content: bytes) -> bool:
        try:
            return self._handle(content.decode(), message.id, message.dequeue_count)
        except UnicodeDecodeError:
            log.error("The message %s of %s is not UTF-8", message.id, self._queue.queue_name)
        except Exception:  # as with the host: the message comes back, whatever its function raised
            log.exception("The message %s of %s could not be handed over", message.id, self._queue.queue_name)
        return False

    def _settle(self, message: Any, receipt: str, done: bool) -> None:
        if done:
            self._queue.delete_message(message.id, receipt)
        elif message.dequeue_count < self._rules.tries and self._poison is not None:
            timeout = int(self._rules.visibility_timeout)
            self._queue.update_message(message.id, receipt, visibility_timeout=timeout)
        else:
            log.error("The message %s of %s failed %d times", message.id, self._queue.queue_name, message.dequeue_count)
            self._set_aside(message, receipt)

    def _set_aside(self, message: Any, receipt: str) -> None:
        if self._poison is not None:
            send(self._poison, message.content or "", encoded=False)  # copied as it is
            self._queue.delete_message(message.id, receipt)


def decode(content: str, encoded: bool) -> bytes | None:
    """Return the message's bytes as the host decodes them, or None for one that it cannot decode."""
    if not encoded:
        return content.encode()
    try:
        return base64.b64decode(content.translate(_SPACE), validate=True)
    except ValueError:
        return None


@contextmanager
def _held(queue: QueueClient, message: Any) -> Iterator[list[str]]:
    """Keep the message invisible to others; the list's one item is its newest receipt."""
    receipt, done = [message.pop_receipt], threading.Event()

    def renew() -> None:
        while not done.wait(INVISIBLE / 2):
            try:
                renewed = queue.update_message(message.id, receipt[0], visibility_timeout=INVISIBLE)
                receipt[0] = str(renewed.pop_receipt)
            except AzureError as error:
                log.warning("The message %s could not be kept invisible (%s)", message.id, type(error).__name__)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield receipt
    finally:
        done.set()
        thread.join()
