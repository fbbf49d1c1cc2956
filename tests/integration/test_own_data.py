"""A person's own data: `run.py new` makes the pipeline, and a second file that is dropped ends in a promotion."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from local.new.making import LEARNERS, Refused, Wanted, make
from local.new.place import Place
from local.new.table import kind_of, likely_label, look
from local.workplace import Workplace
from shared.app import App
from shared.base.settings import Settings
from shared.domain.jobs import JobState, RetrainingJob
from studio.learning.tables import read_table
from studio.state.records import Service
from tests.support.crashing import wait_for_bes_jobs
from tests.support.data_sets import SETS, as_files
from tests.support.waiting import until


@dataclass(frozen=True)
class Here(Place):
    """A place whose settings stay in the test."""

    settings: dict[str, str] = field(default_factory=dict, repr=False)

    def changing(self) -> AbstractContextManager[object]:
        return nullcontext()

    def add(self, settings: dict[str, str]) -> None:
        self.settings.update(settings)


def here(place: Workplace, folder: Path) -> Here:
    pipelines = folder / "pipelines.yaml"
    settings = {**place.settings, "PIPELINES_FILE": str(pipelines)}
    studio = place.studio
    return Here(studio.studio, studio.address, pipelines, place.container, running=True, settings=settings)


def make_of(where: Place, name: str, content: bytes, label: str) -> None:
    columns = read_table(content)
    table = look(columns)
    kind = kind_of(table.column(label))
    wanted = Wanted(name=name, file="mine.csv", label=label, kind=kind, learners=LEARNERS[kind], table=table)
    make(where, wanted, content, columns)


def jobs_of(app: App, name: str) -> list[RetrainingJob]:
    return [app.records.jobs.require(each).record for each in app.records.jobs.ids(name)]


@pytest.mark.parametrize("name", SETS)
def test_a_second_file_of_a_real_data_set_ends_in_a_promotion(place: Workplace, tmp_path: Path, name: str) -> None:
    table, label = SETS[name]()
    first, second = as_files(table)
    assert likely_label(look(read_table(first))) == label or label != list(table.columns)[-1]
    where = here(place, tmp_path)
    make_of(where, name, first, label)
    app = App(Settings(where.settings))

    path = f"{name}/second.csv"
    place.blobs.get_blob_client(place.container, path).upload_blob(second)
    app.flows.intake.see(path)

    def settled() -> bool:
        app.flows.take_up()
        wait_for_bes_jobs(place.studio.studio.folder)
        for request in app.flows.poll():
            app.flows.requests.carry_out(request, f"message-{uuid4().hex}")
        jobs = jobs_of(app, name)
        return any(job.final for job in jobs) or not (jobs or app.records.arrivals.active(name))

    until(settled, lambda: [(job.state, job.reason) for job in jobs_of(app, name)])
    [job] = jobs_of(app, name)
    assert job.state is JobState.PROMOTED, job.reason


def test_a_name_that_is_taken_is_refused_before_anything_is_trained(place: Workplace, tmp_path: Path) -> None:
    table, label = SETS["iris"]()
    first, _ = as_files(table)
    where = here(place, tmp_path)
    make_of(where, "iris", first, label)
    before = (tmp_path / "pipelines.yaml").read_bytes()
    studio = place.studio.studio
    services = studio.records.count(Service, studio.workspace.id)
    with pytest.raises(Refused, match="has a pipeline 'iris' already"):
        make_of(where, "iris", first, label)
    assert (tmp_path / "pipelines.yaml").read_bytes() == before
    assert studio.records.count(Service, studio.workspace.id) == services
