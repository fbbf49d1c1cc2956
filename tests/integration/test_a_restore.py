"""The records are copied back after a loss, or into another account: what was under way goes on, and all is whole."""

from __future__ import annotations

from azure.storage.blob import BlobServiceClient

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.app import App
from shared.base.settings import Settings
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.store.history_check import verify
from tests.support.flow import Flow

BACKED_UP = ("retraining", "models", "quarantine")


def test_a_restored_copy_of_the_records_takes_a_job_to_its_end_and_can_roll_back(workplace: Workplace) -> None:
    flow = Flow(workplace)
    first = flow.answers()
    header, rows = workplace.header, workplace.rows
    assert flow.finish(flow.drop("first.csv", as_csv(header, rows[:300]))).state is JobState.PROMOTED
    second = flow.answers()
    trained = flow.drop("second.csv", as_csv(header, rows[:400]))

    kept = backed_up(workplace.blobs)
    for name in [*kept, "batches"]:
        if workplace.blobs.get_container_client(name).exists():
            workplace.blobs.delete_container(name)
    restore(workplace.blobs, kept)
    flow.app = App(Settings(workplace.settings), flow)

    assert flow.finish(flow.job(trained.id)).state is JobState.PROMOTED, flow.job(trained.id).reason
    assert flow.answers() not in (first, second)
    champions = flow.app.records.champions
    checked = verify(champions.stored_history(PIPELINE), champions.load(PIPELINE), None)
    assert checked.whole, checked.faults
    flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.ROLLBACK, by="ann"), "by-hand")
    assert flow.answers() == second


def backed_up(blobs: BlobServiceClient) -> dict[str, dict[str, tuple[bytes, dict[str, str]]]]:
    """Return each blob of the containers with its metadata, as a copying tool takes it along."""
    found: dict[str, dict[str, tuple[bytes, dict[str, str]]]] = {}
    for name in BACKED_UP:
        container = blobs.get_container_client(name)
        if container.exists():
            found[name] = {}
            for blob in container.list_blobs(include=["metadata"]):
                found[name][blob.name] = container.download_blob(blob.name).readall(), dict(blob.metadata or {})
    return found


def restore(blobs: BlobServiceClient, kept: dict[str, dict[str, tuple[bytes, dict[str, str]]]]) -> None:
    for name, contents in kept.items():
        container = blobs.create_container(name)
        for path, (content, metadata) in contents.items():
            container.upload_blob(path, content, metadata=metadata)
