"""A fault of one file or of one job is about that file or job: it ends with a reason, and the others go on."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.base.errors import AccessRefused, Busy, NotYetReadable, ServiceRefused, ServiceUnavailable
from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.checks import Checks, Column, Kind, check
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import HeldOut, JobState
from shared.domain.ports import Running
from shared.domain.rows import Rows
from shared.domain.stuck import SOON, lines, stuck_files, stuck_jobs
from shared.flows import judging
from shared.store.shelf import stem
from tests.support.fakes import World

TWO_ROWS = Rows(["age", "hours"], [["39", "40"], ["50", "13"]])


@pytest.fixture
def world() -> World:
    """A pipeline whose rules name one of the two columns that the web service is asked with."""
    return World(rows=TWO_ROWS)


def record(world: World, name: str) -> Arrival:
    """Return the file's one arrival."""
    names = [each for each in world.documents.contents if each.startswith("arrivals/income/")]
    found = [world.records.arrivals.require("income", stem(each)).record for each in names]
    [one] = [each for each in found if each.dataset.path == f"income/{name}"]
    return one


def open_arrivals(world: World) -> list[Arrival]:
    marks = world.records.marks().arrivals
    return [world.records.arrivals.require(name, each).record for name, ids in marks.items() for each in ids]


def arrival(world: World, name: str) -> tuple[ArrivalState, str]:
    return record(world, name).state, record(world, name).reason or ""


def batches(world: World, **facts: object) -> None:
    pipeline = world.alone["income"]
    changed = msgspec.structs.replace(pipeline.arriving, **facts)
    world.alone["income"] = msgspec.structs.replace(pipeline, arriving=changed)


def archived(code: str = "BlobArchived") -> ServiceRefused:
    return ServiceRefused(f"Storage, reading it: 409 {code}", 409, [code])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("age", "has no column 'hours', and the rows of proof.rows have it"),
        ("age,Hours", "has no column 'hours' but one 'Hours', which differs in case only"),
        ('age,"ho\nurs"', "has no column 'hours' but one 'ho\\nurs', which seems to be it renamed"),
        ("years,weeks", "has no column 'age', 'hours', and the rows of proof.rows have 'hours'"),
    ],
)
def test_a_file_without_a_column_of_the_proof_is_refused_before_it_is_trained_on(
    world: World, header: str, message: str
) -> None:
    values = ",".join("1" for _ in header.split(","))
    world.flows.intake.see(world.put("lacks.csv", f"{header}\n{values}\n".encode()))
    assert world.take_up() == []
    state, reason = arrival(world, "lacks.csv")
    assert state is ArrivalState.QUARANTINED
    assert message in reason
    assert world.service.created == []


def test_a_file_that_lacks_a_column_does_not_hold_the_next_one(world: World) -> None:
    world.flows.intake.see(world.put("lacks.csv", b"age\n1\n"))
    world.flows.intake.see(world.put("good.csv", b"age,hours\n1,2\n"))
    [job_id] = world.take_up()
    assert world.records.jobs.require(job_id).record.dataset.path == "income/good.csv"


def test_an_experiment_may_make_columns_of_the_proof_itself(world: World) -> None:
    checks = Checks(columns=(Column(name="age"),), proof_columns=False)
    world.alone["income"] = msgspec.structs.replace(world.alone["income"], checks=checks)
    world.flows.intake.see(world.put("raw.csv", b"age\n1\n"))
    assert len(world.take_up()) == 1


def test_columns_of_the_proof_are_expected_where_no_others_are_allowed() -> None:
    rules = Checks(columns=(Column(name="age"),), extra_columns=False)
    assert check("a.csv", [b"hours,age\n1,2\n"], rules, inputs=["hours"]).whole
    assert check("a.csv", [b"hours,age\n1,2\n"], rules, inputs=["hours"]).faults == ()
    [fault] = check("a.csv", [b"hours,age,other\n1,2,3\n"], rules, inputs=["hours"]).faults
    assert (fault.kind, fault.column) == (Kind.EXTRA_COLUMN, "other")
    [note] = check(
        "a.csv", [b"hours,age,other\n1,2,3\n"], msgspec.structs.replace(rules, extra_columns=True), inputs=["hours"]
    ).notes
    assert note == "a.csv has columns that no rule names: 'other'"


