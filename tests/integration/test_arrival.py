"""Data arrives in real storage: many files at once, half of their events lost, workers killed, and one retraining."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.base.errors import BadMessage
from shared.domain.arrivals import CHECK_LASTS, ArrivalState
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.flows.batches import CLAIMED
from studio.state.records import Job
from tests.support.crashing import killed, take_up
from tests.support.flow import Flow
from tests.support.waiting import until

FILES = 200
COPIES = 10
WRITERS = 8
KILLS = 4
CHANGES = 200  #: in the storage, at most, before a worker is killed; taking up all of the files makes more


def flow_with(place: Workplace, folder: Path, arrival: str) -> Flow:
    sample = Path(place.settings["PIPELINES_FILE"])
    text = (
        sample.read_text()
        .replace("samples/", f"{sample.parent}/samples/")
        .replace("rows_at_least: 50", "rows_at_least: 1")
    )
    begin = text.index("      settle:")
    end = text.index("    training:")
    file = folder / "pipelines.yaml"
    file.write_text(f"{text[:begin]}{arrival}\n{text[end:]}")
    return Flow(place, {"PIPELINES_FILE": str(file)})


def test_hundreds_of_files_of_many_writers_with_lost_events_and_killed_workers_are_one_training_on_exactly_their_rows(
    workplace: Workplace, tmp_path: Path
) -> None:
    flow = flow_with(workplace, tmp_path, "      settle: 0.5s\n      batch: marker\n      at_most: 1h")
    settings = {**workplace.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    trained_before = len(started(workplace))
    dice = random.Random(5)
    rows = [like(workplace.rows[number % len(workplace.rows)], number) for number in range(FILES)]
    contents = [as_csv(workplace.header, [row]) for row in rows]
    copies = contents[:COPIES]
    events = [dice.choice((0, 0, 0, 1, 1, 2)) for _ in (*contents, *copies)]  # half of them are lost, others come twice
    container = workplace.blobs.get_container_client(workplace.container)
    workplace.blobs.create_container("batches")  # the first batch of a store makes it, and then reads its files again

    def drop(number: int, content: bytes) -> None:
        path = f"{PIPELINE}/part-{number}.csv"
        container.upload_blob(path, content)
        for _ in range(events[number]):
            flow.app.flows.intake.see(path)

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(drop, range(FILES + COPIES), [*contents, *copies]))
    flow.app.flows.intake.see(workplace.drop("_SUCCESS", b""))

    for die_after in (dice.randrange(1, CHANGES) for _ in range(KILLS)):
        assert killed(take_up, settings, die_after), f"it was done within {die_after} changes"
    flow.pass_time(CHECK_LASTS)  # what the killed workers were checking is free again
    until(lambda: bool(flow.app.flows.intake.take_up() or flow.app.records.jobs.active()), "the job")
    flow.pass_time(CLAIMED)  # nobody starts the job, as if this run had died too: the poll does it

    [job_id] = flow.app.records.jobs.active()
    job = flow.finish(flow.job(job_id))
    assert job.state is JobState.PROMOTED, job.reason
    assert len(started(workplace)) == trained_before + 1
    assert sorted(part.sha256 for part in job.parts) == sorted(hashlib.sha256(each).hexdigest() for each in contents)
    joined = workplace.blobs.get_blob_client("batches", job.joined or "").download_blob().readall().decode()
    header, *lines = joined.splitlines()
    assert header.split(",") == workplace.header
    assert sorted(lines) == sorted(",".join(row) for row in rows)
    records = workplace.blobs.get_container_client("retraining")
    assert len(list(records.list_blob_names(name_starts_with=f"jobs/{PIPELINE}"))) == 1
    assert not list(records.list_blob_names(name_starts_with="active/"))


def like(row: list[str], number: int) -> list[str]:
    """Return a row that no other number gives."""
    first, *others = row
    return [f"{float(first) + number / 100_000:.5f}", *others]


def started(place: Workplace) -> list[Job]:
    return [each for each in place.studio.studio.records.all(Job) if each.queued is not None]


def test_appended_data_is_taken_up_when_it_is_still_and_a_lost_event_within_one_sweep(
    workplace: Workplace, tmp_path: Path
) -> None:
    flow = flow_with(workplace, tmp_path, "      settle: 0.5s")
    blob = workplace.blobs.get_blob_client(workplace.container, f"{PIPELINE}/appended.csv")
    blob.create_append_blob()
    for block in (as_csv(workplace.header, workplace.rows[:200]), as_csv(workplace.header, workplace.rows[200:400])):
        flow.app.flows.intake.see(f"{PIPELINE}/appended.csv")
        blob.append_block(
            block if block.startswith(b"mean") and not blob.get_blob_properties().size else block.partition(b"\n")[2]
        )
    assert flow.app.flows.intake.sweep(workplace.container) == 1  # the last append had no event
    [job] = flow.arrive(f"{PIPELINE}/appended.csv")
    assert flow.finish(job).state is JobState.PROMOTED
    assert [each.rows for each in flow.arrivals() if each.state is ArrivalState.TAKEN] == [400]


def test_messages_replay_what_was_set_aside_and_retrain_on_what_is_live(workplace: Workplace, tmp_path: Path) -> None:
    flow = flow_with(workplace, tmp_path, "      settle: 0.5s")
    first = flow.finish(flow.drop("a.csv", as_csv(workplace.header, workplace.rows[:400])))
    other = {"Fraction of rows for training": "0.8"}
    flow.app.flows.requests.carry_out(
        Request(pipeline=PIPELINE, action=Command.RETRAIN, parameters=other, by="ann"), "m1"
    )
    [again] = set(flow.app.records.jobs.active())
    retrained = flow.finish(flow.job(again))
    assert retrained.state is JobState.PROMOTED, retrained.reason
    assert retrained.model != first.model

    path = workplace.drop("b.csv", b"mean radius,mean texture,diagnosis\n1\n")
    assert flow.arrive(path) == []
    aside = workplace.blobs.get_container_client("quarantine")
    names = {name.rsplit("/", 1)[1] for name in aside.list_blob_names()}
    assert names == {"b.csv", "reason.json", "reason.txt"}
    flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.REPLAY, path=path, by="ann"), "m2")
    assert flow.arrive(path) == []
    assert [each.state for each in flow.arrivals()][-2:] == [ArrivalState.QUARANTINED] * 2


@pytest.mark.parametrize("path", ["nowhere.csv", f"{PIPELINE}/none.csv"])
def test_a_replay_of_nothing_says_so(workplace: Workplace, path: str) -> None:
    flow = Flow(workplace)
    with pytest.raises(BadMessage, match="has no data at"):
        flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.REPLAY, path=path), "m1")
