"""The rules about columns, labels, duplicates and drift, and what a report says of them."""

from __future__ import annotations

import csv
import io
import random
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.checks import (
    Checks,
    Column,
    Drift,
    Kind,
    Profile,
    Report,
    Summary,
    Type,
    asked_of_all,
    check,
    columns_of,
    summed,
)
from shared.domain.checks.digests import digests_of
from shared.domain.checks.drift import ROWS, Numbers, Sample, profile_of, psi
from shared.domain.checks.duplicates import Duplicates
from tests.support.checks import (
    CHECKS,
    checked,
    kinds,
    only_fault,
)


def test_a_renamed_column_is_recognized() -> None:
    fault = only_fault(
        checked("Age ,hours,notes,income\n1,2,x,a\n2,3,y,b\n", checks=Checks(columns=CHECKS.columns[:2]))
    )

    assert (fault.kind, fault.column) == (Kind.RENAMED_COLUMN, "Age ")
    assert "no column 'age' but one 'Age ', which seems to be it renamed" in fault.message


def test_extra_and_reordered_columns_are_faults_where_a_rule_says_so() -> None:
    strict = Checks(columns=CHECKS.columns[:2], extra_columns=False, any_order=False)
    content = "hours,age,zip\n1,2,3\n"

    assert kinds(checked(content, checks=strict)) == [Kind.EXTRA_COLUMN, Kind.COLUMN_ORDER]
    allowed = checked(content, checks=Checks(columns=CHECKS.columns[:2]))
    assert allowed.faults == ()
    assert "'zip'" in allowed.notes[0]


def test_a_first_line_of_data_is_reported_as_such() -> None:
    fault = only_fault(checked("1,2.5\n3,4\n", checks=Checks(columns=(Column(name="age"),))))

    assert "a table without a header ends in .nh.csv" in fault.message


