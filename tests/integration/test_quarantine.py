"""Refused data in real storage: one file or a whole batch, moved, and put back once. None of it reaches a Studio."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import yaml
from azure.storage.blob import BlobServiceClient, ContainerClient, StandardBlobTier

from local.azurite import Azurite
from local.children import ROOT
from shared.app import App
from shared.base.errors import DataChanged
from shared.base.settings import Settings
from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.checks import Checks
from shared.domain.messages import Command, Request
from tests.support.crashing import killed, take_up
from tests.support.waiting import until
from tests.unit.test_pipelines import SETTINGS

HEADER = b"mean radius,mean texture,diagnosis\n"


@pytest.fixture(scope="module")
def azurite(azurite_of_file: Azurite) -> Azurite:
    return azurite_of_file


class Place:
    """The app with one pipeline and its own container."""

    def __init__(self, azurite: Azurite, folder: Path, arrival: dict[str, str]) -> None:
        [entry] = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text("utf-8"))["pipelines"].values()
        self.pipeline = f"cancer-{uuid4().hex[:8]}"
        entry["arrival"], entry["proof"]["rows"] = arrival, str(ROOT / entry["proof"]["rows"])
        entry["checks"] |= {"rows_at_least": 4, "proof_columns": False}
        file = folder / "pipelines.yaml"
        file.write_text(yaml.safe_dump({"pipelines": {self.pipeline: entry}}), "utf-8")
        self.settings = {
            **SETTINGS,
            "TRAINING_DATA": azurite.connection_string,
            "TRAINING_DATA_PATH": f"data-{self.pipeline}/{{name}}",
            "RETRAINING_STORE": azurite.connection_string,
            "PIPELINES_FILE": str(file),
        }
        self.app = App(Settings(self.settings))
        self.blobs = BlobServiceClient.from_connection_string(azurite.connection_string)
        self.dropped = self.blobs.create_container(f"data-{self.pipeline}")

    @property
    def quarantine(self) -> ContainerClient:
        return self.blobs.get_container_client("quarantine")

    def drop(self, name: str, rows: bytes) -> str:
        path = f"breast-cancer/{name}"
        self.dropped.upload_blob(path, HEADER + rows, overwrite=True, metadata={"origin": "clinic"})
        self.app.flows.intake.see(path)
        return path

    def take_up(self) -> list[str]:
        """Take up what has arrived until nothing is open; return the jobs."""
        jobs: list[str] = []

        def settled() -> bool:
            jobs.extend(job.id for job in self.app.flows.intake.take_up())
            return not any(each.open for each in self.arrivals())

        until(settled, lambda: self.arrivals())
        return jobs

    def arrivals(self) -> list[Arrival]:
        arrivals = self.app.records.arrivals
        found = [arrivals.require(*key).record for key in arrivals.ids(self.pipeline)]
        return sorted(found, key=lambda each: each.seen_at)


def test_a_batch_that_fails_as_a_whole_is_quarantined_as_a_whole_though_workers_die_over_it(
    azurite: Azurite, tmp_path: Path
) -> None:
    place = Place(azurite, tmp_path, {"settle": "0.1s", "batch": "quiet", "quiet": "0.1s", "refused": "move"})
    paths = [place.drop(f"{name}.csv", f"1,{number},benign\n2,{number},benign\n".encode())
             for number, name in enumerate("abc")]  # fmt: skip
    # The first kill comes after the checks: a file whose check three workers died over is quarantined alone.
    until(lambda: killed(take_up, place.settings, 14), place.arrivals)
    kills = sum(killed(take_up, place.settings, changes) for changes in (4, 7, 5, 6, 3))
    assert place.take_up() == []

    assert kills >= 3
    assert {each.state for each in place.arrivals()} == {ArrivalState.QUARANTINED}
    assert list(place.dropped.list_blob_names()) == []
    said = "The batch of breast-cancer/a.csv and 2 more: the label 'diagnosis' has the one class 'benign'"
    for each, path in zip(place.arrivals(), paths, strict=True):
        assert (each.reason or "").startswith(said)
        folder = f"{place.pipeline}/{each.id}"
        assert each.moved == f"quarantine/{folder}/{path.rpartition('/')[2]}"
        assert json.loads(place.quarantine.download_blob(f"{folder}/reason.json").readall())["reason"] == each.reason
        assert place.quarantine.download_blob(f"{folder}/reason.txt").readall().decode().startswith(said)


def test_refused_data_moves_a_newer_version_survives_and_a_replay_puts_back_the_very_bytes_once(
    azurite: Azurite, tmp_path: Path
) -> None:
    place = Place(azurite, tmp_path, {"settle": "0.1s", "refused": "move"})
    data = place.app.data
    path = place.drop("a.csv", b"1,2,benign\n")
    old = data.find(path)
    assert place.take_up() == []
    assert data.find(path) is None
    assert old is not None
    [moved] = place.arrivals()

    newer = place.drop("a.csv", b"1,2,benign\n3,4,malignant\n")
    data.delete(old)
    with pytest.raises(DataChanged, match=r"Something newer is at breast-cancer/a\.csv"):
        place.app.flows.requests.carry_out(Request(pipeline=place.pipeline, action=Command.REPLAY, path=path), "m1")
    with pytest.raises(DataChanged, match=rf"to have quarantine/{place.pipeline}/.*a\.csv, which was there before"):
        data.put_back(path, f"{place.pipeline}/{moved.id}", "m1")
    with pytest.raises(DataChanged, match="was overwritten or deleted before it was set aside"):
        data.set_aside(old, f"{place.pipeline}/another", b"{}", b"")
    assert place.dropped.download_blob(newer).readall() == HEADER + b"1,2,benign\n3,4,malignant\n"
    place.dropped.delete_blob(newer)

    corrected = msgspec.structs.replace(place.app.pipelines[place.pipeline], checks=Checks(proof_columns=False))
    place.app.pipelines.alone = {place.pipeline: corrected}
    outcomes = {
        place.app.flows.requests.carry_out(Request(pipeline=place.pipeline, action=Command.REPLAY, path=path), "m2")
        for _ in range(2)
    }
    assert len(outcomes) == 1
    place.app.flows.intake.see(path)
    [job_id] = place.take_up()
    [part] = place.app.records.jobs.require(job_id).record.parts
    assert place.dropped.download_blob(path).readall() == HEADER + b"1,2,benign\n"
    assert place.dropped.get_blob_client(path).get_blob_properties().metadata["origin"] == "clinic"
    assert part.sha256 == place.arrivals()[-1].sha256
    place.app.flows.requests.carry_out(Request(pipeline=place.pipeline, action=Command.REPLAY, path=path), "m2")
    assert place.take_up() == []


def test_an_archived_blob_is_set_aside_at_once_and_trained_on_once_it_can_be_read(
    azurite: Azurite, tmp_path: Path
) -> None:
    place = Place(azurite, tmp_path, {"settle": "0.1s", "refused": "move"})
    place.dropped.upload_blob("breast-cancer/old.csv", HEADER + b"1,2,benign\n3,4,malignant\n5,6,benign\n7,8,benign\n")
    blob = place.dropped.get_blob_client("breast-cancer/old.csv")
    blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    place.app.flows.intake.see(blob.blob_name)
    assert place.take_up() == []

    [arrival] = place.arrivals()
    assert arrival.state is ArrivalState.QUARANTINED
    assert "409 BlobArchived: it is in the Archive tier; set its tier to Hot or Cool" in (arrival.reason or "")
    aside = [*place.quarantine.list_blob_names(name_starts_with=f"{place.pipeline}/")]
    assert [name.rpartition("/")[2] for name in aside] == ["reason.json", "reason.txt"]

    blob.set_standard_blob_tier(StandardBlobTier.HOT)
    place.app.flows.intake.replay(place.pipeline, blob.blob_name, "m1")
    assert len(place.take_up()) == 1
