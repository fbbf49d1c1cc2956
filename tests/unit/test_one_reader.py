"""What the check accepts is what the training reads: the same names, rows and cells, alone, joined and in a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.io import arff as scipy_arff

from shared.base.errors import HeadersDiffer
from shared.domain.checks import Checks, check
from shared.domain.joining import check_headers, joined, name_in_folder
from shared.domain.table import Table
from shared.domain.table.form import Form
from shared.domain.table.plain import plain
from studio.jobs.import_data import import_table
from studio.learning.tables import Columns, read_table

#: names and cells as they may be written, by what they are
SPELLINGS = {
    "a": ["a", '"a"'],
    " b": [" b", '" b"'],
    "c ": ["c ", '"c "'],
    "é": ["é", '"é"'],
    "x,y": ['"x,y"'],
    "x\ty": ['"x\ty"'],
    'say "so"': ['"say ""so"""', 'say "so"'],
    "line\nend": ['"line\nend"'],
    "line\r\nend": ['"line\r\nend"'],
    "line\rend": ['"line\rend"'],
    "it's": ["it's", '"it\'s"'],
    "": ["", '""'],
    "Col2": ["Col2"],
    "odd \ufeff\u2028\x85\x0b\x1c\xa0": ["odd \ufeff\u2028\x85\x0b\x1c\xa0"],
    "-1.5": ["-1.5", '"-1.5"'],
}
NOISE = ["", "", "", "", '"', '""', ",", "\r", " ", "\t", "x", "\n", "\r\n", "\ufeff", "'", "%", "\\", "{", "?"]
# Strategies are made once: Hypothesis looks at each new one before it draws from it.
ODD = st.sampled_from(NOISE)
ENDS = st.sampled_from(["\n", "\n", "\r\n"])
BLANKS = st.sampled_from(["", "", "", "\n", "\r\n", "  \n"])
MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])
SPELT = {name: st.sampled_from(spellings) for name, spellings in SPELLINGS.items()}
#: each name as often as another, in whichever of its one or two spellings
CELLS = [cell for spellings in SPELLINGS.values() for cell in (spellings * 2)[:2]]
CELLS_BY_TAB = [cell for cell in CELLS if "\t" not in cell or cell[0] == '"']


def rows_of(cells: list[str], width: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(st.sampled_from(cells), min_size=width, max_size=width), min_size=1, max_size=4)


ROWS_OF = {
    (separator, width): rows_of(cells, width)
    for separator, cells in ((",", CELLS), ("\t", CELLS_BY_TAB))
    for width in (1, 2, 3)
}


def drawn_csv(draw: st.DrawFn, names: list[str], separator: str, headless: bool) -> bytes:
    """A table with these names, in one of the many ways to write it, and now and then with something odd in it."""
    rows = draw(ROWS_OF[separator, len(names)])
    header = [] if headless else [[draw(SPELT[name]) for name in names]]
    lines = [draw(BLANKS) + separator.join(row) + draw(ENDS) for row in [*header, *rows]]
    text = "".join(lines) + draw(BLANKS)
    text = text.rstrip("\r\n") if draw(st.booleans()) else text
    at = draw(st.integers(0, len(text)))
    text = text[:at] + draw(ODD) + text[at:]
    return draw(MARKS) + text.encode()


csv_files = st.composite(drawn_csv)
FILE_NAMES = st.sampled_from(["x.csv", "X.CSV", "x.tsv", "x.nh.csv", "x.nh.tsv"])
COLUMNS = {
    separator: st.lists(
        st.sampled_from([each for each in SPELLINGS if separator == "," or "\t" not in each]),
        min_size=1,
        max_size=3,
        unique=True,
    )
    for separator in (",", "\t")
}


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A file's name, and several files with the same columns most of the time."""
    name = draw(FILE_NAMES)
    separator = "\t" if "tsv" in name else ","
    names = draw(COLUMNS[separator])
    files = []
    for _ in range(draw(st.integers(1, 3))):
        of = draw(COLUMNS[separator]) if draw(st.integers(0, 9)) == 0 else names
        files.append(drawn_csv(draw, of, separator, ".nh." in name))
    return name, files


