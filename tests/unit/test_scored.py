"""The scored held-out rows: from a stream of bytes to a sample, and from its cells to what a model answered."""

from __future__ import annotations

import math
import re
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from shared.base.errors import BadEvaluation
from shared.domain.evaluation import Kind
from shared.domain.gate.answers import positive_class, read_answers
from shared.domain.gate.metrics import Multiclass, Regression, TwoClass
from shared.domain.gate.sample import metrics_of
from shared.domain.gate.scored import read_champion_scored, read_scored
from shared.domain.rows import Rows

TABLE = 'name,income,Scored Labels,Scored Probabilities\r\n"Ann, 1",>50K,<=50K,0.25\r\n"B ""x""\nC",<=50K,>50K,0.75\r\n'


def pieces(table: bytes, size: int) -> Iterator[bytes]:
    return (table[begin : begin + size] for begin in range(0, len(table), size))


def numbered(count: int) -> bytes:
    return ("n,y,Scored Labels\n" + "".join(f"{n},1,2\n" for n in range(count))).encode()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["", "\r\n\r\n"])
def test_the_table_is_read_however_its_bytes_are_cut(size: int, mark: bytes, end: str) -> None:
    table = TABLE.replace("Ann", "Anné").rstrip() + end
    rows, count = read_scored(pieces(mark + table.encode(), size), "income", 100)
    assert count == 2
    assert rows.columns == ["name", "income", "Scored Labels", "Scored Probabilities"]
    assert rows.values == [["Anné, 1", ">50K", "<=50K", "0.25"], ['B "x"\nC', "<=50K", ">50K", "0.75"]]


def test_of_many_rows_a_sample_is_kept_in_their_order_the_same_each_time_and_with_the_same_chance_for_each() -> None:
    rows, count = read_scored(pieces(numbered(5000), 1000), "y", 1000)
    kept = [int(row[0]) for row in rows.values]
    assert (count, len(kept), len(set(kept))) == (5000, 1000, 1000)
    assert kept == sorted(kept)
    assert rows == read_scored(pieces(numbered(5000), 64), "y", 1000)[0]
    # 200 are expected of each fifth, with a standard deviation below 13.
    assert all(140 < fifth < 260 for fifth in np.bincount(np.array(kept) // 1000))


def test_the_memory_that_reading_takes_does_not_grow_with_the_table() -> None:
    block = b"".join(b"%d,1,2\n" % n for n in range(5_000))

    def peak(blocks: int) -> int:
        tracemalloc.start()
        _, count = read_scored((piece for piece in [b"n,y,Scored Labels\n", *[block] * blocks]), "y", 100)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 5_000 * blocks
        return top

    assert peak(12) < 1.1 * peak(3)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "The table of the scored rows is empty"),
        (b"a,Scored Labels\n1,2\n", "no column 'y', which is the gate's label; their columns are: a, Scored Labels"),
        (b"y,b\n1,2\n", "no column 'Scored Labels'; is it the output of Score Model"),
        (b"y,Scored Labels\n", "a header without a row"),
        (b"y,Scored Labels\n1,2\n\n1\n", "The table of the scored rows: line 4 has 1 values, its header 2"),
        (
            b'y,Scored Labels\n1,"2\n1,2\n',
            "is not a CSV table: a quote is opened and never closed",
        ),
        (b"y,Scored Labels\n1,\xff\n", "not UTF-8 text: byte 18 is 0xff, in line 2"),
        (b"y,Scored Labels\n1," + b"2" * (2 << 20), "a cell is longer than 131,072 characters"),
        (b"y,Scored Labels\n1," + b"2" * (5 << 20), "line 2 is longer than 4 MiB"),
    ],
)
def test_a_malformed_scored_table_says_what_is_missing_or_where_it_breaks(table: bytes, said: str) -> None:
    with pytest.raises(BadEvaluation, match=said):
        read_scored(pieces(table, 1000), "y", 100)


def champion_answers(table: str, at_most: int = 100) -> Rows:
    """Return what a second table of three rows says, whose first one has the rows 0 to 2."""
    rows, total = read_scored(pieces(numbered(3), 64), "y", at_most)
    return read_champion_scored(rows, total, pieces(table.encode(), 64), "y", at_most, {})


