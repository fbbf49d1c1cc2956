"""The models that MLflow 3 logs: where their files go, what is kept of them, and how they are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.faults.orders import Fault
from tests.support.aml import Here, refusal
from tests.support.mlflow import asked, experiment, mlflow, run


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


def logged(here: Here, **members: Any) -> Any:
    return asked(here, "POST", "logged-models", members)["model"]


def test_the_first_model_of_a_name_is_in_the_folder_of_its_run_and_a_later_one_beside(here: Here) -> None:
    number = experiment(here)
    one = run(here, number)
    root = f"mlflow-artifacts:/ExperimentRun/dcid.{one}/"
    first, second = (logged(here, experiment_id=number, name="model", source_run_id=one)["info"] for _ in range(2))
    assert first["artifact_uri"] == f"{root}model"
    assert second["artifact_uri"] == f"{root}model-{second['model_id']}"
    alone = logged(here, experiment_id=number, name="model")["info"]
    assert alone["artifact_uri"] == f"mlflow-artifacts:/LocalUpload/{alone['model_id']}"


def test_the_plug_in_finds_a_model_below_the_address_of_its_run(here: Here) -> None:
    number = experiment(here)
    one = run(here, number)
    body = {"experiment_id": number, "name": "model", "source_run_id": one}
    info = mlflow(here, "POST", "mlflow/logged-models", body, release="v2.0").json["model"]["info"]
    assert info["artifact_uri"].endswith(f"/experiments/{number}/runs/{one}/artifacts/model")


def test_what_is_logged_of_a_model_is_kept(here: Here) -> None:
    number = experiment(here)
    one = run(here, number)
    model = logged(here, experiment_id=number, name="model", source_run_id=one, params=[{"key": "c", "value": "1"}])
    place = f"logged-models/{model['info']['model_id']}"
    asked(here, "POST", f"{place}/params", {"params": [{"key": "d", "value": "2"}]})
    tags = [{"key": "kind", "value": "try"}, {"key": "of", "value": "income"}]
    asked(here, "PATCH", f"{place}/tags", {"tags": tags})
    asked(here, "DELETE", f"{place}/tags/kind")
    metric = {"key": "auc", "value": 0.9, "timestamp": 1, "step": 0, "model_id": model["info"]["model_id"]}
    for _ in range(2):
        asked(here, "POST", "runs/log-batch", {"run_id": one, "metrics": [metric]})
    asked(here, "POST", "runs/outputs", {"run_id": one, "models": [{"model_id": model["info"]["model_id"], "step": 3}]})
    asked(here, "PATCH", place, {"status": "LOGGED_MODEL_READY"})

    again = Here(here.workspace.folder)
    shown = asked(again, "GET", place)["model"]
    assert (shown["info"]["status"], shown["info"]["source_run_id"]) == ("LOGGED_MODEL_READY", one)
    assert shown["info"]["tags"] == [{"key": "of", "value": "income"}]
    assert shown["data"]["params"] == [{"key": "c", "value": "1"}, {"key": "d", "value": "2"}]
    assert [(each["key"], each["value"]) for each in shown["data"]["metrics"]] == [("auc", 0.9)]
    found = asked(again, "GET", "runs/get", run_id=one)["run"]
    assert found["outputs"]["model_outputs"] == [{"model_id": shown["info"]["model_id"], "step": 3}]
    assert len(asked(again, "GET", "metrics/get-history", run_id=one, metric_key="auc")["metrics"]) == 1
    asked(again, "DELETE", place)
    assert refusal(mlflow(again, "GET", f"mlflow/{place}")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_models_are_found_page_by_page_and_in_an_order(here: Here) -> None:
    numbers = [experiment(here, name) for name in ("a", "b")]
    one = run(here, numbers[0])
    for index, name in enumerate(("small", "large", "small")):
        model = logged(here, experiment_id=numbers[index % 2], name=name)["info"]["model_id"]
        metric = {"key": "auc", "value": index, "timestamp": 1, "model_id": model}
        asked(here, "POST", "runs/log-batch", {"run_id": one, "metrics": [metric]})

    def names(**body: Any) -> list[str]:
        found, token = [], ""
        while True:
            page = asked(here, "POST", "logged-models/search", {"experiment_ids": numbers, "page_token": token, **body})
            found += [each["info"]["name"] for each in page["models"]]
            token = page.get("next_page_token", "")
            if not token:
                return found

    assert names() == names(max_results=1) == ["small", "large", "small"]
    assert names(filter="name = 'small'") == ["small", "small"]
    assert names(filter="metrics.auc > 0 AND name LIKE 'l%'") == ["large"]
    assert names(filter="name IN ('large', 'other')") == ["large"]
    best = [{"field_name": "metrics.auc", "ascending": False}]
    assert names(order_by=best, filter="metrics.auc < 2", max_results=1) == ["large", "small"]


def test_what_a_run_has_logged_is_an_output_of_its_job(here: Here) -> None:
    one = run(here, experiment(here))
    for version, path in enumerate((f"azureml://jobs/{one}/outputs/artifacts/paths/model", f"runs:/{one}/model"), 1):
        made = here.put(f"models/income/versions/{version}", modelUri=path, modelType="mlflow_model")
        found = made.json["properties"]["modelUri"]
        assert found.endswith(f"/datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{one}/model")
    lost = here.put("models/income/versions/3", modelUri="azureml://jobs/nowhere/outputs/artifacts/paths/model")
    assert refusal(lost) == (400, "UserError")


def test_the_service_of_today_is_had_on_order(here: Here) -> None:
    number = experiment(here)
    one, other = run(here, number), run(here, number)
    here.faults.order(Fault(kind="no logged models", endpoint=one))
    body = {"experiment_id": number, "name": "model", "source_run_id": one}
    answer = mlflow(here, "POST", "mlflow/logged-models", body)
    assert (answer.status, answer.body) == (404, b"")
    logged(here, experiment_id=number, name="model", source_run_id=other)


@pytest.mark.parametrize("name", ["a/b", "a:b", "user_logs", ".."])
def test_a_name_that_would_be_another_place_is_refused(here: Here, name: str) -> None:
    number = experiment(here)
    body = {"experiment_id": number, "name": name, "source_run_id": run(here, number)}
    assert refusal(mlflow(here, "POST", "mlflow/logged-models", body)) == (400, "INVALID_PARAMETER_VALUE")


def test_what_is_not_there_is_refused(here: Here) -> None:
    one = run(here, experiment(here))
    for method, path, body in (
        ("GET", "logged-models/m-1", None),
        ("PATCH", "logged-models/m-1", {"status": "LOGGED_MODEL_READY"}),
        ("PATCH", "logged-models/m-1/tags", {"tags": []}),
        ("DELETE", "logged-models/m-1/tags/a", None),
        ("DELETE", "logged-models/m-1", None),
        ("POST", "logged-models", {"experiment_id": "7"}),
        ("POST", "runs/outputs", {"run_id": one, "models": [{"model_id": "m-1"}]}),
        ("POST", "runs/log-metric", {"run_id": one, "key": "a", "value": 1, "model_id": "m-1"}),
    ):
        assert refusal(mlflow(here, method, f"mlflow/{path}", body))[0] == 404, path
    assert asked(here, "GET", "runs/get", run_id=one)["run"]["data"]["metrics"] == []


def test_the_models_that_mlflow_2_describes_are_a_tag_of_the_run(here: Here) -> None:
    one = run(here, experiment(here))
    for _ in range(2):
        asked(here, "POST", "runs/log-model", {"run_id": one, "model_json": '{"artifact_path": "model"}'})
    tags = {each["key"]: each["value"] for each in asked(here, "GET", "runs/get", run_id=one)["run"]["data"]["tags"]}
    assert tags["mlflow.log-model.history"] == '[{"artifact_path": "model"}]'
    wrong = mlflow(here, "POST", "mlflow/runs/log-model", {"run_id": one, "model_json": "[]"})
    assert refusal(wrong) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("path", ["mlflow/traces", "mlflow/experiments/delete", "mlflow/runs/none", "../3.0/mlflow/a"])
def test_a_call_that_is_not_here_is_refused_as_mlflow_does(here: Here, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert refusal(mlflow(here, method, path)) == (404, "ENDPOINT_NOT_FOUND")
    lost = here.call("GET", f"/mlflow/v1.0{here.workspace.id}/none", token="a.b.c")
    assert refusal(lost) == (401, "UNAUTHENTICATED")
