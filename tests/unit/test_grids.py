"""A large block is read as a grid of cells, and says in each report what the exact reader says row by row."""

from __future__ import annotations

import csv
import io
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.checks import Checks, Column, Drift, Type, check
from shared.domain.checks.columnar import look
from shared.domain.checks.columns import CLASSES_AT_MOST
from shared.domain.checks.digests import digests_of
from shared.domain.checks.duplicates import Duplicates
from shared.domain.table import PIECE, encoding
from shared.domain.table.form import CELL_AT_MOST, Form
from shared.domain.table.grid import find

SIGNS = ['"', '""', '"""', ",", "\n", "\r\n", "\r", "a", " ", "1", "é"]


def cells_of(text: str, width: int) -> list[list[str]] | None:
    """Return the cells of the whole rows at the start of the text, or None where it is not read as a grid."""
    grid = find(text.encode(), Form.of("x.csv"))
    cells = None if grid is None else look(grid, width)
    if grid is None or cells is None:
        return None
    columns = [["" for _ in range(cells.rows)] for _ in range(width)]
    for index, column in enumerate(columns):
        seen = cells.column(index, 0)
        for row, cell in zip(seen.rows, seen.cells, strict=True):
            column[row] = cell
    return [list(row) for row in zip(*columns, strict=True)]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(SIGNS), min_size=1, max_size=16).map("".join), st.integers(1, 3))
@example('x,""\n', 2)
@example('x,"","",\n', 4)
@example('"x,"",y",1\n', 2)
@example('"x,""",1\n', 2)
@example('1,"""a"" b"\n', 2)
@example('1,""a"\n', 2)
@example('x\n""\n', 1)
@example('"a\r\nb",1\r\n2,"c\rd"\r\n', 2)
@example('"a",1\n"b', 2)
@example('1,2\n3,"4\n"\r5', 2)
def test_the_cells_of_a_grid_are_those_that_the_csv_module_reads(text: str, width: int) -> None:
    rows = cells_of(text, width)

    if rows is not None:
        parsed = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert [next(parsed) for _ in rows] == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('"a,b",1\n', [["a,b", "1"]]),
        ('"a\nb","say ""so"""\r\n,""\r\n', [["a\nb", 'say "so"'], ["", ""]]),
        ('1,2\n3,"4\n', [["1", "2"]]),
        ('a "b",1\n', None),
        ('"a"b,1\n', None),
        ('1,2\n3,"4', [["1", "2"]]),
        ("1,2\r3,4\n", None),
        ("1,2\n3\n", None),
        ("1,2\n\n3,4\n", None),
        ("x" * (CELL_AT_MOST + 1) + ",1\n", None),
        ("x" * CELL_AT_MOST + ",1\n", [["x" * CELL_AT_MOST, "1"]]),
    ],
)  # fmt: skip
def test_a_grid_leaves_to_the_exact_reader_what_is_not_regular(text: str, rows: list[list[str]] | None) -> None:
    assert cells_of(text, 2) == rows


CELLS = [
    "", "1", "-1", "+.5", "5.", ".", "-", "1-2", "1e5", "1e999", "-2.5E-07", "1e+7", "1e-", "e5", ".e5", "5.e5",
    "1.5e1-2", "1-2e5", "1e5.", "9" * 250 + "e99", "9" * 300, "NA", "?", "x", " x", "x ", "\xa0x", "à", " 7", "7 ",
    "true", "False", "2026-11-30", "٣", "a,b", "a\nb", "a\r\nb", "a\rb", 'say "so"', '"',
    "the first class of all", "the first class of All", "NA ", "\n", "long " * 30,
]  # fmt: skip
TYPES = [*Type, None]
#: each rule by itself, and all together
RULES: dict[str, dict[str, Any]] = {
    **{f"type {kind.value if kind else None}": {"columns": (Column(name="a", type=kind),)} for kind in TYPES},
    **{
        f"label {kind.value if kind else None}": {"columns": (Column(name="a", type=kind),), "label": "a"}
        for kind in TYPES
    },
    "values": {"columns": (Column(name="a", values=("x", "1", 'say "so"', "a\nb")),)},
    "label values": {"columns": (Column(name="a", values=("x", "1", " x")),), "label": "a"},
    "missing": {"missing": ("NA", "?", "a,b", '"'), "missing_at_most": 0.1, "missing_in_all_at_most": 0.05},
    "duplicates": {"duplicates_at_most": 0.01},
    "drift": {"drift": Drift(at_most=0.1)},
    "rows": {"rows_at_least": 7},
}
RULES["all"] = {key: value for rule in RULES.values() for key, value in rule.items()} | {
    "columns": (Column(name="a", type=Type.NUMBER), Column(name="b", type=Type.TEXT)),
    "label": "b",
}
REFERENCE = check("x.csv", [b"a,b,c\n" + b"1,x,NA\n" * 30 + b"2,y,7.5\n" * 20], Checks(drift=Drift())).profile


