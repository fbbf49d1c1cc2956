"""Microsoft's own Python runtime for Functions as the judge: what it indexes of the app, and that it runs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.domain.jobs import JobState
from tests.support.crashing import wait_for_bes_jobs
from tests.support.event_grid import created, delivered
from tests.support.flow import Flow
from tests.support.runtime import MISSING, PYTHON, Runtime, runtime
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(PYTHON is None, reason=MISSING)


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

        def taken_up() -> bool:
            taken = running.timer("take_up_data")
            assert taken["succeeded"], taken["error"]
            return bool(flow.app.records.jobs.active())

        until(taken_up, flow.arrivals)
        [job_id] = flow.app.records.jobs.active()
        poisoned_blobs_are_noted(flow, running, path)
        messages: list[Any] = []

        def asked_for() -> bool:
            wait_for_bes_jobs(workplace.studio.studio.folder)
            polled = running.timer()
            assert polled["succeeded"], polled["error"]
            messages.extend(json.loads(each) for each in _sent(polled))
            return bool(messages)

        until(asked_for, lambda: flow.job(job_id))
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


def poisoned_blobs_are_noted(flow: Flow, running: Runtime, path: str) -> None:
    """The message of a blob's poison queue is noted where it cannot be used, and makes no second arrival."""
    poisoned = json.dumps({"Type": "BlobTrigger", "ContainerName": flow.place.container, "BlobName": path})
    for number, body in enumerate((poisoned, poisoned.replace(flow.place.container, "elsewhere"), "not json")):
        watched = running.message("watch_poisoned_blobs", body, f"blob-{number}")
        assert watched["succeeded"], watched["error"]
    assert len(flow.arrivals()) == 1
    for number, reason in ((1, b"is not in the container"), (2, b"not a message of the blob poison queue")):
        note = flow.place.blobs.get_blob_client("retraining", f"requests/blob-{number}.json").download_blob()
        assert reason in note.readall()


def test_an_event_of_event_grid_twice_is_one_arrival_and_a_malformed_or_foreign_one_is_none(
    workplace: Workplace,
) -> None:
    flow = Flow(workplace)
    name = f"{PIPELINE}/new data 2026-11 ü%+#.csv"
    other = f"{PIPELINE}/other.csv"  # here too: without its own event, a sweep finds it
    for each in (name, other):
        rows = as_csv(workplace.header, workplace.rows[:400])
        workplace.blobs.get_blob_client(workplace.container, each).upload_blob(rows)
    event = created(workplace.container, name)
    gone = created(workplace.container, f"{PIPELINE}/gone.csv")
    foreign = created(f"{workplace.container}-old", other)
    whole = {"data": {"blobType": "BlockBlob", "url": f"https://stdata.blob.core.windows.net/{workplace.container}"}}
    for malformed in ({}, {"data": None}, event | {"data": event["data"] | {"url": "a.csv"}}):
        with pytest.raises(ValueError, match=r"an event without|not an address"):
            delivered(json.dumps([malformed]))  # the host fails, and starts no function
    assert delivered(json.dumps(event)) == [(workplace.container, name)]
    with runtime({**workplace.settings, "TRAINING_DATA_SOURCE": "eventgrid"}) as running:
        for container, blob in delivered(json.dumps([event, event, gone, foreign, whole])):
            answered = running.blob(container, blob)
            assert answered["succeeded"], answered["error"]
    assert [each.dataset.path for each in flow.arrivals()] == [name]


def _sent(polled: Any) -> list[str]:
    kind, value = polled["outputs"].get("promotions", (None, None))
    if value is None:
        return []
    listed = json.loads(value) if kind == "json" else [value]
    return [each if isinstance(each, str) else json.dumps(each) for each in listed]