def test_a_table_without_a_header_has_as_many_columns_as_the_proof() -> None:
    [fault] = check("a.nh.csv", [b"1,2\n"], Checks(), inputs=["a", "b", "c"]).faults
    assert fault.kind is Kind.MISSING_COLUMN
    assert fault.message == "a.nh.csv line 1 has 2 values where proof.rows has 3 columns"
    assert check("a.nh.csv", [b"1,2,3\n"], Checks(), inputs=["a", "b", "c"]).faults == ()


def test_scored_rows_without_a_column_of_the_proof_end_their_job_at_once(world: World) -> None:
    gate = Gate(rules=[parse_rule("AUC >= champion")], label="label")
    world.alone["income"] = msgspec.structs.replace(world.alone["income"], gate=gate)
    world.service.answer = Running()
    job_id = world.drop("a.csv", b"age,hours\n1,2\n")
    world.flows.training.poll()
    stored = world.records.jobs.require(job_id)
    digest = world.records.answers.keep_rows(Rows(["age", "label", "Scored Labels"], [["1", "yes", "no"]])).digest
    model, evaluation = world.models.keep(iter([b"new"])), judging.read_evaluation(b"AUC\n0.9\n")
    facts = {"model": model, "evaluation": evaluation, "held_out": HeldOut(digest=digest, rows=1, of=1)}
    world.records.jobs.save(stored, stored.record.move_to(JobState.JUDGING, world.clock.now(), **facts))

    world.flows.training.poll()

    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.FAILED
    assert "has no column 'hours'" in (job.reason or "")
    assert world.records.jobs.active() == []


@pytest.mark.parametrize("code", ["BlobArchived", "BlobUsesCustomerSpecifiedEncryption", "AnyOtherRefusal"])
def test_a_blob_that_nobody_can_read_is_set_aside_without_a_copy_and_may_be_replayed(world: World, code: str) -> None:
    batches(world, batch="quiet", quiet=60.0, at_most=3600.0)
    path = world.put("archived.csv", b"age,hours\n1,2\n")
    world.data.unreadable[path] = archived(code)
    world.flows.intake.see(path)
    world.flows.intake.see(world.put("good.csv", b"age,hours\n3,4\n"))
    assert world.take_up() == []
    assert arrival(world, "archived.csv") == (
        ArrivalState.QUARANTINED,
        f"income/archived.csv cannot be read: Storage, reading it: 409 {code}; once it can be read, replay it",
    )
    assert world.data.copies == {}
    assert len(world.data.aside) == 1

    world.clock.sleep(61)
    [job_id] = world.take_up()  # by `quiet`: the file that cannot be read holds nobody up
    assert [part.dataset.path for part in world.records.jobs.require(job_id).record.parts] == ["income/good.csv"]

    del world.data.unreadable[path]
    world.flows.intake.replay("income", path, "m1")
    jobs = world.take_up()
    world.clock.sleep(61)
    [job_id] = [*jobs, *world.take_up()]
    assert [part.dataset.path for part in world.records.jobs.require(job_id).record.parts] == [path]


@pytest.mark.parametrize("error", [NotYetReadable("it comes back"), AccessRefused("403 for this blob")])
def test_a_blob_that_can_be_read_later_waits_is_shown_and_holds_nobody_up(world: World, error: Exception) -> None:
    batches(world, batch="quiet", quiet=60.0, at_most=3600.0)
    path = world.put("later.csv", b"age,hours\n1,2\n")
    world.data.unreadable[path] = error
    world.flows.intake.see(path)
    world.flows.intake.see(world.put("good.csv", b"age,hours\n3,4\n"))
    world.take_up()
    assert record(world, "later.csv").problem == str(error)
    assert lines(stuck_files(open_arrivals(world), {}, world.pipelines, world.clock.now())) == [f"{path}: {error}"]
    world.clock.sleep(61)
    assert len(world.take_up()) == 1

    del world.data.unreadable[path]
    world.clock.sleep(600)
    world.take_up()
    assert (record(world, "later.csv").state, record(world, "later.csv").problem) == (ArrivalState.TAKEN, None)


