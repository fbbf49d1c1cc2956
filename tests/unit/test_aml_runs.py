"""Runs by MLflow's protocol: what is logged at the same time, changed, deleted and found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.aml import Here, refusal
from tests.support.mlflow import asked, experiment, mlflow, run

METRIC = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 0}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


@pytest.fixture
def one(here: Here) -> str:
    """The id of a run."""
    return run(here, experiment(here), run_name="first", tags=[{"key": "kind", "value": "try_1"}])


def tags(here: Here, name: str) -> dict[str, str]:
    return {each["key"]: each["value"] for each in asked(here, "GET", "runs/get", run_id=name)["run"]["data"]["tags"]}


def found(here: Here, condition: str = "", **members: object) -> int:
    return len(asked(here, "POST", "runs/search", {"filter": condition, **members})["runs"])


def test_a_param_has_one_value_whoever_logs_it(here: Here, one: str) -> None:
    def logged(value: int) -> int:
        body = {"run_id": one, "params": [{"key": "depth", "value": str(value)}], "metrics": [METRIC]}
        return mlflow(here, "POST", "mlflow/runs/log-batch", body).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(logged, range(8))) == [200, *[400] * 7]
    assert len(asked(here, "GET", "metrics/get-history", run_id=one, metric_key="loss")["metrics"]) == 1


def test_a_run_that_is_renamed_keeps_what_is_logged_meanwhile(here: Here, one: str) -> None:
    def logged(index: int) -> None:
        if index % 2:
            asked(here, "POST", "runs/set-tag", {"run_id": one, "key": str(index), "value": "a"})
        else:
            asked(here, "POST", "runs/update", {"run_id": one, "run_name": f"name {index}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(logged, range(16)))
    assert {str(index) for index in range(1, 16, 2)} <= set(tags(here, one))
    assert tags(here, one)["mlflow.runName"].startswith("name ")


def test_the_data_sets_and_models_that_a_run_uses_are_kept_once(here: Here, one: str) -> None:
    dataset = {"name": "rows", "digest": "1a", "source_type": "local", "source": "{}", "profile": "{}"}
    given = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "train"}]}
    model = asked(here, "POST", "logged-models", {"experiment_id": "1", "name": "model"})["model"]["info"]["model_id"]
    for _ in range(2):
        asked(here, "POST", "runs/log-inputs", {"run_id": one, "datasets": [given], "models": [{"model_id": model}]})
    again = Here(here.workspace.folder)
    shown = asked(again, "GET", "runs/get", run_id=one)["run"]["inputs"]
    assert shown == {"dataset_inputs": [given], "model_inputs": [{"model_id": model}]}
    for wrong in ([7], [{"dataset": {"name": "rows"}}], [{"dataset": dataset, "tags": [1]}]):
        refused = mlflow(here, "POST", "mlflow/runs/log-inputs", {"run_id": one, "datasets": wrong})
        assert refusal(refused) == (400, "INVALID_PARAMETER_VALUE")


def test_a_deleted_run_is_found_only_where_it_is_asked_for_and_can_be_restored(here: Here, one: str) -> None:
    asked(here, "POST", "runs/delete", {"run_id": one})
    assert [found(here, run_view_type=view) for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")] == [0, 1, 1]
    asked(here, "POST", "runs/restore", {"run_id": one})
    assert found(here) == 1


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("tags.kind = 'try_1'", 1),
        ("tags.kind LIKE 'try[_]1'", 0),
        ("tags.kind ILIKE 'TRY%'", 1),
        ("tags.kind IN ('a', 'try_1')", 1),
        ("tags.kind NOT IN ('a', \"try_1\")", 0),
        ("tags.other LIKE '%'", 0),
        ("tags.other != 'a'", 0),
        ("run_name = 'first' AND status = 'RUNNING'", 1),
        ("attributes.start_time > 1e12 and run.`run_name` LIKE 'f%'", 1),
        ("metrics.loss < 1", 0),
    ],
)
@pytest.mark.usefixtures("one")
def test_runs_are_found_by_every_form_of_a_condition(here: Here, condition: str, count: int) -> None:
    assert found(here, condition) == count


@pytest.mark.parametrize(
    "condition", ["tags.a ~ 'b'", "other.a = 'b'", "tags.a = 'b' OR tags.c = 'd'", "tags.a IN 'b'", "tags.a = ('b')"]
)
def test_a_condition_that_cannot_be_read_is_refused(here: Here, condition: str) -> None:
    answer = mlflow(here, "POST", "mlflow/runs/search", {"filter": condition})
    assert refusal(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_experiments_are_found_by_name_and_have_tags(here: Here) -> None:
    for name in ("large", "small"):
        number = experiment(here, name)
    asked(here, "POST", "experiments/set-experiment-tag", {"experiment_id": number, "key": "a", "value": "b"})
    again = Here(here.workspace.folder)
    body = {"filter": "name LIKE 's%' AND tags.a = 'b'"}
    [shown] = asked(again, "POST", "experiments/search", body)["experiments"]
    assert (shown["name"], shown["tags"]) == ("small", [{"key": "a", "value": "b"}])
    assert len(asked(again, "GET", "experiments/search", max_results="1")["experiments"]) == 1
