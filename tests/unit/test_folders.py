"""A training whose experiment reads a folder: what is brought there, and under which name it is handed over."""

from __future__ import annotations

import msgspec
import pytest

from shared.base.errors import BadMessage, HeadersDiffer, ServiceUnavailable
from shared.domain.jobs import JobState
from shared.domain.joining import check_headers
from shared.domain.table.reader import PIECE
from tests.support.fakes import World

PATH = "Path to container, directory or blob"


@pytest.fixture
def world() -> World:
    """A world whose batches are handed over as folders."""
    world = World()
    takes_folders(world, True)
    return world


def takes_folders(world: World, yes: bool) -> None:
    pipeline = world.pipelines["income"]
    training = msgspec.structs.replace(pipeline.training, folder=PATH if yes else None)
    arriving = msgspec.structs.replace(pipeline.arriving, batch="quiet", quiet=1.0, rows="all")
    world.alone["income"] = msgspec.structs.replace(pipeline, training=training, arriving=arriving, blobs="income/**")


def arrive(world: World, *names: str) -> str:
    for name in names:
        world.flows.intake.see(world.put(name))
    world.clock.sleep(2)
    [job] = world.flows.intake.take_up()
    world.clock.sleep(60)  # the run that took it up has died, and the poll takes its job over
    return job.id


def promoted(world: World, job_id: str) -> str:
    world.run(lambda: world.records.jobs.require(job_id).record.final)
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.PROMOTED, job.reason
    return job_id


def in_folder(world: World, folder: str) -> dict[str, bytes]:
    return {name.removeprefix(folder): content for name, content in world.data.joined.items() if folder in name}


def test_the_files_of_a_batch_are_handed_over_as_a_folder_behind_those_of_the_live_model(world: World) -> None:
    first = promoted(world, arrive(world, "may/a.csv", "june/a.csv"))
    assert world.service.data == []
    assert world.service.parameters == {PATH: f"batches/income/{first}/*"}
    world.put("may/a.csv", b"age\n77\n")  # what the live model was trained on is not read where it was dropped
    second = promoted(world, arrive(world, "b.csv"))
    assert world.service.parameters == {PATH: f"batches/income/{second}/*"}
    copies = {"000001-a.csv": b"age\n1\n", "000002-a.csv": b"age\n2\n"}
    assert in_folder(world, f"income/{first}/") == copies
    assert in_folder(world, f"income/{second}/") == {**copies, "000003-b.csv": b"age\n3\n"}


def test_a_file_that_was_overwritten_meanwhile_leaves_the_others_a_new_folder(world: World) -> None:
    job_id = arrive(world, "a.csv", "b.csv")
    world.data.joined[f"income/{job_id}/000001-a.csv"] = b"age\n1\n"  # it was copied when the run died
    world.put("a.csv", b"age\n77\n")
    promoted(world, job_id)
    assert world.service.parameters == {PATH: f"batches/income/{job_id}-1/*"}
    assert in_folder(world, f"income/{job_id}-1/") == {"000001-b.csv": b"age\n2\n"}


def test_a_copy_that_goes_on_is_waited_for(world: World) -> None:
    job_id = arrive(world, "a.csv")
    world.data.fails = [ServiceUnavailable("1 of 1 files are still being copied")] * 3
    world.flows.training.poll()
    assert world.service.created == []
    assert world.records.jobs.require(job_id).record.trouble == "1 of 1 files are still being copied"
    promoted(world, job_id)
    assert world.service.created == ["bes-1"]


def test_data_is_trained_on_again_where_it_is_and_by_a_service_of_the_other_kind_where_that_reads(
    world: World,
) -> None:
    first = promoted(world, arrive(world, "a.csv"))
    again = world.flows.intake.retrain("income", {"Trees": "8"}, "m1")
    promoted(world, again.id)
    assert world.service.parameters == {PATH: f"batches/income/{first}/*", "Trees": "8"}

    takes_folders(world, False)
    other = world.flows.intake.retrain("income", {}, "m2")
    promoted(world, other.id)
    assert world.service.data == [f"batches/income/{other.id}.csv"]
    joined = promoted(world, arrive(world, "b.csv"))
    assert world.data.joined[f"income/{joined}.csv"] == b"age\n1\n2\n"

    takes_folders(world, True)
    back = promoted(world, arrive(world, "c.csv"))
    assert in_folder(world, f"income/{back}/") == {f"000001-{joined}.csv": b"age\n1\n2\n", "000002-c.csv": b"age\n3\n"}


def test_a_message_cannot_give_the_path(world: World) -> None:
    promoted(world, arrive(world, "a.csv"))
    with pytest.raises(BadMessage, match="The app itself gives 'Path to container, directory or blob'"):
        world.flows.intake.retrain("income", {PATH: "batches/other"}, "m1")


def test_headers_are_compared_without_reading_the_rows() -> None:
    def endless() -> object:
        yield b"age,label\r\n" + b"1,2\n" * PIECE  # storage gives 1 MiB, which is more than is looked at as one block
        pytest.fail("the rows were read")

    check_headers([("a.csv", endless()), ("b.csv", iter([b"\xef\xbb\xbfage,la", b"bel\n"]))])  # type: ignore[list-item]
    for name, content, says in [
        ("b.csv", b"label,age\n", "b.csv has the header 'label,age', but a.csv has the header 'age,label'"),
        ("b.tsv", b"age\n", "Files of .csv and .tsv cannot be joined"),
    ]:
        with pytest.raises(HeadersDiffer, match=says):
            check_headers([("a.csv", iter([b"age,label\n"])), (name, iter([content]))])