def test_the_champions_rows_are_the_same_sample_with_its_own_answers() -> None:
    table = "y,Scored Labels,n\n" + "".join(f"1,{n + 5},{n}\n" for n in range(3))
    assert champion_answers(table) == Rows(["Scored Labels"], [["5"], ["6"], ["7"]])
    some, answers = champion_answers(table, 2), champion_answers(table)
    assert len(some.values) == 2 and all(row in answers.values for row in some.values)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("n,y,Scored Labels\n0,1,2\n", "training.scored: 1 rows in place of 3; have the training write the same rows"),
        (
            "n,y,Scored Labels\n0,1,2\n2,1,2\n1,1,2\n",
            "training.scored: of the rows that are compared, the column 'n' d",
        ),
        (
            "n,y\n0,1\n",
            "In the rows that the training scored with the champion: The scored rows have no column 'Scored ",
        ),
    ],
)
def test_a_table_of_the_champion_with_other_rows_says_what_differs(table: str, said: str) -> None:
    with pytest.raises(BadEvaluation, match=re.escape(said)):
        champion_answers(table)


def test_a_regression_answers_numbers() -> None:
    kept, [candidate, champion] = read_answers(
        Rows(["y", "Scored Labels"], [["1", "1.5"], ["", "9"], ["2e0", "-2"]]),
        "y",
        Rows(["Scored Labels"], [["0"], ["9"], ["4"]]),
    )
    assert kept == [0, 2], "a row without a truth shows nothing"
    assert isinstance(candidate, Regression)
    assert isinstance(champion, Regression)
    assert [candidate.truth.tolist(), candidate.labels.tolist()] == [[1, 2], [1.5, -2]]
    assert [champion.truth.tolist(), champion.labels.tolist()] == [[1, 2], [0, 4]]


def test_two_classes_are_distinguished_however_their_numbers_are_written() -> None:
    rows = Rows(
        ["y", "Scored Labels", "Scored Probabilities"],
        [["1", "0.0", "0.2"], ["0", "1.00", "0.8"], ["1.0", "1", "0.6"]],
    )
    _, [candidate] = read_answers(rows, "y", None)
    assert isinstance(candidate, TwoClass)
    assert candidate.truth.tolist() == [1, 0, 1]
    assert candidate.labels.tolist() == [0, 1, 1]


LABELED = ["y", "Scored Labels"]


@pytest.mark.parametrize(
    ("rows", "champion"),
    [
        (Rows([*LABELED, "Scored Probabilities"], [["a", "a", "0.2"], ["b", "a", "0.4"]]), [["b"], ["b"]]),
        (Rows(LABELED, [["a", "a"], ["b", "a"]]), [["b"], ["b"]]),
    ],
)
def test_where_one_model_gives_labels_only_both_are_read_by_their_labels(rows: Rows, champion: list[list[str]]) -> None:
    answers = Rows(["Scored Labels"], champion)
    _, [ours, theirs] = read_answers(rows, "y", answers, Kind.TWO_CLASS)
    assert isinstance(ours, TwoClass) and isinstance(theirs, TwoClass)
    assert (ours.has_probabilities, theirs.has_probabilities) == (False, False)
    assert [ours.truth.tolist(), ours.labels.tolist(), theirs.labels.tolist()] == [[0, 1], [0, 0], [1, 1]]
    assert math.isnan(metrics_of(ours)["AUC"]) and metrics_of(ours)["Accuracy"] == 0.5
    several = Rows(LABELED, [["a", "a"], ["b", "c"]])
    _, [multiclass] = read_answers(several, "y", None, Kind.MULTICLASS)
    assert isinstance(multiclass, Multiclass)
    with pytest.raises(BadEvaluation, match="two classes, and these rows have 3: a, b, c"):
        read_answers(several, "y", None, Kind.TWO_CLASS)


def test_several_classes_are_those_of_the_truth_and_of_both_models() -> None:
    columns = ['Scored Probabilities for Class "a"', "Scored Labels"]
    rows = Rows(["y", *columns], [["a", "1", "b"], ["True", "0", "true"]])
    _, [candidate, champion] = read_answers(rows, "y", Rows(columns, [["1", "c"], ["1", "a"]]))
    assert isinstance(candidate, Multiclass)
    assert isinstance(champion, Multiclass)
    assert [*candidate.classes] == [*champion.classes] == ["a", "b", "c", "true"]
    assert candidate.truth.tolist() == champion.truth.tolist() == [0, 3]
    assert [candidate.labels.tolist(), champion.labels.tolist()] == [[1, 3], [2, 0]]


