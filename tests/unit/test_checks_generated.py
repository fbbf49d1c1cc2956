"""Generated tables: neither the pieces in which a file comes nor a broken row change what a report says."""

from __future__ import annotations

import csv
import io
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.checks import (
    Checks,
    Column,
    Kind,
    Type,
    check,
)
from shared.domain.table import encoding
from tests.support.checks import (
    CHECKS,
    checked,
    only_fault,
)

NAMES = ("age", "hours", "note", "income")

PIECES = [
    b"a",
    b"1",
    b"-2.5",
    b"1e3",
    b",",
    b",",
    b"\n",
    b"\n",
    b"\r\n",
    b'"',
    b'""',
    b" ",
    b".",
    b"\xc3\xa9",
    b"NA",
    b"'",
]

ANY_BYTES = st.lists(st.sampled_from([*PIECES, b"\xff", b"\0", b"\r"]), max_size=60).map(b"".join)

#: so long that the first piece, which shows what the file is, ends in it
START = b"a,b\n1," + b"2" * encoding.HEAD + b"\n"

TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


@settings(max_examples=300)
@given(
    ANY_BYTES,
    st.lists(st.integers(0, 120)),
    st.sampled_from(["x.csv", "x.tsv", "x.nh.csv", "x.arff"]),
    st.integers(1, 40),
)
def test_chunk_boundaries_never_change_a_report(content: bytes, cuts: list[int], name: str, piece: int) -> None:
    data = START + content
    rules = Checks(columns=(Column(name="a", type=Type.NUMBER),), duplicates_at_most=0.1, missing_at_most=0.1)
    places = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(places)]

    parts = check(name, iter(chunks), rules, piece_size=piece)

    assert parts == check(name, iter([data]), rules, piece_size=piece)


@settings(max_examples=500)
@given(TEXTS, st.integers(1, 40))
def test_where_a_block_ends_never_changes_a_report(content: bytes, piece: int) -> None:
    data = START + content
    rules = Checks(
        columns=(Column(name="a", type=Type.NUMBER), Column(name="b", type=Type.INTEGER)),
        label="b",
        missing=("NA",),
        missing_at_most=0.1,
        duplicates_at_most=0.1,
    )

    parts, at_once = check("x.csv", [data], rules, piece_size=piece), check("x.csv", [data], rules)

    assert parts == at_once
    assert parts == check("x.csv", [data], rules, piece_size=piece, columnar_from=0)


ODD_CELLS = [
    "", "1", "-1", "+1", "1.5", "-.5", "+.5", "5.", ".", "-", "+", "-.", "--1", "1-2", "1.2.3", "1e5", "1e999", "1E-3",
    "e5", "1e", "9" * 299, "9" * 300, "9" * 400, "NA", "-999", "?", "x", " x", "x ", "\xa0x", "x\xa0", "à", "Â", "\tx",
    " ", " 7", "7 ", "true", "0", "2026-11-30", "٣", "12é", "é12", "1_0", "inf", "a b",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(ODD_CELLS), min_size=7, max_size=7), min_size=1, max_size=12),
    st.integers(0, 6),
    st.sampled_from(["", "\r"]),
    st.booleans(),
)
def test_the_look_at_a_whole_block_says_what_its_parsed_cells_say(
    rows: list[list[str]], label: int, end: str, quoted: bool
) -> None:
    types = [Type.NUMBER, Type.INTEGER, Type.BOOLEAN, Type.DATETIME, Type.TEXT, None, None]
    columns = [Column(name=f"c{number}", type=type) for number, type in enumerate(types)]
    columns[-1] = Column(name="c6", values=("x", "1", " x"))
    rules = Checks(
        columns=tuple(columns), label=f"c{label}", missing=("NA", "-999"), duplicates_at_most=0.1, missing_at_most=0.2
    )
    sign = '"' if quoted else ""
    lines = [
        ",".join(f"{sign}{cell}{sign}" if cell else "" for cell in row) for row in [[c.name for c in columns], *rows]
    ]
    content = "".join(f"{line}{end}\n" for line in lines)

    whole, parsed = (checked(content, checks=rules, columnar_from=size) for size in (0, 1 << 30))

    assert whole == parsed


CELLS = st.tuples(
    st.integers(-999, 999).map(str),
    st.floats(-1e9, 1e9).map(repr),
    st.sampled_from(["", "x", "Zoë", "5 apples", "-", "a,b", 'say "so"', "two\nlines", "7.", "é" * 40]),
    st.sampled_from(["low", "high"]),
)


@settings(max_examples=300)
@given(
    st.lists(CELLS, min_size=1, max_size=30),
    st.data(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.integers(1, 300),
    st.sampled_from([0, 1 << 20]),
)
def test_the_row_and_the_column_named_are_those_that_were_broken(
    rows: list[tuple[str, ...]], data: st.DataObject, end: str, quoting: int, piece: int, columnar_from: int
) -> None:
    index, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 3))
    broken = [list(row) for row in [*rows, ("1", "2", "", "low"), ("1", "2", "", "high")]]
    ragged = column >= 2
    if ragged:
        del broken[index][column]
    else:
        broken[index][column] = data.draw(st.sampled_from(["x", "-", "1_0", "1-2", "nan", "1.2.3"]))
    written = [as_line(row, end, quoting) for row in [list(NAMES), *broken]]

    report = checked("".join(written), "x.csv", CHECKS, piece_size=piece, columnar_from=columnar_from)

    fault = only_fault(report)
    assert fault.row == 1 + sum(line.count("\n") for line in written[: index + 1])
    assert fault.column == (None if ragged else NAMES[column])
    assert fault.kind is (Kind.RAGGED_ROW if ragged else Kind.TYPE)
    assert fault.line == written[index + 1].removesuffix(end).replace("\n", "\\n")
    assert report.rows == len(broken)


def as_line(cells: list[str], end: str, quoting: int) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=quoting).writerow(cells)
    return text.getvalue()
