"""The process is killed after every single call it makes; the flow, taken up again, ends right.

Both the storage client and the services are reached through the same HTTP library, so that every write and every call
is a point at which to die. Dying before the next call leaves the world as dying after the last one does.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.champions import Action
from shared.jobs import JobState
from shared.messages import Asked, Request
from studio.records import Job
from studio.scoring import score
from tests.support.crashing import carry_out, killed, retrain
from tests.support.flow import Flow
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process to kill"
)

LATER = timedelta(minutes=5)  #: after which leases have run out and messages are asked for again
POINTS_AT_LEAST = 20


@pytest.fixture
def flow(workplace: Workplace, tmp_path: Path) -> Flow:
    """A flow whose gate lets every model pass: which one is live is what is looked at here."""
    sample = Path(workplace.settings["PIPELINES_FILE"])
    text = sample.read_text().replace("AUC >= champion - 0.01", "AUC >= champion - 0.5").replace("0.95", "0.5")
    text = text.replace("settle: 1s", "settle: 0.001s")
    file = tmp_path / "pipelines.yaml"
    file.write_text(text.replace("samples/", f"{sample.parent}/samples/"))
    return Flow(workplace, {"PIPELINES_FILE": str(file)})


def later(flow: Flow) -> Flow:
    """Return the flow of a worker that comes by when the killed one's leases have run out."""
    blob = flow.place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
    with suppress(HttpResponseError):  # it was not leased, or is not there yet
        BlobLeaseClient(blob).break_lease(0)
    taken_up = Flow(flow.place, {"PIPELINES_FILE": str(flow.app.settings.pipelines_file)})

    def now() -> datetime:
        return datetime.now(UTC) + LATER

    taken_up.app.arriving = replace(taken_up.app.arriving, now=now)
    taken_up.app.retraining = replace(taken_up.app.retraining, now=now)
    taken_up.app.promotion = replace(taken_up.app.promotion, now=now)
    return taken_up


def started_trainings(flow: Flow, path: str) -> int:
    jobs = flow.place.studio.studio.records.all(Job)
    return sum(job.queued is not None and str(job.inputs["input1"].relative_location).endswith(path) for job in jobs)


def entries(flow: Flow, job_id: str) -> list[int]:
    found = [flow.app.records.history(PIPELINE, number) for number in range(1, flow.champion.last + 1)]
    return [entry.number for entry in found if entry and entry.job == job_id and entry.action is Action.PROMOTED]


def assert_live(flow: Flow, sha256: str) -> None:
    """Both services answer with this model, by its own predictions."""
    models = flow.place.studio.studio.models
    rows = flow.app.pipelines[PIPELINE].rows
    expected = [row[-2:] for row in score(models.load(sha256), rows.columns, rows.values).values]
    assert {name: answers.values for name, answers in flow.answers().items()} == {"classic": expected, "new": expected}
    champion = flow.champion
    assert champion.change is None
    assert champion.live is not None
    assert {model.sha256 for model in champion.live.models.values()} == {sha256}


def nothing_left_open(flow: Flow) -> bool:
    names = flow.place.blobs.get_container_client("retraining").list_blob_names(name_starts_with="active/")
    # What a killed run might still write late is watched for longer.
    return all(name.startswith("active/watches/") for name in names)


def points(part: int) -> Iterator[int]:
    """The calls after which to die: every second one, so that two tests share them."""
    return iter(range(1 + part, 1000, 2))


@pytest.mark.parametrize("part", [0, 1], ids=["odd calls", "even calls"])
def test_killed_after_any_call_the_flow_ends_with_one_training_one_promotion_and_the_right_model(
    flow: Flow, part: int
) -> None:
    header, rows, studio = flow.place.header, flow.place.rows, flow.place.studio.studio.folder
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    for die_after in points(part):
        path = flow.place.drop(f"{die_after}.csv", as_csv(header, rows[: 200 + 2 * die_after]))
        was_killed = killed(retrain, settings, studio, path, die_after)
        taken_up = later(flow)
        # The event comes again, as the host has it; then the poll finds the rest.
        taken_up.arrive(path)
        [arrival] = [each for each in taken_up.arrivals() if each.dataset.path == path]
        job = taken_up.finish(taken_up.job(arrival.job or ""))
        while not nothing_left_open(taken_up):
            taken_up.poll()
            taken_up.promote()
        assert job.state is JobState.PROMOTED, f"killed after call {die_after}: {job.state}: {job.reason}"
        assert started_trainings(taken_up, path) == 1, f"killed after call {die_after}"
        assert len(entries(taken_up, job.id)) == 1, f"killed after call {die_after}"
        assert job.model is not None
        assert_live(taken_up, job.model.sha256)
        if not was_killed:
            break
        # Blobs are dated to the second, and the clock of those who take up is ahead: the next is to be newer data.
        until(lambda job=job: datetime.now(UTC) > job.dataset.modified + timedelta(seconds=1), "the next second")
    assert die_after > POINTS_AT_LEAST


def test_killed_after_any_call_a_rollback_is_finished_once_by_its_next_delivery(flow: Flow) -> None:
    header, rows = flow.place.header, flow.place.rows
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    request = Request(pipeline=PIPELINE, action=Asked.ROLLBACK, by="ann")
    for die_after in range(1, 1000):
        job = flow.finish(flow.drop(f"{die_after}.csv", as_csv(header, rows[: 200 + 2 * die_after])))
        assert job.state is JobState.PROMOTED
        assert flow.champion.live is not None
        former = flow.app.records.history(PIPELINE, flow.champion.live.previous or 0)
        assert former is not None
        last = flow.champion.last
        was_killed = killed(carry_out, settings, request, f"by-hand-{die_after}", die_after)
        taken_up = later(flow)
        taken_up.app.promotion.carry_out(request, f"by-hand-{die_after}")
        assert taken_up.champion.last == last + 1, f"killed after call {die_after}"
        assert_live(taken_up, former.models["classic"].sha256)
        taken_up.poll()
        taken_up.promote()
        assert nothing_left_open(taken_up)
        if not was_killed:
            break
    assert die_after > POINTS_AT_LEAST