#: so long that the first piece, which shows what the file is, has no row in it
HEADER = ["a", "b", "c" * encoding.HEAD]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Rows that are alike, some twice, and now and then one that is not regular."""
    some = draw(st.lists(st.lists(st.sampled_from(CELLS), min_size=3, max_size=3), min_size=1, max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    odd = draw(st.sampled_from(["", "", "", "\n", "1\n", '5" pipe,1,2\n', '1,"a"b,2\n', "1,2,3\r4,5,6\n", "1,2,x"]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerow(HEADER)
    for index in draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=30)):
        writer.writerow(some[index])
    rows = text.getvalue().split(end, 1)[1]
    return (text.getvalue() + odd + draw(st.sampled_from(["", rows]))).encode()


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 400), st.integers(0, 60))
def test_a_report_does_not_depend_on_blocks_and_how_they_are_read(
    rule: str, content: bytes, piece: int, grid_from: int
) -> None:
    checks = Checks(**RULES[rule])

    by_row = check("x.csv", [content], checks, REFERENCE, columnar_from=1 << 30)

    assert check("x.csv", [content], checks, REFERENCE, columnar_from=0) == by_row
    assert check("x.csv", [content], checks, REFERENCE, piece_size=piece, columnar_from=grid_from) == by_row


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_row_with_a_cr_in_quotes_does_not_repeat_the_row_without_it(end: bytes) -> None:
    content = b'a,b\n"x\ry",1\n"xy",1\n"xy",1\n'.replace(b"\n", end)

    assert check("x.csv", [content], Checks(duplicates_at_most=1), columnar_from=0).duplicates == 1 / 3


#: what is odd where a block may be cut, after the header
ODD_ROWS = {
    "quotes over lines": b'1,"a\nb","c""d"\n"2","""",""\n3,"x,\n\n,y",4\n' * 2,
    "CRLF": b'1,x,2\r\n"3","y\r\nz",4\r\n1,x,2\r\n',
    "CR alone": b"1,x,2\n3,y\r,4\n5,z,6\n",
    "a byte order mark": b"\xef\xbb\xbf1,x,2\n1,x,2\n\xef\xbb\xbf,\xef,3\n",
    "Windows-1252": b"1,x,2\n3,caf\xe9,4\n5,y,6\n",
    "letters of several bytes": "1,é,2\n3,\u20ac\U0001f600,4\n3,\u20ac\U0001f600,4\n".encode(),
    "a long row": b"1,x,2\n" + b"3," + b"y" * 300 + b",-4.5e-7\n5,z,6\n",
    "one row": b"1,x,2",
    "a ragged row": b"1,x,2\n3\n5,y,6\n5,y,6\n",
    "an open quote": b'1,x,2\n3,"y,4\n5,z,6\n',
    "a quote within a cell": b'1,5" pipe,2\n3,y,"a"b\n5,z,6\n',
}


@pytest.mark.parametrize("mark", [b"", encoding.BOM], ids=["", "BOM"])
@pytest.mark.parametrize("what", ODD_ROWS)
def test_a_report_is_the_same_wherever_the_blocks_are_cut(what: str, mark: bytes) -> None:
    rows = ODD_ROWS[what].rstrip(b"\n") + b"\nwrong,w,1\n7,8,wrong"
    content, checks = mark + ",".join(HEADER).encode() + b"\n" + rows, Checks(**RULES["all"])
    checks = replace(checks, columns=(*checks.columns, Column(name=HEADER[2], type=Type.INTEGER)))
    by_row = check("x.csv", [content], checks, REFERENCE, columnar_from=1 << 30)

    for size in range(1, len(rows) + 2):
        assert check("x.csv", [content], checks, REFERENCE, piece_size=size, columnar_from=0) == by_row, size


def test_an_array_of_hashes_counts_as_its_rows_do() -> None:
    by_row, by_array = Duplicates(at_most=200), Duplicates(at_most=200)
    for start in range(0, 30_000, 1000):
        rows = [b"%d" % (number % 20_000) for number in range(start, start + 1000)]
        by_row.add(rows)
        by_array.add_digests(np.fromiter(map(hash, rows), np.int64, len(rows)))

    assert (by_array.share, by_array.one_in) == (by_row.share, by_row.one_in)
    assert by_row.one_in > 8


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20) | st.binary(min_size=240, max_size=280), max_size=9), st.integers(0, 9))
def test_a_row_has_the_same_number_whatever_is_before_and_behind_it(rows: list[bytes], cut: int) -> None:
    number = dict(zip(rows, digests_of(rows).tolist(), strict=True))

    assert len({*number.values()}) == len(number)
    assert [*digests_of(rows[cut:]), *digests_of(rows[:cut])] == [number[row] for row in [*rows[cut:], *rows[:cut]]]