ATTRIBUTES = [
    "numeric", "REAL", "integer [0, 9]", "string", "string", "string % note", "{x,y}", "{ x , 'x y' }",
    "date 'yyyy-MM-dd'", "date", "relational", "{x y}", "{}", "{x,}",
]  # fmt: skip
ATTRIBUTE_NAMES = ["'b c'", '"d"', "'it\\'s'", "%", "e'f", "g{h", "''", "é", "i%j", "Col2"]
ARFF_CELLS = [
    "?", "1", "2.5", "x", "y", "'x y'", '"x,y"', "'?'", "''", "'it\\'s'", '"it\'s"', "'a\\nb'", "'\\u0041'", "'100\\%'",
    "'100%'", "C:\\x", "é\xa0\x85\u2028", "a b", "it's", "50%", "", "'\\x'", "'a\rb'", "'tab\there'", "{0 1}", "\x0bz",
]  # fmt: skip


ARFF_NAMES = [st.sampled_from([f"c{number}"] * 9 + ATTRIBUTE_NAMES) for number in range(3)]
ARFF_KINDS = st.sampled_from(ATTRIBUTES[:9] * 3 + ATTRIBUTES)
ARFF_ROWS = [
    st.lists(st.sampled_from(ARFF_CELLS[:14] * 5 + ARFF_CELLS), min_size=width, max_size=width) for width in range(4)
]
ARFF_WORDS, ARFF_SPACES = st.sampled_from(["@attribute", "@ATTRIBUTE"]), st.sampled_from([" ", "\t", "  "])
ARFF_FIRST = st.lists(st.sampled_from(["% made by hand", "", "  ", "@inputs a", "@relation 'r s'"]), max_size=2)
ARFF_DATA = st.sampled_from(["@data", "@DATA", " @data ", "@data % note"])
ARFF_REMARKS = st.sampled_from([[], [], [], ["% note"], [""], [" \t"]])
ARFF_SEPARATORS = st.sampled_from([",", ", ", " ,\t"])
ARFF_BEGINS, ARFF_ENDS = st.sampled_from(["", "", " "]), st.sampled_from(["", " ", " % note"])


@st.composite
def arff_files(draw: st.DrawFn) -> bytes:
    lines = [*draw(ARFF_FIRST)]
    count = draw(st.integers(1, 3))
    for number in range(count):
        name = draw(ARFF_NAMES[number])
        word, space = draw(ARFF_WORDS), draw(ARFF_SPACES)
        lines.append(f"{word} {name}{space}{draw(ARFF_KINDS)}")
    lines.append(draw(ARFF_DATA))
    for _ in range(draw(st.integers(1, 4))):
        lines += draw(ARFF_REMARKS)
        row = draw(ARFF_ROWS[count])
        separator = draw(ARFF_SEPARATORS)
        lines.append(draw(ARFF_BEGINS) + separator.join(row) + draw(ARFF_ENDS))
    end = draw(ENDS)
    text = end.join(lines) + end
    at = draw(st.integers(0, len(text)))
    return (text[:at] + draw(ODD) + text[at:]).encode()


FILES = batches().map(lambda batch: (batch[1][0], batch[0])) | st.tuples(arff_files(), st.just("x.arff"))


def accepted(content: bytes, name: str) -> bool:
    return not check(name, [content], Checks()).faults


def as_read_here(content: bytes, name: str, piece: int = 1 << 18) -> tuple[list[str], list[list[str]]]:
    table = Table(name, [content], piece)
    return table.names, [row.cells for row in table.rows()]


def as_columns(names: list[str], rows: list[list[str]]) -> Columns:
    return {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}


@settings(max_examples=200, deadline=None)
@given(FILES, st.integers(1, 60))
@example((b"\n\na,b\n1,2\n", "x.csv"), 5)
@example((b"  \na\n1\n", "x.csv"), 5)
@example((b"\xef\xbb\xbf1,2\n", "x.nh.csv"), 5)
@example((b",Col1\n1,2\n", "x.csv"), 5)
def test_what_the_check_accepts_the_training_reads_with_the_same_names_rows_and_cells(
    file: tuple[bytes, str], piece: int
) -> None:
    content, name = file
    assume(accepted(content, name))
    names, rows = as_read_here(content, name)
    assert (names, rows) == as_read_here(content, name, piece)
    assert read_table(content, name) == as_columns(names, rows)
    report = check(name, [content], Checks())
    assert report.rows == len(rows)
    assert report.summary is not None
    assert report.summary.missing == {
        each: count for each, cells in as_columns(names, rows).items() if (count := cells.count(""))
    }


