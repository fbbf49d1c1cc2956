"""A fault of one file or of one job is about that file or job: it ends with a reason, and the others go on."""

from __future__ import annotations

import msgspec
import pytest

from shared.domain.arrivals import ArrivalState
from shared.domain.checks import Checks, Column, Kind, check
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import HeldOut, JobState
from shared.domain.ports import Running
from shared.domain.rows import Rows
from shared.flows import judging
from shared.store.jobs_and_champions import stem
from tests.support.fakes import World

TWO_ROWS = Rows(["age", "hours"], [["39", "40"], ["50", "13"]])


@pytest.fixture
def world() -> World:
    """A pipeline whose rules name one of the two columns that the web service is asked with."""
    return World(rows=TWO_ROWS)


def arrival(world: World, name: str) -> tuple[ArrivalState, str]:
    """Return the state of the file's one arrival, and its reason."""
    names = [each for each in world.documents.contents if each.startswith("arrivals/income/")]
    found = [world.arrivals.require("income", stem(each)).arrival for each in names]
    [one] = [each for each in found if each.dataset.path == f"income/{name}"]
    return one.state, one.reason or ""


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("age", "has no column 'hours', and the rows of proof.rows have it"),
        ("age,Hours", "has no column 'hours' but one 'Hours', which seems to be it renamed"),
        ('age,"ho\nurs"', "has no column 'hours' but one 'ho\\nurs', which seems to be it renamed"),
        ("years,weeks", "has no column 'age', 'hours', and the rows of proof.rows have 'hours'"),
    ],
)
def test_a_file_without_a_column_of_the_proof_is_refused_before_it_is_trained_on(
    world: World, header: str, told: str
) -> None:
    values = ",".join("1" for _ in header.split(","))
    world.flows.intake.see(world.put("lacks.csv", f"{header}\n{values}\n".encode()))
    assert world.take_up() == []
    state, reason = arrival(world, "lacks.csv")
    assert state is ArrivalState.QUARANTINED
    assert told in reason
    assert world.service.created == []


def test_a_file_that_lacks_a_column_does_not_hold_the_next_one(world: World) -> None:
    world.flows.intake.see(world.put("lacks.csv", b"age\n1\n"))
    world.flows.intake.see(world.put("good.csv", b"age,hours\n1,2\n"))
    [job_id] = world.take_up()
    assert world.records.require(job_id).job.dataset.path == "income/good.csv"


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
    stored = world.records.require(job_id)
    digest = world.answers.keep_rows(Rows(["age", "label", "Scored Labels"], [["1", "yes", "no"]]))
    model, evaluation = world.models.keep(iter([b"new"])), judging.read_evaluation(b"AUC\n0.9\n")
    facts = {"model": model, "evaluation": evaluation, "held_out": HeldOut(digest=digest, rows=1, of=1)}
    world.records.save(stored, stored.job.move_to(JobState.JUDGING, world.clock.now(), **facts))

    world.flows.training.poll()

    job = world.records.require(job_id).job
    assert job.state is JobState.FAILED
    assert "has no column 'hours'" in (job.reason or "")
    assert world.records.active() == []