def test_a_row_has_the_same_number_among_many_rows_as_among_few() -> None:
    rows = [b"%d" % number for number in range(20_000)]
    long = [bytes(range(length)) for length in (30, 100, 255)]

    assert [*digests_of([*rows, *long])] == [*digests_of(rows), *digests_of(long)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(-300, 300), max_size=30)), st.integers(1, 40), st.integers(0, 1))
def test_the_rows_that_are_counted_do_not_depend_on_how_they_come(
    parts: list[list[int]], at_most: int, kind: int
) -> None:
    found, rows = Duplicates(at_most), [number for part in parts for number in part]
    for turn, part in enumerate(parts):
        found.add_digests(np.array(part, np.int64) if (turn + kind) % 2 else part)

    looked_at = next(
        some
        for one_in in (8**level for level in range(11))
        if len({*(some := [number for number in rows if number % one_in == 0])}) <= at_most
    )
    assert found.share == (len(looked_at) - len({*looked_at})) / max(1, len(looked_at))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 30, 255, 256, 257])
def test_rows_that_differ_in_a_byte_or_two_have_different_numbers(length: int) -> None:
    signs = b"0123456789"
    rows = {bytes(length), bytes(length + 1), bytes(length - 1)}
    for first in range(0, length, 3):
        for second in range(first, length, 5):
            for one, other in zip(signs, signs[3:], strict=False):
                row = bytearray(length)
                row[first] = one
                row[second] = other
                rows.add(bytes(row))

    assert len({*digests_of([*rows]).tolist()}) == len(rows)


@pytest.mark.parametrize(("size", "started"), [(PIECE // 3, 0), (3 * PIECE // 2, 1)])
def test_only_a_file_of_several_blocks_is_checked_by_several_threads(
    size: int, started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[Thread] = []
    start = Thread.start
    monkeypatch.setattr(Thread, "start", lambda thread: (threads.append(thread), start(thread))[1])
    content = b"a,b\n" + b"12345,some text\n" * (size // 16)

    report = check("x.csv", [content[:1000], content[1000:]], Checks(label="b", duplicates_at_most=1))

    assert report.rows == size // 16
    assert len(threads) == started


ARFF_SIGNS = ["1", "-2.5", "x", "?", ",", ",", "\n", "\n", "\r\n", "\r", " ", "\t", "'", '"', "%", "{", "é"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ARFF_SIGNS), max_size=30).map("".join), st.booleans())
def test_a_report_on_arff_does_not_depend_on_how_it_is_read(rows: str, alike: bool) -> None:
    header = "@relation x\n@attribute a numeric\n@attribute b {x,1}\n@data\n"
    content = (header + "1,x\n?,1\n" * alike + rows).encode()
    rules = Checks(label="b", duplicates_at_most=0.1, missing_at_most=0.1)

    by_row = check("x.arff", [content], rules, columnar_from=1 << 30)

    assert check("x.arff", [content], rules, columnar_from=0) == by_row


def test_a_label_of_many_classes_is_compared_up_to_a_limit_and_says_so() -> None:
    classes = [f"class {number}" for number in range(CLASSES_AT_MOST)]
    content = "a\n" + "\n".join([*classes, "another", "another ", "class 7 "]) + "\n"

    few = check("x.csv", [content.replace("another\nanother \n", "").encode()], Checks(label="a"))
    many = check("x.csv", [content.encode()], Checks(label="a"))

    assert [fault.row for fault in few.faults] == [CLASSES_AT_MOST + 2]
    assert [fault.row for fault in many.faults] == [CLASSES_AT_MOST + 4]
    assert not few.notes
    assert "more than 10,000 classes" in " ".join(many.notes)


@pytest.mark.parametrize("columnar_from", [0, 1 << 30])
def test_a_number_is_not_a_class_that_is_left_out(columnar_from: int) -> None:
    rows = "".join(f"class {number}\n" for number in range(CLASSES_AT_MOST))

    report = check("x.csv", [f"a\n{rows}7\n".encode()], Checks(label="a"), columnar_from=columnar_from)

    assert (report.rows, report.notes) == (CLASSES_AT_MOST + 1, ())
