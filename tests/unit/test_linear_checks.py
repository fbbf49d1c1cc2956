"""However a file is made, its check takes steps in proportion to its size; what is too long or too wide is refused."""

from __future__ import annotations

import csv
import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy  # noqa: F401 (a large block loads it, which is none of the steps)
import pytest

from shared.domain.checks import Checks, Column, Drift, Kind, Type, check
from shared.domain.table.form import CELL_AT_MOST, COLUMNS_AT_MOST
from studio.learning.tables import read_table

ARFF = b"@relation x\n@attribute p string\n@attribute q string\n@data\n"
ALL = Checks(
    columns=(Column(name="b", type=Type.NUMBER),),
    label="a",
    duplicates_at_most=0.5,
    missing_at_most=0.5,
    drift=Drift(),
)


def steps(work: Callable[[], Any]) -> int:
    """Return how many lines of Python it takes, and how many calls of functions in C."""
    count = 0

    def traced(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG001
        nonlocal count
        count += 1
        return traced

    def profiled(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    gc.collect()
    gc.disable()  # what other tests left behind would end in the middle of the count
    sys.settrace(traced)
    sys.setprofile(profiled)
    try:
        work()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        gc.enable()
    return count


def columns(count: int, name: bytes = b"c%d") -> bytes:
    return b",".join(name % each if b"%" in name else name for each in range(count))


def numbered(line: bytes, count: int) -> bytes:
    return b"a,b\n" + b"".join(line % each for each in range(count))


#: what is repeated `n` times, by what it may cost
HOSTILE: dict[str, tuple[str, Callable[[int], bytes], Callable[[int], Checks]]] = {
    "spaces in a cell": ("x.csv", lambda n: b"a,b\n1," + b" " * 20 * n + b"\n", lambda _: ALL),
    "spaces around cells": ("x.csv", lambda n: b"a,b\n" + b"x ,   2\n" * n, lambda _: ALL),
    "digits and a letter": ("x.csv", lambda n: b"a,b\n1," + b"9" * 20 * n + b"x\n", lambda _: ALL),
    "exponents": ("x.csv", lambda n: numbered(b"x,1e%d\n", n), lambda _: ALL),
    "columns": ("x.csv", lambda n: columns(n) + b"\n" + columns(n, b"1") + b"\n", lambda _: Checks()),
    "columns without names": ("x.csv", lambda n: b"," * n + b"\n" + b"," * n + b"\n", lambda _: Checks()),
    "columns of one name": ("x.csv", lambda n: columns(n, b"c") + b"\n" + columns(n, b"1") + b"\n", lambda _: Checks()),
    "rules for other columns": (
        "x.csv",
        lambda n: columns(n) + b"\n" + columns(n, b"1") + b"\n",
        lambda n: Checks(columns=tuple(Column(name=f"d{each}") for each in range(n))),
    ),
    "rules in another order": (
        "x.csv",
        lambda n: columns(n) + b"\n" + columns(n, b"1") + b"\n",
        lambda n: Checks(columns=tuple(Column(name=f"C {each}") for each in reversed(range(n))), any_order=False),
    ),
    "classes": ("x.csv", lambda n: numbered(b"x%d,1\n", n), lambda _: ALL),
    "classes with spaces": ("x.csv", lambda n: numbered(b"x%d ,1\n", n), lambda _: ALL),
    "wrong cells": ("x.csv", lambda n: numbered(b"x,y%d\n", n), lambda _: ALL),
    "ragged rows": ("x.csv", lambda n: numbered(b"%d\n", n), lambda _: ALL),
    "blank lines before the header": ("x.csv", lambda n: b"\n" * n + b"a,b\nx,1\n", lambda _: ALL),
    "blank lines": ("x.csv", lambda n: b"a,b\nx,1\n" + b"\n" * n, lambda _: ALL),
    "quotes in quotes": ("x.csv", lambda n: b"a,b\n" + b'"x""y",1\n' * n, lambda _: ALL),
    "an open quote": ("x.csv", lambda n: b'a,b\n1,"' + b"x\n" * n, lambda _: ALL),
    "rows over many lines": (
        "x.csv",
        lambda n: b"a,b\n" + (b'"' + b"x\n" * 50 + b'",1\n') * (n // 10),
        lambda _: ALL,
    ),
    "a cell over many lines": ("x.csv", lambda n: b'a,b\n"' + b"x\n" * 20 * n + b'",1\n', lambda _: ALL),
    "spaces in an ARFF value": ("x.arff", lambda n: ARFF + b"1,a" + b" " * 20 * n + b"b\n", lambda _: Checks()),
    "quotes in an ARFF value": ("x.arff", lambda n: ARFF + b"1,'" + b"\\'" * n + b"'\n", lambda _: Checks()),
    "an open quote in ARFF": ("x.arff", lambda n: ARFF + b"1,'" + b"\\'" * n + b"\n", lambda _: Checks()),
    "ARFF rows": ("x.arff", lambda n: ARFF + b"1 , 'x y'\n" * n, lambda _: Checks()),
    "ARFF attributes": (
        "x.arff",
        lambda n: b"".join(b"@attribute c%d {x, 'y'}\n" % each for each in range(n)) + b"@data\n" + columns(n, b"x"),
        lambda _: Checks(),
    ),
    "ARFF values": ("x.arff", lambda n: b"@attribute a {" + b"x, " * n + b"y}\n@data\ny\n", lambda _: Checks()),
    "spaces in an attribute": (
        "x.arff",
        lambda n: b"@attribute " + b" " * 20 * n + b"p{\n@data\n1\n",
        lambda _: Checks(),
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_twice_the_input_takes_twice_the_steps(what: str) -> None:
    name, made, rules = HOSTILE[what]

    def checked(size: int) -> int:
        content, asked = made(size), rules(size)
        return steps(lambda: check(name, [content], asked, piece_size=4096))

    checked(10)  # what is done once only
    once, twice = checked(600), checked(1200)

    assert twice <= 2.2 * once


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_checked_to_its_end(what: str) -> None:
    """What repeats itself in C, as a regular expression does, has no steps to count: it would not come back."""
    name, made, rules = HOSTILE[what]

    for size in (CELL_AT_MOST // 20 - 1, 30_000):
        content = made(size)
        assert check(name, [content], rules(size)).size == len(content)


READ_BY_A_TRAINING = [
    "spaces around cells", "columns", "columns without names", "blank lines", "quotes in quotes",
    "rows over many lines", "quotes in an ARFF value", "ARFF rows", "ARFF attributes", "ARFF values",
]  # fmt: skip


@pytest.mark.parametrize("what", READ_BY_A_TRAINING)
def test_a_training_reads_twice_the_input_in_twice_the_steps(what: str) -> None:
    name, made, _ = HOSTILE[what]

    def read(size: int) -> int:
        content = made(size)
        return steps(lambda: read_table(content, name))

    read(10)  # what is done once only
    assert read(1200) <= 2.2 * read(600)


@pytest.mark.parametrize("cell", [b'"a""b"', b'"""a"""', b'""', b'"",""', b'"a"'])
def test_a_large_file_with_quotes_in_its_cells_is_looked_at_in_whole_blocks(cell: bytes) -> None:
    header = b"a,b,c\n" if b"," in cell else b"a,b\n"

    def check_of(row: bytes) -> int:
        content = header + (b"1," + row + b"\n") * 20_000
        return steps(lambda: check("x.csv", [content], Checks()))

    assert check_of(cell) < 2 * check_of(b"x,x" if b"," in cell else b"x")


def test_a_wide_table_passes() -> None:
    width = 20_000
    content = columns(width) + b"\n" + (columns(width, b"-1.5") + b"\n") * 20

    report = check(
        "x.csv", [content], Checks(columns=tuple(Column(name=f"c{n}", type=Type.NUMBER) for n in range(width)))
    )

    assert (report.faults, report.rows) == ((), 20)


def lines_without_end() -> Iterator[bytes]:
    for _ in range(40):
        yield b"1," * 500_000


@pytest.mark.parametrize(
    ("name", "content", "kind", "row", "message"),
    [
        ("x.csv", b"a,b\n1,2\n1," + b"9" * CELL_AT_MOST + b"9\n", Kind.SYNTAX, 3, "a cell is longer than 131,072 char"),
        ("x.arff", ARFF + b"1," + b"9" * CELL_AT_MOST + b"9\n", Kind.SYNTAX, 5, "a value is longer than 131,072"),
        ("x.csv", lines_without_end(), Kind.TOO_LARGE, 1, "line 1 is longer than 4 MiB; are its line ends missing?"),
        (
            "x.csv",
            b'a,b\n1,2\n"' + b'","\n'.join([b"y" * 50_000] * 100) + b'"\n',
            Kind.TOO_LARGE,
            3,
            "the row that begins in line 3 is longer than 4 MiB",
        ),
        ("x.csv", b"," * COLUMNS_AT_MOST, Kind.TOO_LARGE, 1, "100,001 columns or more, and at most 100,000"),
        ("x.nh.csv", b"\n" + b"," * COLUMNS_AT_MOST, Kind.TOO_LARGE, 2, "at most 100,000 are read"),
        ("x.arff", b"@attribute a string\n" * (COLUMNS_AT_MOST + 1), Kind.TOO_LARGE, 100_001, "100,001 columns"),
    ],
)  # fmt: skip
def test_a_limit_names_the_row_and_what_to_look_at(
    name: str, content: bytes | Iterator[bytes], kind: Kind, row: int, message: str
) -> None:
    [fault] = check(name, [content] if isinstance(content, bytes) else content, Checks()).faults

    assert (fault.kind, fault.row) == (kind, row)
    assert message in fault.message


def test_the_limit_of_a_cell_holds_whatever_another_library_has_set() -> None:
    before = csv.field_size_limit(1 << 30)
    try:
        [fault] = check("x.csv", [b'a,b\n1,"' + b"9" * CELL_AT_MOST + b'9"\n'], Checks()).faults
    finally:
        csv.field_size_limit(before)

    assert "a cell is longer than 131,072 characters" in fault.message


def test_a_cell_and_a_row_of_the_longest_pass() -> None:
    cell = b"y" * CELL_AT_MOST
    content = b"a,b\n" + b"x," + cell + b"\n" + b'x,"' + cell + b'"\n'

    assert check("x.csv", [content], Checks()).faults == ()
    assert read_table(content)["b"] == [cell.decode()] * 2
