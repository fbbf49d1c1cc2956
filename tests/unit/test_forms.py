"""The forms of files that people send: what is read, what is refused, and that both readers say the same."""

from __future__ import annotations

import pytest

from shared.base.errors import HeadersDiffer
from shared.domain.checks import Checks, Column, Kind, Type, check
from shared.domain.joining import check_headers, joined
from shared.domain.table import Table
from studio.errors import ModuleError
from studio.learning.tables import read_table


def together(*contents: bytes, name: str = "x.csv") -> bytes:
    files = [(f"{number}/{name}", content) for number, content in enumerate(contents)]
    check_headers([(path, iter([content])) for path, content in files])
    return b"".join(joined([(path, iter([content])) for path, content in files]))


# Headers


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\n\r\n\n", b"\xef\xbb\xbf\n"])
def test_a_blank_first_line_hides_no_header_from_the_join(blank: bytes) -> None:
    files = [blank + b"height,kind\n1,red\n", blank + b"height,kind\n2,blue"]

    assert all(check("x.csv", [content], Checks(label="kind"), alone=False).faults == () for content in files)
    assert together(*files) == b"height,kind\n1,red\n2,blue\n"
    with pytest.raises(
        HeadersDiffer, match=r"1/x.csv has the header 'width,kind', but 0/x.csv has the header 'height,kind'"
    ):
        together(files[0], blank + b"width,kind\n2,blue\n")


@pytest.mark.parametrize("header", [b'"height","kind"\r\n', b'"height",kind\n', b"\xef\xbb\xbfheight,kind\n"])
def test_headers_are_compared_as_the_names_they_give(header: bytes) -> None:
    assert read_table(together(b"height,kind\n1,red\n", header + b"2,blue\n")) == {
        "height": ["1", "2"],
        "kind": ["red", "blue"],
    }


@pytest.mark.parametrize("header", [b"height, kind\n", b"height,kind  \n"])
def test_a_space_is_a_part_of_a_name_for_the_check_the_join_and_the_training(header: bytes) -> None:
    content = header + b"2,blue\n3,red\n"
    name = Table("x.csv", [content]).names[1]

    assert name in read_table(content)
    [fault] = check("x.csv", [content], Checks(label="kind")).faults
    assert (fault.kind, fault.column) == (Kind.RENAMED_COLUMN, name)
    assert "the training takes the space for a part of the name" in fault.message
    assert "space" in check("x.csv", [content], Checks()).notes[0]
    with pytest.raises(HeadersDiffer):
        together(b"height,kind\n1,red\n", content)


def test_files_without_a_header_need_the_same_number_of_columns_and_lose_their_byte_order_marks() -> None:
    mark = b"\xef\xbb\xbf"

    assert together(mark + b"1,2\n", mark + b"3,4\n", name="x.nh.csv") == b"1,2\n3,4\n"
    with pytest.raises(HeadersDiffer, match=r"has 1 column, but 0/x\.nh\.csv has 2 columns"):
        together(b"1,2\n", b"3\n", name="x.nh.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a;b\n1;2\n", "the cells seem to be separated by ';', and ',' is needed"),
        ("x.csv", "a\tb\n1\t2\n", "separated by a tab, and ',' is needed (or a name that ends in .tsv)"),
        ("x.csv", "a|b\n1|2\n", "separated by '|', and ',' is needed"),
        ("x.tsv", "a,b\n1,2\n", "separated by ',', and a tab is needed"),
        ("x.nh.csv", "1;2\n", "separated by ';', and ',' is needed"),
    ],
)
def test_another_separator_is_named(name: str, content: str, message: str) -> None:
    rules = Checks(columns=(Column(name="a"), Column(name="b")))

    assert message in check(name, [content.encode()], rules).faults[0].message
    assert message in check(name, [content.encode()], Checks()).notes[0]


@pytest.mark.parametrize("line", ["sep=,\n", "sep=;\r\n", '"sep=,"\n', "\nSEP=,\n"])
@pytest.mark.parametrize("name", ["x.csv", "x.nh.csv"])
def test_excels_first_line_is_named(name: str, line: str) -> None:
    [fault] = check(name, [f"{line}a,b\n1,2\n".encode()], Checks()).faults

    assert (fault.kind, fault.row) == (Kind.SYNTAX, 2 if line[0] == "\n" else 1)
    assert "begins with Excel's line" in fault.message
    assert "delete that line" in fault.message


@pytest.mark.parametrize("start", ["\ufeff\ufeff", "\n\ufeff", "\ufeff\r\n\ufeff"])
@pytest.mark.parametrize("name", ["x.csv", "x.nh.csv"])
def test_a_byte_order_mark_that_is_not_the_start_of_the_file_is_refused(name: str, start: str) -> None:
    [fault] = check(name, [f"{start}a,b\n1,2\n".encode()], Checks()).faults

    assert fault.kind is Kind.ENCODING
    assert "has a byte order mark in line" in fault.message


# Cells

INCOME = Checks(
    columns=(
        Column(name="age", type=Type.INTEGER),
        Column(name="workclass", values=("Private", "State-gov")),
        Column(name="day", type=Type.DATETIME),
    ),
    label="income",
)


@pytest.mark.parametrize("quoted", ["", '"say ""so"""'])  # the second is parsed, the first looked at as a block
def test_a_space_is_a_part_of_a_text_for_the_check_too(quoted: str) -> None:
    content = (
        "age,workclass,day,note,income\n"
        f" 39,Private,2026-11-30,{quoted},low\n"
        f"50 , Private,2026-11-30,x,high\n"
        f"38,Private, 2026-11-30,x ,low \n"
    )

    report = check("x.csv", [content.encode()], INCOME)

    assert [(fault.kind, fault.row, fault.column) for fault in report.faults] == [
        (Kind.TYPE, 3, "workclass"),
        (Kind.TYPE, 4, "day"),
        (Kind.SPACES, 4, "income"),
    ]
    assert "the training takes the space around it for a part of it" in report.faults[0].message
    assert "is 'low ', and in line 2 'low': the training takes them for two classes" in report.faults[2].message
    assert any("'note' (1, the first in line 4)" in note for note in report.notes)
    assert read_table(content.encode())["income"] == ["low", "high", "low "]


