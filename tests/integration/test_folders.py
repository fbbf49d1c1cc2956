"""A batch is handed over as a folder, to a training experiment that imports its data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.base.errors import AskHuman
from shared.domain.jobs import JobState, RetrainingJob
from studio.errors import ModuleError
from studio.experiments.loading import load_experiment
from studio.jobs.import_data import import_table
from studio.learning.ilearner import pack
from studio.learning.tables import read_table
from studio.learning.training import train
from studio.state.blobs import Blobs
from studio.state.records import Job
from tests.support.crashing import killed, poll
from tests.support.flow import Flow
from tests.support.studio import Client, blob, error_of
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.xdist_group("folders")  # one Studio serves all of these tests

PATH = "Path to container, directory or blob"
EXPERIMENT = "breast-cancer-folder"


@pytest.fixture(scope="module", name="place")
def without_input(place: Workplace) -> Workplace:
    """A workplace whose training web service has no input."""
    training = place.studio.studio.deploy_training(load_experiment(EXPERIMENT))
    own = {
        "BREAST_CANCER_TRAINING_ADDRESS": f"{place.studio.address}{training.path}",
        "BREAST_CANCER_TRAINING_KEY": training.key,
    }
    return replace(place, settings=place.settings | own)


def flow_of(place: Workplace, folder: Path, rows: str = "new") -> Flow:
    """Return a flow whose pipeline takes what is dropped below the folder's name; every model passes its gate."""
    sample = Path(place.settings["PIPELINES_FILE"])
    text = sample.read_text().replace("samples/", f"{sample.parent}/samples/")
    for right, other in [
        ("blobs: breast-cancer/*.csv", f"blobs: breast-cancer/{folder.name}/**/*.csv"),
        ("      input: input1", f"      folder: {PATH}"),
        ("      batch: each", f"      batch: marker\n      rows: {rows}"),
        ("settle: 1s", "settle: 0.001s"),
        ("AUC >= champion - 0.01", "AUC >= champion - 0.5"),
        ("AUC >= 0.95", "AUC >= 0.5"),
    ]:
        assert right in text
        text = text.replace(right, other)
    file = folder / "pipelines.yaml"
    file.write_text(text)
    return Flow(place, {"PIPELINES_FILE": str(file)})


def batch(flow: Flow, folder: str, files: dict[str, bytes]) -> RetrainingJob:
    """Drop the files and their marker; return their job, which is not started."""
    for name, content in files.items():
        if name.startswith("appended"):
            path = f"{PIPELINE}/{folder}/{name}"
            appended = flow.place.blobs.get_blob_client(flow.place.container, path)
            appended.create_append_blob()
            appended.append_block(content)
        else:
            flow.place.drop(f"{folder}/{name}", content)
    flow.app.flows.intake.see(flow.place.drop(f"{folder}/_SUCCESS", b""))
    for _ in range(10):
        if jobs := flow.app.flows.intake.take_up():
            return jobs[0]
    raise AssertionError([each.reason for each in flow.arrivals()])


def folder_of(flow: Flow, job: RetrainingJob) -> dict[str, bytes]:
    """Return what is in the folder that the job's BES job was given, with nothing but whole block blobs in it."""
    container, _, name = given_path(flow, job).removesuffix("*").partition("/")
    batches = flow.place.blobs.get_container_client(container)
    found = list(batches.list_blobs(name_starts_with=name))
    assert {each.blob_type for each in found} == {"BlockBlob"}
    return {each.name.removeprefix(name): batches.download_blob(each.name).readall() for each in found}


def given_path(flow: Flow, job: RetrainingJob) -> str:
    bes_job = flow.place.studio.studio.records.get(Job, flow.job(job.id).bes_job or "")
    assert bes_job.inputs == {}
    return bes_job.parameters[PATH]


def trained_on(rows: list[list[str]], header: list[str]) -> str:
    """Return the hash of the model that these rows, as one table, give."""
    [trained] = train(load_experiment(EXPERIMENT), read_table(as_csv(header, rows)), {})
    return hashlib.sha256(pack(trained.model)).hexdigest()


