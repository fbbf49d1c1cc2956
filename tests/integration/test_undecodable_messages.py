"""Messages that the Functions host cannot decode leave a record and the poison queue; the others stay for the host."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue import QueueClient, QueueServiceClient

from local.azurite import Azurite
from shared.adapters.storage.accounts import open_store
from shared.adapters.storage.documents import BlobDocuments
from shared.adapters.storage.queue import HostPoisonQueue
from shared.base.settings import Settings
from shared.store.jobs_and_champions import Records
from tests.support.fakes import World

MESSAGE = '{"pipeline": "income", "action": "retrain", "by": "ann"}'
ENCODED = base64.b64encode(MESSAGE.encode()).decode()
UNDECODABLE = {
    MESSAGE: "the host expects base64",
    str(ENCODED.encode()): r"it is Python's str() of bytes",
    ENCODED.replace("=", "") + "_-": "the host expects base64",
    "": "it is empty",
    "é": "the host expects base64",
}


@pytest.fixture
def queue(azurite: Azurite) -> QueueClient:
    queues = QueueServiceClient.from_connection_string(azurite.connection_string)
    return queues.create_queue("model-promotions-poison")


def poll(azurite: Azurite) -> Records:
    """Do what each poll does with the poison queues, over real records."""
    store = open_store(Settings({"X": azurite.connection_string}), "X")
    world = World()
    world.records = Records(BlobDocuments(store, "retraining"))
    queues = QueueServiceClient.from_connection_string(azurite.connection_string)
    world.queues = [HostPoisonQueue(queues, "model-promotions-poison"), HostPoisonQueue(queues, "not-there")]
    world.flows.requests.refuse_undecodable()
    return world.records


def test_a_message_that_is_not_base64_leaves_a_record_and_does_not_come_back(
    azurite: Azurite, queue: QueueClient
) -> None:
    sent = {str(queue.send_message(text).id): why for text, why in UNDECODABLE.items() if text}
    records = poll(azurite)
    for message_id, why in sent.items():
        outcome = records.outcome(message_id)
        assert outcome is not None
        assert outcome.startswith("refused: This message is not base64")
        assert why in outcome
    assert queue.get_queue_properties().approximate_message_count == 0


def test_a_message_that_can_be_decoded_stays_for_the_host(azurite: Azurite, queue: QueueClient) -> None:
    good = queue.send_message(ENCODED)
    poll(azurite)
    [seen] = queue.peek_messages()
    assert (seen.id, seen.dequeue_count) == (good.id, 0)
    queue.send_message(MESSAGE)
    poll(azurite)
    [seen] = queue.peek_messages(5)
    assert (seen.id, seen.content) == (good.id, ENCODED)


def test_only_records_older_than_a_moment_are_listed(azurite: Azurite) -> None:
    documents = BlobDocuments(open_store(Settings({"X": azurite.connection_string}), "X"), "retraining")
    documents.create("requests/a.json", b"{}")
    documents.create("jobs/a.json", b"{}")
    now = datetime.now(UTC)
    assert list(documents.written_before("requests/", now - timedelta(days=1))) == []
    assert list(documents.written_before("requests/", now + timedelta(days=1))) == ["requests/a.json"]
