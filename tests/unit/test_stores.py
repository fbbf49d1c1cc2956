"""The order of writes in the records: a mark is there before the record that it leads to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.domain.jobs import BatchFile, Dataset, received
from shared.store import Records
from tests.support.fakes import FakeDocuments

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def test_a_job_whose_run_dies_at_its_first_write_is_found_by_the_poll() -> None:
    documents = FakeDocuments()
    part = BatchFile(dataset=Dataset(path="income/a.csv", etag="1", modified=NOW, size=1), sha256="0" * 64, rows=1)
    job = received("income", [part], NOW)
    documents.die_after = 0
    with pytest.raises(KeyboardInterrupt):
        Records(documents).jobs.open(job)
    documents.die_after = None
    assert Records(documents).jobs.active() == [job.id]
    stored = Records(documents).jobs.load(job.id)
    assert stored is not None
    assert stored.record == job == Records(documents).jobs.require(job.id).record
