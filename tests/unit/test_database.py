"""How a service's records are read: what a read costs does not grow with what it leaves out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aml.state.records import Asset, Records, Version, make
from service import database


@pytest.fixture
def statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are run on the test's own file, each with its values.

    Threads that earlier tests left may still read files of their own, and open them by the same function.
    """
    run: list[str] = []
    connect = sqlite3.connect

    def traced(file: Path, **named: Any) -> sqlite3.Connection:
        opened = connect(file, **named)
        if tmp_path in Path(file).parents:
            opened.set_trace_callback(run.append)
        return opened

    monkeypatch.setattr(database.sqlite3, "connect", traced)
    return run


def test_records_of_a_parent_are_read_in_their_order_without_being_sorted(
    tmp_path: Path, statements: list[str]
) -> None:
    records = Records(tmp_path)
    records.put(*(make(Version, f"models/a/versions/{number}", {}) for number in range(30)))
    statements.clear()
    parent = "models/a/versions"
    for newest_first in (False, True):
        first, after = records.page(Version, parent, lambda _: True, 0, 10, newest_first)
        second, _ = records.page(Version, parent, lambda _: True, after or 0, 10, newest_first)
        assert len({each.id for each in first + second}) == 20
    assert records.newest(Version, parent, 1)[0].name == "29"
    assert len(records.all(Version, parent)) == records.count(Version, parent) == 30
    assert records.find(Asset, "models/a") is None
    reads = [each for each in statements if each.startswith("SELECT")]
    assert len(reads) == 8
    with closing(sqlite3.connect(tmp_path / Records.FILE)) as opened:
        for each in reads:
            plan = [row[3] for row in opened.execute(f"EXPLAIN QUERY PLAN {each}")]
            assert [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN")] == [], each
