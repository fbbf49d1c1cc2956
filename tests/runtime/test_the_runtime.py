"""Microsoft's own Python runtime for Functions as the judge: what it indexes of the app, and that it runs it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.children import ROOT, stop
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.domain.jobs import JobState
from tests.support.event_grid import created, delivered
from tests.support.flow import Flow
from tests.support.waiting import PATIENCE

PYTHON = os.environ.get("RELEARN_RUNTIME_PYTHON")
MISSING = os.environ.get("RELEARN_RUNTIME_MISSING", "python3 run.py test sets up Microsoft's runtime for Functions")

pytestmark = pytest.mark.skipif(PYTHON is None, reason=MISSING)


class Runtime:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.indexed: Any = self._read()

    def call(self, function: str, inputs: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps({"function": function, "inputs": inputs, "metadata": metadata or {}}) + "\n"
        )
        self._process.stdin.flush()
        return self._read()

    def blob(self, container: str, name: str) -> Any:
        line = json.dumps({"Connection": "TRAINING_DATA", "ContainerName": container, "BlobName": name})
        data = {
            "version": "1.0",
            "source": "AzureStorageBlobs",
            "content_type": "application/json",
            "content": line,
        }
        return self.call("start_retraining", {"blob": ("model_binding_data", data)})

    def timer(self, function: str = "poll_jobs") -> Any:
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        return self.call(function, {"timer": ("json", json.dumps(info))})

    def message(self, function: str, body: str, message_id: str) -> Any:
        metadata = {"Id": ("string", message_id), "DequeueCount": ("json", "1")}
        return self.call(function, {"message": ("string", body)}, metadata)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(f"the runtime ended: exit code {self._process.wait()}")


@contextmanager
def runtime(settings: Mapping[str, str]) -> Iterator[Runtime]:
    # The machine's own variables for Python belong to this one, not to the runtime's.
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR")}
    process = subprocess.Popen(
        [str(PYTHON), str(Path(__file__).parent / "driver.py"), str(ROOT)],
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1", **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Runtime(process)
    finally:
        stop(process)  # type: ignore[arg-type]


def trigger(kind: str, name: str, **properties: Any) -> dict[str, Any]:
    return {"direction": "IN", "type": kind, "name": name, **properties}


def test_it_indexes_exactly_these_functions_with_these_bindings_and_needs_no_setting_for_it() -> None:
    with runtime({}) as running:
        found = running.indexed.get("functions", running.indexed)
    queue = {"queueName": "%PROMOTIONS_QUEUE%", "connection": "PROMOTIONS"}
    poison = {"queueName": "%PROMOTIONS_QUEUE%-poison", "connection": "PROMOTIONS"}
    expected = {
        "start_retraining": [
            trigger(
                "blobTrigger",
                "blob",
                path="%TRAINING_DATA_PATH%",
                connection="TRAINING_DATA",
                source="LogsAndContainerScan",
                properties={"SupportsDeferredBinding": True},
            )
        ],
        "take_up_data": [trigger("timerTrigger", "timer", schedule="%POLL_SCHEDULE%")],
        "sweep_data": [trigger("timerTrigger", "timer", schedule="%SWEEP_SCHEDULE%")],
        "watch_poisoned_blobs": [
            trigger("queueTrigger", "message", queueName="webjobs-blobtrigger-poison", connection="TRAINING_DATA")
        ],
        "poll_jobs": [
            {"direction": "OUT", "type": "queue", "name": "promotions", **queue},
            trigger("timerTrigger", "timer", schedule="%POLL_SCHEDULE%"),
        ],
        "promote_model": [trigger("queueTrigger", "message", **queue)],
        "watch_poisoned_promotions": [trigger("queueTrigger", "message", **poison)],
    }
    assert found == expected


def test_the_source_of_blob_events_is_a_setting_and_a_wrong_one_says_what_would_be_right() -> None:
    with runtime({"TRAINING_DATA_SOURCE": "eventgrid"}) as running:
        [binding] = running.indexed["functions"]["start_retraining"]
        assert binding["source"] == "EventGrid"
    with runtime({"TRAINING_DATA_SOURCE": "telepathy"}) as running:
        assert "write one of: polling, eventgrid" in running.indexed["error"]


def test_each_function_runs_to_success_there_from_dropped_data_to_a_proven_promotion(workplace: Workplace) -> None:
    flow = Flow(workplace)
    before = flow.answers()
    path = workplace.drop("new.csv", as_csv(workplace.header, workplace.rows[:400]))
    with runtime(workplace.settings) as running:
        assert running.blob(workplace.container, path) == {"succeeded": True, "error": None, "outputs": {}}
        swept = running.timer("sweep_data")
        assert swept["succeeded"], swept["error"]
        deadline = time.monotonic() + PATIENCE
        while not flow.app.records.jobs.active():
            assert time.monotonic() < deadline, flow.arrivals()
            taken = running.timer("take_up_data")
            assert taken["succeeded"], taken["error"]
        [job_id] = flow.app.records.jobs.active()
        poisoned = json.dumps({"Type": "BlobTrigger", "ContainerName": workplace.container, "BlobName": path})
        for number, body in enumerate((poisoned, poisoned.replace(workplace.container, "elsewhere"), "not json")):
            watched = running.message("watch_poisoned_blobs", body, f"blob-{number}")
            assert watched["succeeded"], watched["error"]
        assert len(flow.arrivals()) == 1
        for number, reason in ((1, b"is not in the container"), (2, b"not a message of the blob poison queue")):
            note = workplace.blobs.get_blob_client("retraining", f"requests/blob-{number}.json").download_blob()
            assert reason in note.readall()
        messages: list[str] = []
        while not messages:
            assert time.monotonic() < deadline, flow.job(job_id)
            polled = running.timer()
            assert polled["succeeded"], polled["error"]
            messages = [json.loads(each) for each in _sent(polled)]
        assert messages == [{"pipeline": PIPELINE, "action": "promote", "job": job_id}]
        promoted = running.message("promote_model", json.dumps(messages[0]), "m1")
        assert promoted["succeeded"], promoted["error"]
        assert flow.job(job_id).state is JobState.PROMOTED
        assert flow.answers() != before

        refused = running.message("promote_model", "not json", "m2")
        assert refused["succeeded"], refused["error"]
        note = workplace.blobs.get_blob_client("retraining", "requests/m2.json").download_blob().readall()
        assert b"not a promotion message" in note

        other = workplace.drop("other.csv", as_csv(workplace.header, workplace.rows[:300]))
        elsewhere = running.blob("elsewhere", other)
        assert elsewhere["succeeded"], elsewhere["error"]
        assert flow.app.records.jobs.active() == []  # an Event Grid subscription may send more than the path names

        watched = running.message("watch_poisoned_promotions", json.dumps(messages[0]), "m3")
        assert watched["succeeded"], watched["error"]


def test_an_event_of_event_grid_twice_is_one_arrival_and_a_malformed_or_foreign_one_is_none(
    workplace: Workplace,
) -> None:
    flow = Flow(workplace)
    name = f"{PIPELINE}/new data 2026-11 ü%.csv"
    workplace.blobs.get_blob_client(workplace.container, name).upload_blob(
        as_csv(workplace.header, workplace.rows[:400])
    )
    event = created(workplace.container, name)
    gone = created(workplace.container, f"{PIPELINE}/gone.csv")
    foreign = created(f"{workplace.container}-old", name)
    with pytest.raises(ValueError, match="subject"):
        delivered(json.dumps([event, created(workplace.container, "", subject="/blobServices/default")]))
    with runtime({**workplace.settings, "TRAINING_DATA_SOURCE": "eventgrid"}) as running:
        for container, blob in delivered(json.dumps([event, event, gone, foreign])):
            answered = running.blob(container, blob)
            assert answered["succeeded"], answered["error"]
        nameless = running.blob(workplace.container, "")
        assert nameless["succeeded"], nameless["error"]
    assert [each.dataset.path for each in flow.arrivals()] == [name]


def _sent(polled: Any) -> list[str]:
    kind, value = polled["outputs"].get("promotions", (None, None))
    if value is None:
        return []
    listed = json.loads(value) if kind == "json" else [value]
    return [each if isinstance(each, str) else json.dumps(each) for each in listed]
