"""The trigger loop keeps the Functions host's rules: receipts, tries, poison queues, timers. Tried with a small app."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy

from local.azurite import Azurite
from local.children import ROOT, Child, NotStarted, python_child
from local.host import queues
from local.host.blobs import HOSTS, POISON, hidden_queue
from tests.support.waiting import until

APP = """
import os, pathlib
import azure.functions as func
from shared.bindings import BlobName

app = func.FunctionApp()
seen = pathlib.Path(os.environ["SEEN"])

def note(text):
    with seen.open("a") as file:
        file.write(text + "\\n")

@app.blob_trigger(arg_name="blob", path="incoming/{name}", connection="STORE")
def on_blob(blob: BlobName) -> None:
    note(f"blob {blob.container}/{blob.name}")
    if "bad" in blob.name:
        raise RuntimeError("bad blob")

@app.queue_trigger(arg_name="message", queue_name="work", connection="STORE")
@app.queue_output(arg_name="out", queue_name="done", connection="STORE")
def on_message(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set("done: " + message.get_body().decode())
    note(f"message {message.get_body().decode()} {message.dequeue_count}")
    if message.get_body() == b"bad":
        raise SystemExit("bad message")

@app.queue_trigger(arg_name="message", queue_name="other-poison", connection="STORE")
def on_poison(message: func.QueueMessage) -> None:
    note(f"poison {message.get_body().decode()}")
    raise RuntimeError("no message of this queue can be handled")

@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%")
def on_time(timer: func.TimerRequest) -> None:
    note(f"timer {timer.past_due}")
"""
HOST = {
    "version": "2.0",
    "extensions": {"queues": {"maxPollingInterval": "00:00:00.2", "visibilityTimeout": "00:00:00"}},
}


class Place:
    def __init__(self, folder: Path, storage: str) -> None:
        self.folder, self.seen = folder, folder / "seen.txt"
        self.blobs = BlobServiceClient.from_connection_string(storage)
        self.queues = QueueServiceClient.from_connection_string(storage)
        self.settings = {
            "AzureWebJobsStorage": storage,
            "STORE": storage,
            "SEEN": str(self.seen),
            "SCHEDULE": "0 0 3 1 1 *",
            "AzureFunctionsWebHost__hostid": "tried",
            "PYTHONPATH": str(ROOT),
        }
        (folder / "function_app.py").write_text(APP)
        (folder / "host.json").write_text(json.dumps(HOST))
        self.blobs.create_container("incoming")

    def lines(self) -> list[str]:
        return self.seen.read_text().splitlines() if self.seen.exists() else []

    def drop(self, name: str, content: bytes = b"x") -> None:
        self.blobs.get_blob_client("incoming", name).upload_blob(content, overwrite=True)

    def send(self, body: str, encoded: bool = True, queue: str = "work") -> None:
        policy = TextBase64EncodePolicy() if encoded else None
        self.queues.get_queue_client(queue, message_encode_policy=policy).send_message(body)

    def waiting(self, queue: str) -> list[str]:
        return [message.content for message in self.queues.get_queue_client(queue).peek_messages(max_messages=32)]

    @contextmanager
    def host(self, settings: Mapping[str, str] | None = None) -> Iterator[Child]:
        command = ["local.host", "--app", str(self.folder), "--scan-every", "0.2"]
        with python_child(command, {**self.settings, **(settings or {})}) as child:
            yield child


@pytest.fixture
def place(azurite: Azurite, tmp_path: Path) -> Place:
    return Place(tmp_path, azurite.connection_string)


def test_a_version_of_a_blob_runs_once_also_over_a_restart_and_a_new_version_again(place: Place) -> None:
    with place.host():
        place.drop("a/b.txt")
        until(lambda: place.lines() == ["blob incoming/a/b.txt"], "the first run")
    with place.host():
        place.drop("second.txt")
        until(lambda: len(place.lines()) == 2, "the second blob, after the restart")
        place.drop("a/b.txt", b"changed")
        until(lambda: len(place.lines()) == 3, "the new version")
    assert sorted(place.lines()) == ["blob incoming/a/b.txt", "blob incoming/a/b.txt", "blob incoming/second.txt"]
    receipts = [blob.name for blob in place.blobs.get_container_client(HOSTS).list_blobs("blobreceipts/")]
    assert len(receipts) == 3
    assert all(name.startswith('blobreceipts/tried/Host.Functions.on_blob/"0x') for name in receipts)


def test_a_blob_whose_function_fails_is_tried_five_times_and_then_poisoned(place: Place) -> None:
    with place.host():
        place.drop("bad.txt")
        until(lambda: _exists(place, POISON) and len(place.waiting(POISON)) == 1, "the poison message")
    assert place.lines() == ["blob incoming/bad.txt"] * 5
    message = json.loads(base64.b64decode(place.waiting(POISON)[0]))
    assert set(message) == {"Type", "FunctionId", "BlobType", "ContainerName", "BlobName", "ETag"}
    assert (message["FunctionId"], message["ETag"][0]) == ("Host.Functions.on_blob", '"')
    assert place.waiting(hidden_queue("tried")) == []


def test_a_message_is_sent_on_only_after_success_and_poisoned_after_five_failures(place: Place) -> None:
    with place.host():
        place.send("good")
        place.send("bad")
        place.send("not base64!", encoded=False)
        until(lambda: _exists(place, "work-poison") and len(place.waiting("work-poison")) == 2, "two poison messages")
        until(lambda: _exists(place, "done") and len(place.waiting("done")) == 1, "the output")
    assert [line for line in place.lines() if "bad" in line] == [f"message bad {count}" for count in range(1, 6)]
    assert "not base64!" in place.waiting("work-poison")
    assert place.waiting("work") == []


def test_a_message_that_is_not_base64_is_poisoned_at_once_and_the_next_one_runs(place: Place) -> None:
    # With an hour between two tries, only a message without further tries gets to the poison queue.
    with place.host({"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "01:00:00"}):
        place.send('{"plain": "JSON"}', encoded=False)
        place.send("good")
        until(lambda: _exists(place, "work-poison") and len(place.waiting("work-poison")) == 1, "the poison message")
        until(lambda: bool(place.lines()), "the next message")
    assert place.waiting("work-poison") == ['{"plain": "JSON"}']
    assert place.lines() == ["message good 1"]


def test_a_message_that_fails_in_a_poison_queue_does_not_come_back_at_once(place: Place) -> None:
    with place.host():
        queue = place.queues.get_queue_client("other-poison")
        until(lambda: _exists(place, "other-poison"), "the queue")
        for number in range(3):
            place.send(f"message {number}", queue="other-poison")
            until(lambda number=number: len(place.lines()) > number, "its run")  # type: ignore[misc]
        place.send("not base64!", encoded=False, queue="other-poison")
        until(lambda: place.waiting("other-poison") == [], "the reading of the last one")
    assert place.lines() == [f"poison message {number}" for number in range(3)]
    assert queue.get_queue_properties().approximate_message_count == 4


def test_a_message_stays_invisible_for_as_long_as_its_function_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "INVISIBLE", 2)  # ten minutes at a pace for tests
    queue = place.queues.create_queue("long")
    queue.send_message("work")
    [message] = queue.receive_messages(visibility_timeout=queues.INVISIBLE)
    receipts, others = {message.pop_receipt}, []
    with queues._held(queue, message) as receipt:

        def renewed_twice() -> bool:
            receipts.add(receipt[0])
            others.extend(queue.receive_messages())
            return len(receipts) > 2

        until(renewed_twice, "the second renewal")
    assert others == []
    queue.delete_message(message.id, receipt[0])


def test_a_time_missed_while_nothing_ran_is_made_up_for_once_and_marked_past_due(place: Place) -> None:
    with place.host():
        until(lambda: bool(_status(place)), "the first status")
    assert place.lines() == []
    last = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    status = {"Last": last, "Next": last, "LastUpdated": last}
    name = "timers/tried/Host.Functions.on_time/status"
    place.blobs.get_blob_client(HOSTS, name).upload_blob(json.dumps(status), overwrite=True)
    with place.host():
        until(lambda: place.lines() == ["timer True"], "the run that was missed")
    assert datetime.fromisoformat(_status(place)["Next"]) > datetime.now(UTC)


@pytest.mark.parametrize("content", ["{", "[]", '{"Next": 5}', '{"Next": "2026-01-01T00:00:00"}'])
def test_a_damaged_status_of_a_timer_is_made_again(place: Place, content: str) -> None:
    with place.host():
        until(lambda: bool(_status(place)), "the first status")
    name = "timers/tried/Host.Functions.on_time/status"
    place.blobs.get_blob_client(HOSTS, name).upload_blob(content, overwrite=True)
    with place.host():
        until(lambda: len(_raw_status(place)) > len(content) and "Last" in _status(place), "a whole status")
    assert place.lines() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SCHEDULE": "every day"}, "is not an NCRONTAB expression of six fields"),
        ({"SCHEDULE": ""}, "The setting SCHEDULE is missing"),
    ],
)
def test_a_trigger_that_cannot_work_stops_the_start_with_its_name(
    place: Place, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(NotStarted, match=said), place.host(settings):
        pass


def _exists(place: Place, queue: str) -> bool:
    return queue in [each.name for each in place.queues.list_queues()]


def _status(place: Place) -> dict[str, str]:
    return dict(json.loads(_raw_status(place) or b"{}"))


def _raw_status(place: Place) -> bytes:
    blob = place.blobs.get_blob_client(HOSTS, "timers/tried/Host.Functions.on_time/status")
    return bytes(blob.download_blob().readall()) if blob.exists() else b""