NO_NUMBERS = ["x", "-", ".", "-.", "1_0", "١", "1,5", "1.2.3", "e5", "1e", "1-2", "nan", "inf", "0x1", "--1", "1 2"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Type.NUMBER, ["1", "-1", "+1", "1.5", "-.5", "5.", "1e-05", "-1.5E+3", " 7 ", ""], NO_NUMBERS),
        (Type.INTEGER, ["1", "-1", "+10", ""], ["1.0", "1e3", "-", "x", "1-2"]),
        (Type.BOOLEAN, ["true", "False", "0", "1", ""], ["2", "yes", "01"]),
        (Type.DATETIME, ["2026-11-30", "2026-11-30T06:00:00Z", ""], ["2026-13-01", "30.11.2026", "7"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("quoted", [False, True])
def test_a_cell_is_what_its_type_says(kind: Type, good: list[str], bad: list[str], quoted: bool) -> None:
    checks = Checks(columns=(Column(name="v", type=kind), Column(name="w")))

    def table(cells: list[str]) -> bytes:
        text = io.StringIO()
        # A quote within quotes sends the block to the parser.
        rows = [[cell, 'a "word"' if quoted else "word"] for cell in cells]
        csv.writer(text, lineterminator="\n").writerows([["v", "w"], *rows])
        return text.getvalue().encode()

    assert checked(table(good), checks=checks).faults == ()
    for cell in bad:
        fault = only_fault(checked(table([good[0], cell, good[0]]), checks=checks))
        assert (fault.kind, fault.row, fault.column) == (Kind.TYPE, 3, "v"), cell


def test_what_stands_for_a_missing_value_has_to_be_named() -> None:
    content = "age,b\n1,x\nNA,y\n,z\n"

    fault = only_fault(checked(content, checks=Checks(columns=(Column(name="age", type=Type.NUMBER),))))
    assert "leave missing cells empty: a training reads 'NA' as text" in fault.message
    named = Checks(columns=(Column(name="age", type=Type.NUMBER),), missing=("NA",), missing_at_most=0.5)
    assert "in 66.7% of the rows, and 50% is allowed" in only_fault(checked(content, checks=named)).message


def test_the_limit_of_a_column_overrides_the_common_limit() -> None:
    content = "a,b\n,1\n,2\n3,\n4,5\n"
    columns = (Column(name="a", missing_at_most=0.5), Column(name="b"))

    fault = only_fault(checked(content, checks=Checks(columns=columns, missing_at_most=0.1)))
    assert (fault.kind, fault.column) == (Kind.MISSING_VALUES, "b")
    assert kinds(checked(content, checks=Checks(missing_in_all_at_most=0.3))) == [Kind.MISSING_VALUES]
    assert kinds(checked(content, checks=Checks(missing_in_all_at_most=0.375))) == []


def test_a_label_needs_two_classes_and_a_table_enough_rows() -> None:
    report = checked("age,income\n1,low\n2,low\n3,\n", checks=Checks(label="income", rows_at_least=10))

    assert kinds(report) == [Kind.TOO_FEW_ROWS, Kind.ONE_CLASS]
    assert "has the one class 'low'" in report.faults[1].message


def test_of_one_file_among_several_only_what_it_is_by_itself_is_asked() -> None:
    rules = Checks(label="income", rows_at_least=10, missing_at_most=0.1, duplicates_at_most=0.1)

    report = check("a.csv", [b"age,income\n,low\n,low\n"], rules, alone=False)

    assert report.faults == ()
    assert kinds(check("a.csv", [b"age,income\n"], rules, alone=False)) == [Kind.TOO_FEW_ROWS]
    assert kinds(check("a.csv", [b"age\n1\n"], rules, alone=False)) == [Kind.MISSING_COLUMN]
    found = [*asked_of_all("all", rules, summed([report.summary or Summary()] * 2))]
    assert [fault.kind for fault in found] == [
        Kind.TOO_FEW_ROWS,
        Kind.ONE_CLASS,
        Kind.MISSING_VALUES,
        Kind.DUPLICATE_ROWS,
    ]


ROW = st.tuples(st.sampled_from(["", "1", "2"]), st.sampled_from(["", "low", "high", "middle"]))


@settings(max_examples=50)
@given(st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_summaries_of_files_add_up_to_the_summary_of_all_rows(files: list[list[tuple[str, str]]]) -> None:
    rules = Checks(label="income", columns=(Column(name="age", type=Type.INTEGER),))

    def summary(rows: list[tuple[str, str]]) -> Summary:
        content = "age,income\n" + "".join(f"{age},{income}\n" for age, income in rows)
        return checked(content, checks=rules).summary or Summary()

    assert summed(map(summary, files)) == summary([row for rows in files for row in rows])


def test_rows_that_repeat_an_earlier_row_are_counted() -> None:
    report = checked("a,b\n1,2\n1,2\n3,4\n1,2\n", checks=Checks(duplicates_at_most=0.4))

    assert report.duplicates == 0.5
    assert only_fault(report).kind is Kind.DUPLICATE_ROWS


@pytest.mark.parametrize("in_arrays", [False, True])
def test_with_bounded_memory_the_share_of_duplicates_is_an_estimate(in_arrays: bool) -> None:
    def share(repeats: int) -> tuple[float, int]:
        found = Duplicates(at_most=20_000)
        for start in range(0, 100_000, 1000):
            rows = [b"%d" % number for number in range(start, start + 1000)]
            rows += rows[:repeats]
            found.add_digests(digests_of(rows)) if in_arrays else found.add(rows)
        return found.share, found.one_in

    assert share(0) == (0.0, 8)
    estimate, one_in = share(250)
    assert estimate == pytest.approx(0.2, abs=0.03)
    assert one_in == 8


def test_a_report_says_when_duplicates_are_estimated() -> None:
    rows = "".join(f"{number}\n" for number in range(600_000))

    report = checked("a\n" + rows, checks=Checks(duplicates_at_most=0.0))

    assert report.faults == ()
    assert "an estimate from one row in 8" in report.notes[0]


def test_each_row_is_in_the_sample_with_the_same_chance() -> None:
    sample, count = Sample(columns=1), 400_000
    for start in range(0, count, 8_000):
        sample.offer(8_000, lambda some, start=start: [b"%d" % (start + index) for index in some])

    numbers = [int(bytes(row)) for row in sample.rows]
    tenths = np.bincount(np.array(numbers) * 10 // count)
    assert len({*numbers}) == len(numbers) == ROWS
    assert abs(tenths - ROWS / 10).max() < 5 * (ROWS / 10) ** 0.5


@given(st.lists(st.integers(0, 300), max_size=20))
def test_the_sample_does_not_depend_on_how_many_rows_come_at_once(counts: list[int]) -> None:
    parts, whole = Sample(columns=20_000), Sample(columns=20_000)  # of 20 rows
    for end, count in zip(accumulate(counts), counts, strict=True):
        parts.offer(count, lambda some, start=end - count: [b"%d" % (start + index) for index in some])
    whole.offer(sum(counts), lambda some: [b"%d" % index for index in some])

    assert parts.rows == whole.rows


@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=15).flatmap(
        lambda then: st.tuples(st.just(then), st.lists(st.integers(0, 500), min_size=len(then), max_size=len(then)))
    )
)
def test_the_psi_agrees_with_its_formula(both: tuple[list[int], list[int]]) -> None:
    counts = np.array(both, dtype=float)[:, np.any(np.array(both) > 0, axis=0)]
    counts[counts == 0] = 0.5
    then, now = counts / counts.sum(axis=1, keepdims=True) if counts.size else np.ones((2, 1))

    assert psi(*both) == pytest.approx(float(np.sum((now - then) * np.log(now / then))), abs=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_numbers_are_counted_between_the_quantiles_of_the_reference(then: list[float], now: list[float]) -> None:
    column = profile_of({"a": [repr(value) for value in then]}).columns["a"]

    assert isinstance(column, Numbers)
    edges = np.unique(
        [np.nextafter(min(then), -np.inf), *np.quantile(then, np.arange(1, 11) / 10, method="inverted_cdf")]
    )
    assert column.edges == pytest.approx(edges.tolist(), rel=1e-12)
    for values, counts in ((then, column.counts), (now, column.recount([repr(value) for value in now])[:-2])):
        bins = np.digitize(values, np.array(column.edges), right=True) if values else np.array([], dtype=int)
        assert counts == np.bincount(bins, minlength=len(column.edges) + 1).tolist()


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["", "1", "2.5", "-3", "x"]), st.sampled_from("abc")), min_size=1, max_size=60)
)
def test_equal_data_has_a_psi_of_0(rows: list[tuple[str, str]]) -> None:
    content = "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    reference = checked(content).profile

    report = check("x.csv", [content.encode()], Checks(drift=Drift()), reference)

    assert report.drift == {"a": 0.0, "b": 0.0}