@pytest.mark.parametrize(
    ("truth", "labels", "probabilities", "positive"),
    [
        (["no", "yes"], ["no", "yes"], [0.1, 0.9], "yes"),
        (["no", "yes"], ["no", "yes"], [0.9, 0.1], "no"),
        (["no", "yes"], ["no", "yes"], [0.1, 0.5], "yes"),
        (["no", "yes"], ["no", "yes"], [0.5, 0.6], "yes"),
        (["no", "yes"], ["no", "yes"], [0.1, 0.2], "yes"),  # another threshold than 0.5
        (["no", "yes"], ["no", "no"], [0.1, 0.4], "yes"),  # only one side was answered
        (["no", "yes"], ["no", "no"], [0.9, 0.5], "no"),
        (["no", "no"], ["no", "no"], [0.1, 0.4], None),  # and the other occurs nowhere
        (["no", "no"], ["yes", "yes"], [0.1, 0.4], "no"),
        (["no", "yes"], ["no", "no"], [0.5, 0.5], "yes"),  # a model that knows nothing: Studio's rule
        (["1", "2"], ["2", "2"], [0.5, 0.5], "1"),
        (["true", "wahr"], ["wahr", "wahr"], [0.5, 0.5], "true"),
        (["no", "yes"], ["no", "yes"], [0.5, 0.5], "yes"),
    ],
)
def test_the_positive_class_is_the_one_answered_where_the_probabilities_are_high(
    truth: list[str], labels: list[str], probabilities: list[float], positive: str | None
) -> None:
    assert positive_class(truth, labels, np.array(probabilities)) == positive


@pytest.mark.parametrize(
    ("truth", "labels", "probabilities", "said"),
    [
        (["no", "yes"], ["no", "yes", "no"], [0.1, 0.5, 0.9], "do not follow"),
        (["no", "yes"], ["no", "yes"], [0.9, 0.9], "do not follow"),
        (["no", "yes"], ["no", "no"], [0.1, 0.9], "do not follow"),
        (["a", "b"], ["a", "c"], [0.1, 0.9], "two classes, and these rows have 3: a, b, c"),
    ],
)
def test_where_labels_and_probabilities_contradict_each_other_nothing_is_guessed(
    truth: list[str], labels: list[str], probabilities: list[float], said: str
) -> None:
    with pytest.raises(BadEvaluation, match=said):
        positive_class(truth, labels, np.array(probabilities))


@pytest.mark.parametrize(
    ("rows", "champion", "said"),
    [
        (
            Rows(["y", "Scored Labels"], [["1", "x"]]),
            None,
            "The scored rows: row 1: 'Scored Labels' is 'x', which is no",
        ),
        (Rows(["y", "Scored Labels"], [["1", "2_0"]]), None, "'2_0', which is not a number"),
        (Rows(["y", "Scored Labels"], [["", "1"], ["2", ""]]), None, "row 2: 'Scored Labels' is ''"),
        (Rows(["y", "Scored Labels"], [["", "1"]]), None, "have no truth: their column 'y' is empty"),
        (Rows(["x", "Scored Labels"], [["1", "1"]]), None, "have no column 'y', which is the gate's label"),
        (
            Rows(["y", "Scored Labels"], [["1", "1"]]),
            Rows(["Scored Labels"], []),
            "The champion gave 0 answers for 1 scored rows",
        ),
        (
            Rows(["y", "Scored Labels", "Scored Probabilities"], [["a", "a", "1"]]),
            Rows(["Scored Labels"], [["a"]]),
            "The champion's answers have no column 'Scored Probabilities'; their columns are: Scored Labels",
        ),
        (
            Rows(["y", "Scored Labels", "Scored Probabilities"], [["a", "a", "7"]]),
            None,
            "'Scored Probabilities' is 7.0, which is not a probability",
        ),
        (
            Rows(["y", "Scored Labels", "Scored Probabilities"], [["a", "", "0.7"]]),
            None,
            "row 1: 'Scored Labels' is empty",
        ),
    ],
)
def test_answers_that_cannot_be_measured_name_whose_row_and_column_it_is(
    rows: Rows, champion: Rows | None, said: str
) -> None:
    with pytest.raises(BadEvaluation, match=said):
        read_answers(rows, "y", champion)