class InMemory:
    """What Import Data asks of the Studio's storage."""

    account = "studio"

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def listed(self, container: str, prefix: str) -> Iterator[Any]:
        for name in sorted(self._contents):
            if name.startswith(prefix):
                yield SimpleNamespace(container=container, name=name, blob_type=SimpleNamespace(value="BlockBlob"))

    def own(self, path: str) -> str:
        return path.partition("/")[2]

    def read(self, name: str) -> bytes:
        return self._contents[name]


@settings(max_examples=150, deadline=None)
@given(batches())
@example(("x.csv", [b"\na,b\n1,2\n", b"\r\n\r\na,b\n3,4"]))
@example(("x.nh.csv", [b"\xef\xbb\xbf1,2\n", b"\xef\xbb\xbf3,4\n"]))
@example(("x.csv", [b'"a","b"\n1,2\n', b"a,b\r\n3,4\r\n"]))
@example(("x.csv", [b'"a\nb"\n1\n', b'"a\nb"\r\n2\n']))
@example(("x.nh.csv", [b"1,2\n", b"3\n"]))
@example(("x.nh.csv", [b"\n\xef\xbb\xbf1,2\n"]))
@example(("x.csv", [b"\xef\xbb\xbf\xef\xbb\xbfa\n1\n"]))
def test_what_the_check_accepts_is_one_table_joined_and_in_a_folder(batch: tuple[str, list[bytes]]) -> None:
    name, contents = batch
    assume(all(accepted(content, name) for content in contents))
    read = [as_read_here(content, name) for content in contents]
    named = [(f"{number}/{name}", content) for number, content in enumerate(contents)]
    folder = {f"f/{name_in_folder(number, path)}": content for number, (path, content) in enumerate(named, 1)}
    if any(names != read[0][0] for names, _ in read):
        for brought in (check_headers, lambda files: b"".join(joined(files))):
            with pytest.raises(HeadersDiffer):
                brought([(path, iter([content])) for path, content in named])
        return

    check_headers([(path, iter([content])) for path, content in named])
    one = b"".join(joined([(path, iter([content])) for path, content in named]))

    together = as_columns(read[0][0], [row for _, rows in read for row in rows])
    assert read_table(one, name) == together
    assert accepted(one, name)
    assert import_table(InMemory(folder), "batches/f/*") == together  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(csv_files(["a", "é"], ",", False) | csv_files(["a"], ",", False))
def test_pandas_reads_the_csv_that_the_check_accepts_alike(content: bytes) -> None:
    assume(accepted(content, "x.csv"))
    names, rows = as_read_here(content, "x.csv")
    # A line of spaces is blank to pandas, where it could be the cell of a single column.
    assume(len(names) > 1 or all(cell.strip(" \t") for cell in [*names, *(row[0] for row in rows)]))

    read = pd.read_csv(
        io.BytesIO(content), dtype=str, header=None, na_filter=False, encoding="utf-8-sig", quotechar='"'
    )

    assert read.iloc[1:].to_numpy().tolist() == rows
    assert [name or f"Col{number}" for number, name in enumerate(read.iloc[0], 1)] == names


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([",", "\n", "\r\n", "\r", "a", " "]), min_size=1, max_size=16).map("".join))
def test_what_is_called_plain_has_the_cells_that_the_csv_module_reads(text: str) -> None:
    lines = plain(text.encode(), Form.of("x.csv"))
    assume(lines is not None)
    assert lines is not None

    parsed = list(csv.reader(io.StringIO(text, newline=""), strict=True))

    assert [line.split(",") if line else [] for line in lines.decode().split("\n")[:-1]] == parsed


ROWS = st.lists(
    st.tuples(st.floats(-1e6, 1e6).map(repr) | st.just("?"), st.sampled_from(["x", "y", "?"])), min_size=1, max_size=5
)


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([",", ", ", " , "]), st.booleans())
def test_scipy_reads_the_arff_that_the_check_accepts_alike(
    rows: list[tuple[str, str]], end: str, separator: str, remark: bool
) -> None:
    lines = [
        "% by hand",
        "@relation r",
        "@attribute a numeric",
        "@attribute c {x,y}",
        "@data",
        *(separator.join(row) for row in rows),
    ]
    content = (end.join([*lines[:-1], *(["% note"] if remark else []), lines[-1]]) + end).encode()
    assert accepted(content, "x.arff")

    data, meta = scipy_arff.loadarff(io.StringIO(content.decode()))

    names, read = as_read_here(content, "x.arff")
    assert meta.names() == names
    assert [[float(a) if a else None, c or "?"] for a, c in read] == [
        [None if a != a else float(a), c.decode()] for a, c in data.tolist()
    ]