def people(rows: int, *, older: int = 0, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    lines = [f"{chance.randint(18, 70) + older},{chance.choice(['low', 'low', 'high'])},{n}" for n in range(rows)]
    return ("age,income,id\n" + "\n".join(lines) + "\n").encode()


def test_a_column_that_has_drifted_from_the_last_accepted_data_is_named() -> None:
    reference = checked(people(3000)).profile
    drift = Checks(drift=Drift(columns={"id": None}))

    same = check("x.csv", [people(20_000, seed=2)], drift, reference)
    moved = check("x.csv", [people(3000, older=20, seed=3)], drift, reference)

    assert same.faults == ()
    assert 0 < same.drift["age"] < 0.02
    assert only_fault(moved).column == "age"
    assert "where 0.2 is allowed" in only_fault(moved).message


def test_a_shift_that_chance_explains_is_a_note() -> None:
    reference = checked(people(3000)).profile

    report = check("x.csv", [people(25, seed=5)], Checks(drift=Drift(at_most=0.05, columns={"id": None})), reference)

    assert report.faults == ()
    assert "with so few rows chance alone gives up to" in report.notes[0]


def test_a_column_that_lost_its_values_has_drifted() -> None:
    reference = checked(people(3000)).profile
    lines = people(3000).decode().splitlines()
    emptied = "\n".join([lines[0], *("," + line.partition(",")[2] for line in lines[1:])]).encode()

    report = check("x.csv", [emptied], Checks(drift=Drift()), reference)

    assert only_fault(report).column == "age"


def test_a_report_and_its_rules_are_records() -> None:
    report = checked(people(100) + b"x,low,1\nno\n", checks=Checks(columns=(Column(name="age", type=Type.NUMBER),)))

    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    assert msgspec.json.decode(msgspec.json.encode(report.profile), type=Profile) == report.profile
    assert msgspec.json.decode(msgspec.json.encode(CHECKS), type=Checks) == CHECKS
    assert msgspec.convert({"drift": {}}, Checks).drift == Drift(at_most=0.2)


def test_the_text_of_a_report_has_each_fault_with_its_line() -> None:
    text = checked("age,b\n1,2\nold,3\n4\n", checks=Checks(columns=(Column(name="age", type=Type.NUMBER),))).text

    assert text.startswith("a/x.csv: 2 faults (3 rows, 18 bytes, SHA-256 ")
    assert "line 3, column 'age' is 'old', and a number (decimal point, no thousands separator) was expected" in text
    assert "   line 3: old,3\n" in text
    assert "   line 4: 4\n" in text


def test_the_profile_of_a_table_is_small() -> None:
    report = checked(people(20_000))

    assert len(msgspec.json.encode(report.profile)) < 1000


@pytest.mark.parametrize(
    ("table", "checks"),
    [
        ("age,b\n1,2\nold,3\n", Checks(columns=(Column(name="age", type=Type.NUMBER),))),
        ("age,b\n1,2\n2,3\n", Checks(rows_at_least=9)),
        ("age,b\n1,2\n2,3\n", Checks(drift=Drift())),
        ("age,b\n1,2\n2,NA\n3,4\n", Checks(missing=("NA",), rows_at_least=9)),
    ],
)
def test_data_with_faults_and_data_for_a_rule_of_drift_are_profiled_in_any_case(table: str, checks: Checks) -> None:
    asked, not_asked = (
        check("a.csv", [table.encode()], checks, profiled=profiled, columnar_from=0) for profiled in (True, False)
    )

    assert asked.profile is not None
    assert not_asked == asked


@pytest.mark.parametrize("checks", [Checks(), Checks(missing=("NA",))])
def test_data_without_faults_has_the_same_report_without_its_profile(checks: Checks) -> None:
    table = b"age,b,day\n1,2,2026-11-01\n2,NA,NA\n3,4,2026-11-03\n"
    asked, not_asked = (check("a.csv", [table], checks, profiled=profiled) for profiled in (True, False))

    assert not_asked == msgspec.structs.replace(asked, profile=None)
    assert not_asked.as_text == ({"b": ("NA",)} if checks.missing else {})


def test_a_check_needs_the_standard_library_and_msgspec_only() -> None:
    code = "import sys, shared.domain.checks; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert set(loaded.split()) & {"numpy", "pandas", "pyarrow", "polars"} == set()


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("quoted", ["NA", '"NA"', '" a,b"\n3,NA'])
def test_a_word_for_missing_cells_in_a_column_of_numbers_is_noted_as_text_for_the_training(quoted: str) -> None:
    content = f"age,note\n1,x\n2,NA\n,y\n4,{quoted}\nNA,x\n" if "," in quoted else f"age,note\n1,x\n{quoted},x\n3,NA\n"
    report = checked(content, checks=Checks(missing=("NA",)))
    assert not report.faults
    assert report.as_text == {"age": ("NA",)}
    [note] = [each for each in report.notes if "'age'" in each]
    assert "a training reads it as text, and the whole column with it" in note
    assert {each.name: each.type for each in columns_of(report)} == {
        "age": "number; text unless the experiment takes 'NA' for missing",
        "note": "text",
    }


def test_empty_cells_are_missing_for_the_training_too() -> None:
    report = checked("age,note\n1,x\n,x\n3,NA\n", checks=Checks(missing=("NA",)))
    assert (report.as_text, [each for each in report.notes if "reads it as text" in each]) == ({}, [])


def test_columns_are_described_by_type_missing_cells_values_and_drift() -> None:
    former = checked("age,note\n" + "".join(f"{n % 10},x\n" for n in range(1000)))
    rows = "".join(f"{n % 10 + 5},{'xy'[n % 2]}\n" for n in range(1000))
    report = check("a.csv", iter([f"age,note\n,x\n{rows}".encode()]), Checks(drift=Drift(at_most=9)), former.profile)
    age, note = columns_of(report)
    assert (age.type, age.missing, age.values) == ("number", 1, "5 to 14")
    assert (note.type, note.missing, note.values) == ("text", 0, "x (501), y (500)")
    assert age.drift is not None
    assert age.drift > 0.25
    assert note.drift is not None


@pytest.mark.parametrize("end", [b"", b'"'])
def test_a_report_lists_twenty_faults_of_a_kind_and_counts_the_others(end: bytes) -> None:
    width = 1_000
    header = b",".join(b"c%d" % number for number in range(width))
    rules = Checks(columns=tuple(Column(name=f"c{number}", type=Type.NUMBER) for number in range(width)))

    report = check("x.csv", [header + (b"\n" + b",".join([b"x"] * width)) * 2 + b"\n" + end], rules)

    typed = [fault for fault in report.faults if fault.kind is Kind.TYPE]
    assert [fault.column for fault in typed] == [f"c{number}" for number in range(20)]
    assert {fault.count for fault in typed} == {2}
    assert "980 more faults of the kind 'type' are not listed" in report.notes
    assert [fault.kind for fault in report.faults[20:]] == ([Kind.SYNTAX] if end else [])