def test_the_model_is_trained_on_exactly_the_files_of_the_batch_and_those_of_the_live_model(
    place: Workplace, tmp_path: Path
) -> None:
    flow, name = flow_of(place, tmp_path, "all"), tmp_path.name
    header, rows = place.header, place.rows
    parts = [as_csv(header, part) for part in (rows[:150], rows[150:200], rows[200:300])]
    files = {"may/a b.csv": parts[0], "june/a b.csv": parts[1].rstrip(b"\n"), "appended.csv": parts[2]}
    job = flow.finish(flow.app.flows.training.start(batch(flow, name, files)))
    assert job.state is JobState.PROMOTED, job.reason
    assert given_path(flow, job) == f"batches/{PIPELINE}/{job.id}/*"
    copies = folder_of(flow, job)
    assert sorted(copies) == [f"{n:06}-{part.dataset.path.rpartition('/')[2]}" for n, part in enumerate(job.parts, 1)]
    assert sorted(copies.values()) == sorted(files.values())
    in_order = [row for content in copies.values() for row in rows_of(content)]
    assert job.model is not None
    assert job.model.sha256 == trained_on(in_order, header)

    flow.place.drop(f"{name}/may/a b.csv", as_csv(header, rows[:60]))  # the live model's rows are not there any more
    later = flow.finish(
        flow.app.flows.training.start(batch(flow, f"{name}/later", {"c.csv": as_csv(header, rows[300:])}))
    )
    assert later.state is JobState.PROMOTED, later.reason
    assert folder_of(flow, later) == {**copies, "000004-c.csv": as_csv(header, rows[300:])}
    assert later.model is not None
    assert later.model.sha256 == trained_on([*in_order, *rows[300:]], header)


def rows_of(content: bytes) -> list[list[str]]:
    return [line.split(",") for line in content.decode().splitlines()[1:]]


def test_an_overwritten_file_is_not_read_and_a_file_of_another_job_is_reported(
    place: Workplace, tmp_path: Path
) -> None:
    flow, name = flow_of(place, tmp_path), tmp_path.name
    header, rows = place.header, place.rows
    files = {"a.csv": as_csv(header, rows[:80]), "b.csv": as_csv(header, rows[80:160])}
    job = batch(flow, name, files)
    flow.place.drop(f"{name}/a.csv", as_csv(header, rows[300:400]))
    started = flow.app.flows.training.start(job)
    assert any("a.csv was overwritten" in step.note for step in started.steps)
    assert given_path(flow, job) == f"batches/{PIPELINE}/{job.id}-1/*"
    assert list(folder_of(flow, job).values()) == [files["b.csv"]]

    assert started.joined is not None
    flow.place.blobs.get_blob_client("batches", f"{started.joined}x.csv").upload_blob(files["a.csv"])
    with pytest.raises(AskHuman, match=rf"batches/{PIPELINE}/{job.id}-1/x\.csv is not one of the job's files"):
        flow.app.data.gather(started.joined, [part.dataset for part in started.parts], None)
    flow.finish(started)


