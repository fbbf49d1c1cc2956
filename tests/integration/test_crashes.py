"""The process is killed after every single call that may change something; the flow, taken up again, ends right.

Both the storage client and the services are reached through the same HTTP library, so that every write is a point at
which to die. Dying before the next one, or after reading, leaves the world as dying after the last one does.
"""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.domain.arrivals import arrival_id
from shared.domain.champions import Action
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from studio.state.records import Job
from tests.support.crashing import carry_out, killed, retrain
from tests.support.flow import PASSING, Flow, configured
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process to kill"
)

LATER = timedelta(minutes=5)  #: after which leases have run out and messages are asked for again
POINTS_AT_LEAST = 8


@pytest.fixture
def flow(workplace: Workplace, tmp_path: Path) -> Flow:
    """A flow whose gate lets every model pass: which one is live is what is looked at here."""
    return Flow(workplace, configured(workplace, tmp_path, *PASSING))


def later(flow: Flow) -> Flow:
    """Return the flow of a worker that comes by when the killed one's leases have run out."""
    blob = flow.place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
    with suppress(HttpResponseError):  # it was not leased, or does not exist yet
        BlobLeaseClient(blob).break_lease(0)
    taken_up = Flow(flow.place, {"PIPELINES_FILE": str(flow.app.settings.pipelines_file)})

    taken_up.pass_time(LATER)
    return taken_up


def started_trainings(flow: Flow, path: str) -> int:
    jobs = flow.place.studio.studio.records.all(Job)
    return sum(
        job.queued is not None and str(getattr(job.inputs.get("input1"), "relative_location", "")).endswith(path)
        for job in jobs
    )


def entries(flow: Flow, job_id: str, after: int) -> list[int]:
    found = [flow.app.records.champions.entry(PIPELINE, number) for number in range(after + 1, flow.champion.last + 1)]
    return [entry.number for entry in found if entry and entry.job == job_id and entry.action is Action.PROMOTED]


def assert_live(flow: Flow, sha256: str) -> None:
    """Both services answer with this model, by its own predictions."""
    expected = flow.predicted(sha256)
    assert flow.answers() == {"classic": expected, "new": expected}
    champion = flow.champion
    assert champion.change is None
    assert champion.live is not None
    assert {model.sha256 for model in champion.live.models.values()} == {sha256}


def nothing_left_open(flow: Flow) -> bool:
    names = flow.place.blobs.get_container_client("retraining").list_blob_names(name_starts_with="active/")
    # What a killed run might still write late is watched for longer.
    return all(name.startswith("active/watches/") for name in names)


def test_killed_after_any_change_the_flow_ends_with_one_training_one_promotion_and_the_right_model(flow: Flow) -> None:
    header, rows, studio = flow.place.header, flow.place.rows, flow.place.studio.studio.folder
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    for die_after in range(1, 1000):
        path = flow.place.drop(f"{die_after}.csv", as_csv(header, rows[: 200 + 2 * die_after]))
        last = flow.champion.last
        was_killed = killed(retrain, settings, studio, path, die_after)
        taken_up = later(flow)
        # The event comes again, as the host has it; then the poll finds the rest.
        taken_up.arrive(path)
        dataset = taken_up.app.data.find(path)
        assert dataset is not None
        arrival = taken_up.app.records.arrivals.require(PIPELINE, arrival_id(dataset)).record
        job = taken_up.finish(taken_up.job(arrival.job or ""))
        while not nothing_left_open(taken_up):
            taken_up.poll()
            taken_up.promote()
        assert job.state is JobState.PROMOTED, f"killed after change {die_after}: {job.state}: {job.reason}"
        assert started_trainings(taken_up, path) == 1, f"killed after change {die_after}"
        assert len(entries(taken_up, job.id, last)) == 1, f"killed after change {die_after}"
        assert job.model is not None
        assert_live(taken_up, job.model.sha256)
        if not was_killed:
            break
        # Blobs are dated to the second, and the clock of those who take up is ahead: the next is to be newer data.
        until(lambda job=job: datetime.now(UTC) > job.dataset.modified + timedelta(seconds=1), "the next second")
    assert die_after > POINTS_AT_LEAST


def test_killed_after_any_change_a_rollback_is_finished_once_by_its_next_delivery(flow: Flow) -> None:
    header, rows = flow.place.header, flow.place.rows
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    request = Request(pipeline=PIPELINE, action=Command.ROLLBACK, by="ann")
    first, second = (flow.finish(flow.drop(f"{count}.csv", as_csv(header, rows[:count]))) for count in (200, 300))
    assert first.model is not None
    assert second.model is not None
    again = Request(pipeline=PIPELINE, action=Command.PROMOTE, job=second.id, by="ann")
    for die_after in range(1, 1000):
        flow.app.flows.requests.carry_out(again, f"before-{die_after}")
        assert_live(flow, second.model.sha256)
        last = flow.champion.last
        was_killed = killed(carry_out, settings, request, f"by-hand-{die_after}", die_after)
        taken_up = later(flow)
        taken_up.app.flows.requests.carry_out(request, f"by-hand-{die_after}")
        assert taken_up.champion.last == last + 1, f"killed after change {die_after}"
        assert_live(taken_up, first.model.sha256)
        taken_up.poll()
        taken_up.promote()
        assert nothing_left_open(taken_up)
        if not was_killed:
            break
    assert die_after > POINTS_AT_LEAST
