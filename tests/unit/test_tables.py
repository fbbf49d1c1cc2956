"""Tables: what is written can be read again, and what is not a table is the module's error."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import arff

from studio.errors import ModuleError
from studio.learning.tables import Columns, read_table, write_table

# The byte order mark is the file's, not the first cell's.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=12)
ARFF_TEXT = st.text(st.sampled_from("ab9 ,'\"\\%{}?é\t."), min_size=1, max_size=6).filter(
    lambda cell: cell.strip() == cell
)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str] = TEXT) -> Columns:
    names = draw(st.lists(cells.filter(bool), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1, 5))
    return {name: draw(st.lists(cells, min_size=rows, max_size=rows)) for name in names}


@settings(max_examples=60)
@given(tables(), st.sampled_from([".csv", "a.tsv", "A.CSV"]))
def test_a_table_is_read_as_it_was_written(table: Columns, name: str) -> None:
    assert read_table(write_table(table, name), name) == table


@settings(max_examples=60)
@given(tables(ARFF_TEXT))
def test_an_arff_table_is_read_as_it_was_written(table: Columns) -> None:
    assert read_table(write_table(table, ".arff"), ".arff") == table


def test_an_arff_table_is_what_scipy_reads_from_it() -> None:
    # Not with a quoted cell: scipy compares it with its quotes on.
    table = {"size": ["1.5", "", "-2e3"], "of colour": ["red", "light-blue", "red"], "Infinity": ["1", "2", "3"]}
    data, meta = arff.loadarff(io.StringIO(write_table(table, "x.arff").decode()))
    assert meta.names() == list(table)
    assert meta.types() == ["numeric", "nominal", "numeric"]
    np.testing.assert_array_equal(data["size"], [1.5, np.nan, -2000])
    assert data["of colour"].tolist() == [b"red", b"light-blue", b"red"]


@pytest.mark.parametrize(
    ("name", "content", "table"),
    [
        (".csv", b"\xef\xbb\xbfage,income\r\n1,2\r\n", {"age": ["1"], "income": ["2"]}),
        (".csv", b'a,b\n"x, ""y""\nz",2\n\n', {"a": ['x, "y"\nz'], "b": ["2"]}),
        (".csv", b"a, b \n 1 ,NA\n", {"a": [" 1 "], " b ": ["NA"]}),
        (".csv", b",b\n0,1\n", {"Col1": ["0"], "b": ["1"]}),
        (".tsv", b"a\tb\n1\t\n", {"a": ["1"], "b": [""]}),
        ("rows.nh.csv", b"1,x\n2,y\n", {"Col1": ["1", "2"], "Col2": ["x", "y"]}),
        ("rows.nh.tsv", b"1\tx\n", {"Col1": ["1"], "Col2": ["x"]}),
        (
            ".arff",
            b"% made by hand\n@RELATION r\n\n@attribute 'a b' REAL\n@attribute c string\n"
            b"@ATTRIBUTE d\t{x, 'y z'}\n@DATA\n% more\n1, 'it\\'s', x\n?,two,'y z'\n",
            {"a b": ["1", ""], "c": ["it's", "two"], "d": ["x", "y z"]},
        ),
    ],
    ids=["mark and CRLF", "quotes and ends of lines", "spaces", "no name", "tsv", "nh.csv", "nh.tsv", "arff"],
)
def test_every_form_of_table_is_read(name: str, content: bytes, table: Columns) -> None:
    assert read_table(content, name) == table


def test_a_very_wide_table_is_read() -> None:
    table = {f"c{number}": [str(number)] for number in range(50_000)}
    assert read_table(write_table(table)) == table


@pytest.mark.parametrize(
    ("name", "content", "error_id", "says"),
    [
        (".csv", b"", "TooFewRowsInDataset", "no rows"),
        (".csv", b"\n\n", "TooFewRowsInDataset", "no rows"),
        (".csv", b"a,b\n", "TooFewRowsInDataset", "no rows"),
        (".nh.csv", b"", "TooFewRowsInDataset", "no rows"),
        (".csv", b"a,b\n1,2\n3\n", "AllRowsMustHaveSameElements", "same number of elements"),
        (".csv", b"a,b\n1,2,3\n", "AllRowsMustHaveSameElements", "same number of elements"),
        (".csv", "a,b\né,2\n".encode("latin-1"), "InvalidEncoding", "byte 4"),
        (".csv", "a,b\n1,2\n".encode("utf-16"), "InvalidEncoding", "UTF-8"),
        (".csv", b"a,b,a\n1,2,3\n", "DuplicateColumnNames", '"a" is there twice'),
        (".arff", b"a,b\n1,2\n", "InvalidArff", "line 1: 'a,b' is not an attribute"),
        (".arff", b"", "InvalidArff", "no attributes"),
        (".arff", b"@relation r\n@attribute a numeric\n@data\n", "TooFewRowsInDataset", "no rows"),
        (".arff", b"@relation r\n@attribute a numeric\n@data\n1,2\n", "AllRowsMustHaveSameElements", "same number"),
        (".arff", b"@attribute a numeric\n@data\n\xff\n", "InvalidEncoding", "UTF-8"),
    ],
)
def test_a_malformed_table_is_the_modules_error(name: str, content: bytes, error_id: str, says: str) -> None:
    with pytest.raises(ModuleError) as refused:
        read_table(content, name)
    assert refused.value.error_id == error_id
    assert says in refused.value.message


@settings(max_examples=60)
@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".nh.csv", ".arff"]))
def test_no_bytes_bring_the_reader_down(content: bytes, name: str) -> None:
    try:
        table = read_table(content, name)
    except ModuleError:
        return
    assert len({len(cells) for cells in table.values()}) == 1