def test_a_blob_that_never_comes_back_from_its_archive_is_set_aside_in_the_end(world: World) -> None:
    path = world.put("later.csv", b"age,hours\n1,2\n")
    world.data.unreadable[path] = NotYetReadable("it comes back")
    world.flows.intake.see(path)
    for _ in range(49):
        world.take_up()
        world.clock.sleep(3600)
    world.take_up()
    assert record(world, "later.csv").state is ArrivalState.QUARANTINED


def test_unavailable_storage_is_never_a_fault_of_the_file(world: World) -> None:
    path = world.put("a.csv", b"age,hours\n1,2\n")
    world.data.unreadable[path] = ServiceUnavailable("503")
    world.flows.intake.see(path)
    for _ in range(10):
        world.take_up()
        world.clock.sleep(600)
    assert record(world, "a.csv").checks == 0
    del world.data.unreadable[path]
    assert len(world.take_up()) == 1


def test_a_refused_file_that_cannot_be_copied_is_set_aside_with_both_reasons(world: World) -> None:
    path = world.put("bad.csv", b"hours\n1\n")
    copy = world.data.set_aside

    def uncopied(*arguments: object, **options: bool) -> str:
        if options["copy"]:
            raise ServiceRefused("409 the copy is refused", 409, ["PendingCopyOperation"])
        return copy(*arguments, **options)  # type: ignore[arg-type]

    world.data.set_aside = uncopied  # type: ignore[assignment, method-assign]
    world.flows.intake.see(path)
    assert world.take_up() == []
    state, reason = arrival(world, "bad.csv")
    assert state is ArrivalState.QUARANTINED
    assert "has no column 'age'" in reason
    assert reason.endswith("; the copy to quarantine failed: 409 the copy is refused")


@pytest.mark.parametrize("error", [archived("SnapshotsPresent"), Busy("a lease"), AccessRefused("no right to delete")])
def test_an_original_that_cannot_be_deleted_stays_and_its_move_ends(world: World, error: Exception) -> None:
    batches(world, refused="move")
    path = world.put("bad.csv", b"hours\n1\n")
    world.data.held[path] = error
    world.flows.intake.see(path)
    for _ in range(2):
        world.take_up()
    assert record(world, "bad.csv").problem == f"It cannot be deleted: {error}"
    for _ in range(7):
        world.clock.sleep(600)
        world.take_up()
    found = record(world, "bad.csv")
    assert (found.state, found.moved, found.problem) == (ArrivalState.QUARANTINED, None, None)
    assert (found.reason or "").endswith(f"; the original stays, as it could not be deleted: {error}")
    assert world.data.find(path)
    replayed = world.flows.intake.replay("income", path, "m1")
    assert replayed.replay == "m1"


def test_a_file_that_waits_long_for_its_pipelines_jobs_is_shown_with_them(world: World) -> None:
    batches(world, jobs=1)
    world.service.answer = Running()
    job_id = world.drop("a.csv", b"age,hours\n1,2\n")
    world.flows.intake.see(world.put("b.csv", b"age,hours\n3,4\n"))
    world.take_up()

    def shown() -> list[str]:
        return lines(stuck_files(open_arrivals(world), {"income": [job_id]}, world.pipelines, world.clock.now()))

    assert shown() == []
    world.clock.sleep(SOON.total_seconds() + 1)
    assert shown() == [f"income/b.csv: waits until one of 1 jobs ends: {job_id}"]


def test_a_job_that_no_run_takes_up_is_shown(world: World) -> None:
    world.flows.intake.see(world.put("a.csv", b"age,hours\n1,2\n"))
    [job] = world.flows.intake.take_up()
    assert [*stuck_jobs([job], world.clock.now())] == []
    [stuck] = stuck_jobs([job], world.clock.now() + SOON + timedelta(minutes=10))
    assert stuck.reason == "no run has taken its next step"