def test_a_cell_with_a_space_alone_is_not_missing() -> None:
    number = Checks(columns=(Column(name="a", type=Type.NUMBER),))

    [fault] = check("x.csv", [b"a,b\n1,2\n ,3\n"], number).faults

    assert (fault.kind, fault.row) == (Kind.TYPE, 3)
    assert "a missing cell has nothing in it, not even a space" in fault.message


# ARFF

HEAD = "@relation r\n@attribute a numeric\n@attribute 'b c' {x,'y z','it\\'s',\"p,q\"}\n@attribute s string\n@data\n"


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("1,x,word", ["1", "x", "word"]),
        ("1, x , word ", ["1", "x", "word"]),
        ("\t1\t,\tx,word\t", ["1", "x", "word"]),
        ("1,'y z','a,b'", ["1", "y z", "a,b"]),
        ('1,"y z","a,b"', ["1", "y z", "a,b"]),
        ("1,'it\\'s','say \"so\"'", ["1", "it's", 'say "so"']),
        ("1,\"it's\",'back\\\\slash'", ["1", "it's", "back\\slash"]),
        ("1,'p,q','line\\nend\\ttab'", ["1", "p,q", "line\nend\ttab"]),
        ("1,x,'100\\% \\u00e9'", ["1", "x", "100% é"]),
        ("1,x,'x '", ["1", "x", "x "]),
        ("?,?,?", ["", "", ""]),
        ("1,x,'?'", ["1", "x", "?"]),
        ("-1.5e3,x,C:\\x", ["-1.5e3", "x", "C:\\x"]),
        ("1,x,word % a remark", ["1", "x", "word"]),
        ("1,x,'50%'% a remark", ["1", "x", "50%"]),
        ("1,x,é\u00a0ß", ["1", "x", "é\u00a0ß"]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_weka_and_openml_write_is_read_by_both_readers(row: str, cells: list[str], end: str) -> None:
    content = f"% a remark\n\n{HEAD}% more\n \n{row}\n".replace("\n", end).encode()

    report = check("x.arff", [content], Checks())

    assert report.faults == ()
    assert [each.cells for each in Table("x.arff", [content]).rows()] == [cells]
    assert read_table(content, "x.arff") == {name: [cell] for name, cell in zip(["a", "b c", "s"], cells, strict=True)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,x,two words", "a value with spaces, quotes, braces or a % in it is written in quotes"),
        ("1,x,it's", "is written in quotes"),
        ("1,x,50%", "is written in quotes"),
        ("1,x,{5}", "is written in quotes"),
        ("1,x,'a' b", "is written in quotes"),
        ("1,x,'a''b'", "is written in quotes"),
        ("1,x,", "a value is empty; a missing value is written ?"),
        ("1,,word", "a value is empty; a missing value is written ?"),
        ("1,x,'open", "a quote is not closed"),
        ("1,x,'\\x41'", "\\x stands for no character"),
        ("{0 1, 2 word}", "a sparse row is not read; write all of its values"),
    ],
)
def test_an_arff_row_that_tools_read_in_different_ways_is_refused_by_both_readers(row: str, message: str) -> None:
    content = f"{HEAD}1,x,word\n{row}\n".encode()

    [fault] = check("x.arff", [content], Checks()).faults

    assert (fault.kind, fault.row) == (Kind.SYNTAX, 7)
    assert message in fault.message
    with pytest.raises(ModuleError, match="line 7"):
        read_table(content, "x.arff")


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("@attribute a numeric", "a"),
        ("@ATTRIBUTE\t'a b'\tREAL % a remark", "a b"),
        ('@attribute "it\'s" integer [0, 9]', "it's"),
        ("@attribute a real[0.5,7.9]", "a"),
        ("@attribute a{1,2}", "a"),
        ("@attribute 'a' { 1 , '2' }", "a"),
        ("@attribute a date 'yyyy-MM-dd HH:mm'", "a"),
        ("@attribute a DATE", "a"),
        ("@attribute a string", "a"),
        ("@inputs a\n@outputs a\n@attribute a string", "a"),
        ("@attribute '' string", "Col1"),
    ],
)
def test_attributes_are_read_by_both_readers(attribute: str, name: str) -> None:
    content = f"@relation 'a b'\n{attribute}\n@DATA % a remark\n1\n".encode()

    assert check("x.arff", [content], Checks()).faults == ()
    assert Table("x.arff", [content]).names == [name]
    assert read_table(content, "x.arff") == {name: ["1"]}


NOT_READ = [
    "@attribute a numbers", "@attribute a b numeric", "@attribute a {1,2", "@attribute a {x y}",
    "@attribute a relational", "@attribute a", "@attribute it's string", "@attributes a string", "a,b",
    "@attribute a string more",
]  # fmt: skip


@pytest.mark.parametrize("attribute", NOT_READ)
def test_attributes_that_are_not_read_are_refused_by_both_readers(attribute: str) -> None:
    content = f"{attribute}\n@attribute z string\n@data\n1,2\n".encode()

    [fault] = check("x.arff", [content], Checks()).faults

    assert (fault.kind, fault.row) == (Kind.SYNTAX, 1)
    with pytest.raises(ModuleError, match="line 1"):
        read_table(content, "x.arff")
