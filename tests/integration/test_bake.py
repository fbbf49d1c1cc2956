"""What was promoted goes bad at the local Studio, and is rolled back by itself; models in real storage come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from local.azurite import Azurite
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.adapters.storage.accounts import open_store
from shared.adapters.storage.models import BlobModels
from shared.base.settings import Settings
from shared.domain.champions import Action
from shared.domain.jobs import JobState
from shared.domain.messages import Command
from shared.store.history_check import verify
from tests.support.flow import Flow
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def flow(place: Workplace, tmp_path: Path) -> Flow:
    sample = Path(place.settings["PIPELINES_FILE"])
    pipelines: dict[str, Any] = yaml.safe_load(sample.read_text("utf-8"))
    entry = pipelines["pipelines"][PIPELINE]
    entry["bake"] = {"time": "1h", "slower": 5, "failures": 3}
    entry["proof"]["rows"] = str(sample.parent / entry["proof"]["rows"])
    file = tmp_path / "pipelines.yaml"
    file.write_text(yaml.safe_dump(pipelines), "utf-8")
    return Flow(place, {"PIPELINES_FILE": str(file)})


@pytest.mark.parametrize(
    ("fault", "rows", "why"),
    [
        # A service that asks for a short wait is asked again within the same call, and no look fails.
        (
            {"kind": "unavailable", "count": 3, "seconds": 60},
            400,
            "3 looks in a row failed, the last because scoring of classic",
        ),
        ({"kind": "slow", "count": 5, "seconds": 0.8}, 450, "times as slowly as before, at the median of 5 looks"),
    ],
    ids=["unavailable", "slow"],
)
def test_an_endpoint_that_goes_bad_gets_its_former_model_back_by_itself(
    flow: Flow, fault: dict[str, Any], rows: int, why: str
) -> None:
    before = flow.answers()
    job = flow.finish(flow.drop(f"{rows}.csv", as_csv(flow.place.header, flow.place.rows[:rows])))
    assert job.state is JobState.PROMOTED, job.reason
    assert flow.answers() != before
    promoted = flow.champion.last

    endpoint = {"operation": "rrs.execute", "endpoint": flow.place.classic.name}
    answer = requests.post(f"{flow.place.studio.control}/faults", json={**fault, **endpoint}, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text
    until(lambda: flow.poll() or bool(flow.requests), lambda: flow.app.records.watches.load(PIPELINE))
    [request] = flow.requests
    assert (request.action, request.live) == (Command.ROLLBACK, promoted)
    flow.promote()

    live = flow.champion.live
    assert live is not None
    assert (live.action, live.number, live.by) == (Action.ROLLED_BACK, promoted + 1, "the bake")
    assert why in live.reason
    assert flow.answers() == before
    flow.poll()
    assert flow.requests == []
    assert verify(flow.app.records.champions.stored_history(PIPELINE), flow.champion).whole


def test_a_kept_model_that_is_kept_or_wanted_again_is_not_removed(one_azurite: Azurite) -> None:
    models = BlobModels(open_store(Settings({"X": one_azurite.connection_string}), "X"), "models-apart")
    assert list(models.listed()) == []
    model = models.keep(iter([b"a model"]))
    [first] = models.listed()
    assert first.model == model
    assert models.keep(iter([b"a model"])) == model
    [second] = models.listed()
    assert not models.remove(first)
    assert models.touch(model)
    assert not models.remove(second)
    [third] = models.listed()
    assert third.touched >= second.touched
    assert models.remove(third)
    assert not models.remove(third)
    assert not models.touch(model)
    assert list(models.listed()) == []
    assert models.keep(iter([b"a model"])) == model
