"""Training data: versions, joins, quarantine."""

from __future__ import annotations

import pytest

from shared.base.errors import DataChanged
from shared.domain.jobs import Dataset
from tests.contract.conftest import Data

PATH = "income/a.csv"


def found(dropped: Data, path: str = PATH) -> Dataset:
    dataset = dropped.data.find(path)
    assert dataset is not None
    return dataset


def aside(dropped: Data, dataset: Dataset, folder: str = "income/1") -> str:
    return dropped.data.set_aside(dataset, folder, b"{}", b"too few rows\n")


def test_what_is_there_is_found_listed_and_read(dropped: Data) -> None:
    assert dropped.data.find(PATH) is None
    dropped.drop(PATH, b"age\n1\n")
    dropped.drop("wages/b.csv", b"pay\n1\n")
    dataset = found(dropped)
    assert (dataset.path, dataset.size) == (PATH, 6)
    assert [each.path for each in dropped.data.listed()] == [PATH, "wages/b.csv"]
    assert list(dropped.data.listed("income/")) == [dataset]
    assert b"".join(dropped.data.read(dataset)) == b"age\n1\n"


def test_a_version_that_was_overwritten_is_not_read(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    first = found(dropped)
    dropped.drop(PATH, b"age\n2\n")
    with pytest.raises(DataChanged):
        b"".join(dropped.data.read(first))
    assert found(dropped) != first


def test_only_the_version_that_was_seen_is_deleted(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    first = found(dropped)
    dropped.drop(PATH, b"age\n2\n")
    dropped.data.delete(first)
    assert b"".join(dropped.data.read(found(dropped))) == b"age\n2\n"
    dropped.data.delete(found(dropped))
    dropped.data.delete(first)
    assert dropped.data.find(PATH) is None


def test_only_the_version_that_was_seen_is_set_aside(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    first = found(dropped)
    dropped.drop(PATH, b"age\n2\n")
    with pytest.raises(DataChanged):
        aside(dropped, first)
    assert aside(dropped, found(dropped)) == "quarantine/income/1/a.csv"
    assert b"".join(dropped.data.read_set_aside(PATH, "income/1")) == b"age\n2\n"


def test_what_is_set_aside_stays_what_it_was_when_that_is_done_again(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    first = found(dropped)
    aside(dropped, first)
    dropped.drop(PATH, b"age\n2\n")
    aside(dropped, first)  # the run before has copied it, and died
    assert b"".join(dropped.data.read_set_aside(PATH, "income/1")) == b"age\n1\n"


def test_what_was_moved_is_put_back_once_for_a_request(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    dataset = found(dropped)
    aside(dropped, dataset)
    dropped.data.delete(dataset)
    back = dropped.data.put_back(PATH, "income/1", "m1")
    assert back == found(dropped) == dropped.data.put_back(PATH, "income/1", "m1")
    assert b"".join(dropped.data.read(back)) == b"age\n1\n"
    with pytest.raises(DataChanged):
        dropped.data.put_back(PATH, "income/1", "m2")


def test_nothing_is_put_back_over_newer_data_or_from_nowhere(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    aside(dropped, found(dropped))
    dropped.drop(PATH, b"age\n2\n")
    with pytest.raises(DataChanged):
        dropped.data.put_back(PATH, "income/1", "m1")
    with pytest.raises(DataChanged):
        dropped.data.put_back("income/b.csv", "income/2", "m1")
    assert b"".join(dropped.data.read(found(dropped))) == b"age\n2\n"


def test_a_batch_has_the_rows_of_its_parts_under_one_header(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    dropped.drop("income/b.csv", b"age\n2\n")
    first, second = found(dropped), found(dropped, "income/b.csv")
    dropped.data.join("income/one.csv", [first], None)
    dropped.data.join("income/two.csv", [second], "income/one.csv")
    dropped.data.join("income/two.csv", [second], "income/one.csv")  # a second run
    assert dropped.data.gather("income/folder/", [first, second], None) == "batches/income/folder/*"
    dropped.drop(PATH, b"age\n3\n")
    with pytest.raises(DataChanged):
        dropped.data.join("income/three.csv", [first], None)


def test_a_batch_does_not_come_after_one_that_was_deleted(dropped: Data) -> None:
    dropped.drop(PATH, b"age\n1\n")
    with pytest.raises(DataChanged):
        dropped.data.join("income/two.csv", [found(dropped)], "income/gone.csv")


def test_a_blob_of_the_batches_is_listed_and_deleted_in_the_version_that_was_seen(dropped: Data) -> None:
    assert list(dropped.data.batched("income/")) == []
    dropped.drop(PATH, b"age\n1\n")
    for name in ("income/1/model/a", "income/1/model/b", "other/1"):
        dropped.data.join(name, [found(dropped)], None)
    listed = list(dropped.data.batched("income/"))
    assert [(each.path, each.size) for each in listed] == [("income/1/model/a", 6), ("income/1/model/b", 6)]
    for _ in range(2):
        dropped.data.delete_batched(listed[0])
    assert [each.path for each in dropped.data.batched("")] == ["income/1/model/b", "other/1"]
