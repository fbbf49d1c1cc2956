"""The look at a data set's first bytes, before it costs a training."""

from __future__ import annotations

import pytest

from shared.inspection import find_fault


@pytest.mark.parametrize(
    ("path", "head", "whole", "told"),
    [
        ("a/x.xlsx", b"age\n1\n", True, "does not end in .csv"),
        ("a/x.csv", b" \n", True, "is empty"),
        ("a/x.csv", b"\xef\xbb\xbf", True, "is empty"),
        ("a/x.csv", b"\xef\xbb\xbf\r\n", True, "is empty"),
        ("a/x.csv", b"age\n\xff\n", True, "not UTF-8 text: byte 4 is 0xff"),
        ("a/x.csv", b"age,age\n1,2\n", True, "names the column 'age' twice"),
        ("a/x.csv", b"income\n1\n", True, "has no column 'age'; its header is: income"),
        ("a/x.csv", b"age,income\n1,2\n3\n", True, "line 3 has 1 values where the header has 2: 3"),
        ("a/x.csv", b"age\n", True, "a header and no rows"),
        ("a/x.csv", b'age\n"1\n', True, "is not a CSV table"),
    ],
)
def test_a_fault_names_the_file_and_the_line(path: str, head: bytes, whole: bool, told: str) -> None:
    fault = find_fault(path, head, whole, ["age"])
    assert fault is not None
    assert fault.startswith(path)
    assert told in fault


@pytest.mark.parametrize(
    "head",
    [
        b"age,income\n1,2\n",
        b"\xef\xbb\xbfage,income\r\n1,2\r\n",
        b'age,income\n1,"two\nlines"\n',
        b"income,age\n\n1,2\n",
    ],
)
def test_well_formed_tables_have_no_fault(head: bytes) -> None:
    assert find_fault("a/x.CSV", head, True, ["age"]) is None


def test_the_line_that_the_head_cuts_off_is_not_judged() -> None:
    assert find_fault("a/x.csv", "age,income\n1,2\n3,é".encode()[:-1], False, ["age"]) is None


def test_a_quoted_cell_that_the_head_cuts_off_is_not_judged_and_the_rows_before_it_are() -> None:
    cut = b'text,age,income\n"two\nlines",1,2\n"three\nli'
    assert find_fault("a/x.csv", cut, False, ["age"]) is None
    fault = find_fault("a/x.csv", cut.replace(b",1,2", b",1"), False, ["age"])
    assert fault is not None
    assert "line 3 has 2 values where the header has 3" in fault
