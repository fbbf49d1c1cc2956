"""The check of a whole data set, before it costs a training."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import msgspec
import pytest

from shared.domain.checks import (
    Checks,
    Column,
    Kind,
    Type,
    check,
)
from tests.support.checks import (
    CHECKS,
    checked,
    kinds,
    only_fault,
)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("a/x.xlsx", b"age\n1\n", "does not end in .csv"),
        ("a/x.csv", b" \n", "is empty"),
        ("a/x.csv", b"", "is empty"),
        ("a/x.csv", b"age\n\xff\n", "not UTF-8 text: byte 4 is 0xff"),
        ("a/x.csv", b"age,age\n1,2\n", "names the column 'age' twice"),
        ("a/x.csv", b"income\n1\n", "has no column 'age'; its header is: income"),
        ("a/x.csv", b"age,income\n1,2\n3\n", "line 3 has 1 values where the header has 2: 3"),
        ("a/x.csv", b"age\n", "a header and no rows"),
        ("a/x.csv", b'age\n"1\n', "is not a CSV table"),
    ],
)
def test_what_inspection_refuses_is_refused_with_the_file_and_the_line(path: str, content: bytes, message: str) -> None:
    fault = only_fault(checked(content, path, Checks(columns=(Column(name="age"),))))

    assert fault.message.startswith(path)
    assert message in fault.message


@pytest.mark.parametrize("count", [1, 30, 5_000])
def test_a_list_of_columns_has_whole_names_and_says_how_many_more_there_are(count: int) -> None:
    names = [f"column number {number}" for number in range(count)]
    fault = only_fault(checked("other\n1\n", checks=Checks(columns=tuple(Column(name=name) for name in names))))
    listed = fault.message.partition("has no column ")[2].partition(";")[0]
    shown, _, more = listed.partition(" and ")
    whole = [each.strip("'") for each in shown.split(", ")]
    assert whole == names[: len(whole)]
    assert len(whole) + int((more.partition(" ")[0] or "0").replace(",", "")) == count
    assert len(listed) < 500


@pytest.mark.parametrize(
    "content",
    [
        b"age,income\n1,2\n",
        b"\xef\xbb\xbfage,income\r\n1,2\r\n",
        b'age,income\n1,"two\nlines"\n',
        b'age,income\n1,"say ""so"""\n',
        b"income,age\n\n1,2\n",
        b"age,income\n1,2",
        b"age,income\n 1, -2.5 \n",
    ],
)
def test_well_formed_tables_have_no_fault(content: bytes) -> None:
    report = checked(content, "a/x.CSV", Checks(columns=(Column(name="age"), Column(name="income"))))

    assert (report.faults, report.rows, report.whole) == ((), 1, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("age\n1\n".encode("utf-16"), "UTF-16 (little-endian"),
        ("age,income\n1,2\n".encode("utf-16-be"), "UTF-16 (big-endian, without"),
        ("name\nJosé\n".encode("latin-1"), "in line 2 (read as Latin-1 it is 'é')"),
        ("name\n“José”\n".encode("cp1252"), "in line 2 (read as Windows-1252 it is '“')"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or an Excel workbook"),
        (b"a,b\n1,\0\n" * 9, "byte 6 is 0x00, in line 2"),
    ],
)
def test_text_that_is_not_utf_8_is_named_by_its_encoding(content: bytes, message: str) -> None:
    fault = only_fault(checked(content))

    assert fault.kind is Kind.ENCODING
    assert message in fault.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,2\n3,"x"y\n5,6\n', "a quote ends before its cell does (a quote within quotes is written twice)"),
        ('a,b\n1,2\n3,"x"y\n5,6\n', "in the row that begins in line 3"),
        ('a,b\n1,2\n3,"x\n5,6\n', "a quote is opened and never closed, in the row that begins in line 3"),
        ("a,b\r1,2\r", "a line ends in CR alone"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_parsed_is_shown(content: str, message: str) -> None:
    report = checked(content)

    assert message in only_fault(report).message
    assert not report.whole


def test_a_quote_that_is_never_closed_is_not_read_into_memory() -> None:
    def endless() -> Iterator[bytes]:
        yield b'a,b\n1,2\n3,"open\n'
        for _ in range(12):
            yield b"5,6\n" * (1 << 18)

    fault = only_fault(check("x.csv", endless(), Checks()))

    assert fault.row == 3
    assert "a cell is longer than 131,072 characters (is a quote in it not closed?)" in fault.message


def test_a_table_without_line_ends_is_not_read_into_memory() -> None:
    report = check("x.csv", (b"1," * (1 << 19) for _ in range(12)), Checks())

    assert "line 1 is longer than 4 MiB; are its line ends missing?" in only_fault(report).message


def test_what_comes_before_a_broken_row_is_checked_all_the_same() -> None:
    report = checked(b"age,b\nold,1\n3,\xe9\n", checks=Checks(columns=(Column(name="age", type=Type.NUMBER),)))

    assert kinds(report) == [Kind.TYPE, Kind.ENCODING]
    assert (report.rows, report.whole) == (1, False)


def test_ragged_rows_are_counted_and_the_first_is_shown() -> None:
    fault = only_fault(checked("a,b\n1,2\n3\n4,5\n6,7,8\n"))

    assert (fault.kind, fault.row, fault.line, fault.count) == (Kind.RAGGED_ROW, 3, "3", 2)


def test_the_line_shown_is_cut_to_a_sane_length() -> None:
    fault = only_fault(checked("a,b\n" + "9" * 5000 + "\n"))

    assert fault.line is not None
    assert len(fault.line) == 120


def test_the_hash_is_of_all_bytes_also_where_the_check_ends_early() -> None:
    content = b"\xff\xfe" + random.Random(1).randbytes(3 << 20)

    report = check("x.csv", (content[at : at + 70_000] for at in range(0, len(content), 70_000)), Checks())

    assert report.sha256 == hashlib.sha256(content).hexdigest()
    assert report.size == len(content)


def test_tabs_separate_a_tsv() -> None:
    assert (
        checked("age\thours\tnote\tincome\n1\t2,5\tx\tlow\n2\t3\t\thigh\n", "x.tsv", CHECKS).faults[0].column == "hours"
    )


def test_a_table_without_a_header_has_its_columns_by_position() -> None:
    report = checked("1,2.5,x,low\nold,3,y,high\n", "x.nh.csv", CHECKS)

    fault = only_fault(report)
    assert (report.rows, fault.row, fault.column) == (2, 2, "age")


def test_a_table_without_a_header_lacks_columns_by_position() -> None:
    assert only_fault(checked("1,2.5,x\n", "x.nh.csv", msgspec.structs.replace(CHECKS, label=None))).column == "income"


ARFF = """% comment
@relation people
@attribute age numeric
@ATTRIBUTE 'working hours' real
@attribute income {low,'very high'}
@data
1,2.5,low
?,3,'very high'
"""


def test_an_arff_table_is_checked_by_what_it_declares() -> None:
    report = checked(ARFF + "old,4,low\n3,4,middle\n", "x.arff", Checks(label="income", missing_at_most=0.3))

    age, income = report.faults
    assert (age.row, age.column, income.row, income.column) == (9, "age", 10, "income")
    assert "'middle', and one of 'low', 'very high' was expected" in income.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("@relation x\n@attribute a numbers\n@data\n1\n", "line 2: an attribute is written @attribute NAME numeric"),
        ("@relation x\n@attribute a numeric\n", "no line @data"),
        (ARFF + "{0 1}\n", "line 9: a sparse row"),
        (ARFF + "1,2,'low\n", "line 9: a quote is not closed"),
    ],
)
def test_a_broken_arff_names_its_line(content: str, message: str) -> None:
    assert message in only_fault(checked(content, "x.arff")).message