def test_killed_between_copies_the_folder_is_finished_by_the_next_run_and_nothing_is_copied_twice(
    place: Workplace, tmp_path: Path
) -> None:
    flow, name = flow_of(place, tmp_path), tmp_path.name
    header, rows = place.header, place.rows
    settings = {**place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    files = {f"{n}.csv": as_csv(header, rows[n * 40 : n * 40 + 40]) for n in range(4)}
    job = batch(flow, name, files)
    batches = place.blobs.get_container_client("batches")

    def copied() -> dict[str, str]:
        return {each.name: each.etag for each in batches.list_blobs(name_starts_with=f"{PIPELINE}/{job.id}/")}

    seen: list[dict[str, str]] = []
    while len(seen) < 5 and killed(poll, settings, 2):
        seen.append(copied())
    assert any(0 < len(each) < len(files) for each in seen), seen
    started = flow.app.flows.training.start(flow.job(job.id))
    assert started.bes_job
    assert sorted(folder_of(flow, job).values()) == sorted(files.values())
    for former, later in zip(seen, [*seen[1:], copied()], strict=True):
        assert former.items() <= later.items()
    flow.finish(started)


def test_a_service_that_imports_its_data_has_no_input(place: Workplace) -> None:
    client = Client(place.settings["BREAST_CANCER_TRAINING_ADDRESS"], place.settings["BREAST_CANCER_TRAINING_KEY"])
    request = requests.get(f"{client.address}/swagger.json", timeout=PATIENCE).json()["definitions"]["JobRequest"]
    assert set(request["properties"]) == {"Outputs", "GlobalParameters"}
    assert request["properties"]["GlobalParameters"]["properties"][PATH]["default"] == "training-data/breast-cancer"
    given = blob(place, "given.csv", as_csv(place.header, place.rows))
    too_many = (400, "BadArgument", "BatchJobInputsTooManySpecified")
    assert error_of(client.call("POST", "/jobs", {"Inputs": {"input1": given}})) == too_many
    assert error_of(client.call("POST", "/jobs", {"Input": given})) == too_many
    assert error_of(client.call("POST", "/jobs", {"Input": given}, version=None)) == too_many
    failed = client.wait(client.submit({"GlobalParameters": {PATH: "nowhere/at/all"}}))
    assert failed["StatusCode"] == "Failed"
    assert failed["Details"].startswith("Module: Reader; ")
    assert '\\"nowhere\\" is incorrect; a container name of the format container/blob was exp' in failed["Details"]


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("", 3, "is null or empty"),
        ("/imported/good", 9, 'container name "" is incorrect'),
        ("import*/good", 9, 'container name "import*" is incorrect'),
        ("imported/none", 65, 'blob name "imported/none" is incorrect'),
        ("imported/good/*.tsv", 65, 'blob name "imported/good/*.tsv" is incorrect'),
        (
            "imported/other/*",
            10,
            "not the same for column 1 (zero-based) of input datasets (other/a.csv and other/b.csv",
        ),
        ("imported/more", 27, '"more/a.csv" is inconsistent with size of "more/b.csv": 2 and 1 columns'),
        ("imported/ragged", 1000, "All rows must have same number of elements (in imported/ragged/a.csv)"),
        ("imported/appended", 30, "imported/appended/a.csv: it is of type AppendBlob, and only block blobs are read"),
    ],
)
def test_what_cannot_be_imported_is_the_modules_error_and_names_the_path(
    imported: Blobs, path: str, error: int, says: str
) -> None:
    with pytest.raises(ModuleError) as refused:
        import_table(imported, path)
    assert (refused.value.module, refused.value.number) == ("Reader", error)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("path", "cells"),
    [
        ("imported/good", "1234"),
        ("imported/good/", "1234"),
        ("imported/good/*", "123"),
        ("imported/go*/?.csv", "123"),
        ("imported/good/b.csv", "3"),
        ("imported/good/deep/*.csv", "4"),
    ],
)
def test_a_path_is_a_blob_a_folder_or_a_pattern_and_its_files_are_one_table_by_name(
    imported: Blobs, path: str, cells: str
) -> None:
    assert import_table(imported, path) == {"x": list(cells), "y": list(cells)}


@pytest.fixture(scope="module")
def imported(place: Workplace) -> Blobs:
    container = place.blobs.create_container("imported")
    for name, content in {
        "good/b.csv": b"x,y\n3,3\n",
        "good/a.csv": b"\xef\xbb\xbfx,y\r\n1,1\r\n2,2",
        "good/deep/a.csv": b"x,y\n4,4\n",
        "goods.csv": b"x,y\n9,9\n",
        "other/a.csv": b"x,y\n1,1\n",
        "other/b.csv": b"x,z\n1,1\n",
        "more/a.csv": b"x,y\n1,1\n",
        "more/b.csv": b"x\n1\n",
        "ragged/a.csv": b"x,y\n1\n",
    }.items():
        container.upload_blob(name, content)
    appended = container.get_blob_client("appended/a.csv")
    appended.create_append_blob()
    appended.append_block(b"x,y\n1,1\n")
    return Blobs(place.azurite.connection_string)
