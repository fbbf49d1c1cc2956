"""MLflow's registry and the workspace's models are one truth, seen by two protocols."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import aml_models
from tests.support.aml import MODEL, Here, refusal
from tests.support.mlflow import asked, experiment, mlflow, run


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


@pytest.fixture
def one(here: Here) -> str:
    """The id of a run, with a model registered from it as versions 1 and 2."""
    one = run(here, experiment(here))
    asked(here, "POST", "registered-models/create", {"name": "income", "tags": [{"key": "of", "value": "income"}]})
    for _ in range(2):
        register(here, one)
    return one


def register(here: Here, run_id: str, name: str = "income", **members: Any) -> Any:
    source = f"mlflow-artifacts:/ExperimentRun/dcid.{run_id}/model"
    body = {"name": name, "source": source, "run_id": run_id, **members}
    return asked(here, "POST", "model-versions/create", body)["model_version"]


def versions(here: Here, **query: str) -> list[str]:
    return [each["version"] for each in asked(here, "GET", "model-versions/search", **query)["model_versions"]]


def test_a_model_that_mlflow_registers_is_a_model_of_the_workspace(here: Here, one: str) -> None:
    shown = here.call("GET", "models/income/versions/2").json
    assert shown["properties"]["modelUri"].endswith(f"/workspaceartifactstore/paths/ExperimentRun/dcid.{one}/model")
    assert (shown["properties"]["modelType"], shown["properties"]["jobName"]) == ("mlflow_model", one)
    container = here.call("GET", "models/income").json["properties"]
    assert (container["latestVersion"], container["nextVersion"], container["tags"]) == ("2", "3", {"of": "income"})
    if aml_models.there():
        assert aml_models.faults("ModelVersion", shown) == []
        assert aml_models.faults("ModelContainer", here.call("GET", "models/income").json) == []


def test_a_model_of_the_workspace_is_one_of_mlflows_registry(here: Here) -> None:
    here.put("models/plain/versions/7", **MODEL, tags={"kind": "try"}, description="text", stage="Production")
    found = asked(here, "GET", "registered-models/get", name="plain")["registered_model"]
    [version] = found["latest_versions"]
    assert (version["version"], version["current_stage"], version["description"]) == ("7", "Production", "text")
    assert version["tags"] == [{"key": "kind", "value": "try"}]
    uri = asked(here, "GET", "model-versions/get-download-uri", name="plain", version="7")["artifact_uri"]
    assert uri == version["source"] == "mlflow-artifacts:/Models/plain:7/model"


def test_changes_by_one_protocol_are_seen_by_the_other(here: Here, one: str) -> None:
    place = "models/income/versions/1"
    asked(here, "PATCH", "model-versions/update", {"name": "income", "version": "1", "description": "good"})
    asked(here, "POST", "model-versions/set-tag", {"name": "income", "version": "1", "key": "a", "value": "b"})
    asked(here, "PATCH", "registered-models/update", {"name": "income", "description": "of incomes"})
    properties = here.call("GET", place).json["properties"]
    assert (properties["description"], properties["tags"]) == ("good", {"a": "b"})
    assert here.call("GET", "models/income").json["properties"]["description"] == "of incomes"
    here.put(place, **{**properties, "tags": {"c": "d"}})
    shown = asked(here, "GET", "model-versions/get", name="income", version="1")["model_version"]
    assert (shown["tags"], shown["run_id"]) == ([{"key": "c", "value": "d"}], one)
    asked(here, "DELETE", "model-versions/delete-tag", {"name": "income", "version": "1", "key": "c"})
    assert here.call("GET", place).json["properties"]["tags"] == {}
    asked(here, "DELETE", "model-versions/delete", {"name": "income", "version": "1"})
    assert here.call("GET", place).status == 404
    assert here.call("DELETE", "models/income").status == 200
    assert refusal(mlflow(here, "GET", "mlflow/registered-models/get", name="income"))[0] == 404


@pytest.mark.usefixtures("one")
def test_an_alias_names_a_version_until_either_is_deleted(here: Here) -> None:
    for version in ("1", "2"):
        asked(here, "POST", "registered-models/alias", {"name": "income", "alias": "champion", "version": version})
    again = Here(here.workspace.folder)
    found = asked(again, "GET", "registered-models/alias", name="income", alias="champion")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["champion"])
    again.put("models/income", tags={"other": "program"})
    model = asked(again, "GET", "registered-models/get", name="income")["registered_model"]
    assert model["aliases"] == [{"alias": "champion", "version": "2"}]
    again.call("DELETE", "models/income/versions/2")
    unknown = mlflow(again, "GET", "mlflow/registered-models/alias", name="income", alias="champion")
    assert refusal(unknown) == (400, "INVALID_PARAMETER_VALUE")
    asked(again, "POST", "registered-models/alias", {"name": "income", "alias": "champion", "version": "1"})
    asked(again, "DELETE", "registered-models/alias", {"name": "income", "alias": "champion"})
    assert asked(again, "GET", "registered-models/get", name="income")["registered_model"]["aliases"] == []


@pytest.mark.parametrize("alias", ["latest", "v7", "a b", "a" * 300])
@pytest.mark.usefixtures("one")
def test_an_alias_that_would_be_read_as_another_thing_is_refused(here: Here, alias: str) -> None:
    body = {"name": "income", "alias": alias, "version": "1"}
    assert refusal(mlflow(here, "POST", "mlflow/registered-models/alias", body)) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.usefixtures("one")
def test_a_stage_has_the_versions_that_were_moved_to_it(here: Here) -> None:
    for version in ("1", "2"):
        move = {"name": "income", "version": version, "stage": "production", "archive_existing_versions": True}
        asked(here, "POST", "model-versions/transition-stage", move)
    newest = asked(here, "POST", "registered-models/get-latest-versions", {"name": "income"})["model_versions"]
    assert {each["current_stage"]: each["version"] for each in newest} == {"Archived": "1", "Production": "2"}
    assert here.call("GET", "models/income/versions/2").json["properties"]["stage"] == "Production"
    only = {"name": "income", "stages": ["Production"]}
    assert len(asked(here, "POST", "registered-models/get-latest-versions", only)["model_versions"]) == 1
    move = {"name": "income", "version": "2", "stage": "None"}
    assert asked(here, "POST", "model-versions/transition-stage", move)["model_version"]["current_stage"] == "None"
    wrong = mlflow(here, "POST", "mlflow/model-versions/transition-stage", {**move, "stage": "Sold"})
    assert refusal(wrong) == (400, "INVALID_PARAMETER_VALUE")


def test_versions_and_models_are_found_page_by_page(here: Here, one: str) -> None:
    asked(here, "POST", "registered-models/create", {"name": "other"})
    register(here, one, "other", tags=[{"key": "kind", "value": "try"}])
    assert versions(here) == ["1", "2", "1"]
    assert versions(here, filter="name = 'income'") == ["2", "1"]
    assert versions(here, filter="name='income' and version_number > 1") == ["2"]
    assert versions(here, filter=f"run_id IN ('{one}') AND tags.kind = 'try'") == ["1"]
    assert versions(here, filter="name = 'nothing'") == []
    assert versions(here, order_by="version_number ASC") == ["1", "1", "2"]
    page = asked(here, "GET", "model-versions/search", max_results="2")
    rest = asked(here, "GET", "model-versions/search", max_results="2", page_token=page["next_page_token"])
    assert len(page["model_versions"]) == 2 and "next_page_token" not in rest and len(rest["model_versions"]) == 1

    def names(**query: str) -> list[str]:
        return [each["name"] for each in asked(here, "GET", "registered-models/search", **query)["registered_models"]]

    assert names() == ["income", "other"]
    assert names(order_by="name DESC") == ["other", "income"]
    assert names(filter="name ILIKE 'OTH%' AND tag.`mlflow.prompt.is_prompt` != 'true'") == ["other"]
    assert names(filter="tag.`mlflow.prompt.is_prompt` = 'true'") == []
    assert names(filter="tag.of = 'income'", max_results="1") == ["income"]


def test_a_renamed_model_keeps_its_versions_and_aliases(here: Here, one: str) -> None:
    asked(here, "POST", "registered-models/alias", {"name": "income", "alias": "champion", "version": "1"})
    asked(here, "POST", "registered-models/create", {"name": "taken"})
    refused = mlflow(here, "POST", "mlflow/registered-models/rename", {"name": "income", "new_name": "taken"})
    assert refusal(refused) == (400, "RESOURCE_ALREADY_EXISTS")
    asked(here, "POST", "registered-models/rename", {"name": "income", "new_name": "INCOME"})
    assert versions(here, filter="name = 'INCOME'") == ["2", "1"]
    asked(here, "POST", "registered-models/rename", {"name": "income", "new_name": "earnings"})
    assert versions(here, filter="name = 'earnings'") == ["2", "1"]
    found = asked(here, "GET", "registered-models/alias", name="earnings", alias="champion")["model_version"]
    assert (found["name"], found["run_id"]) == ("earnings", one)
    assert here.call("GET", "models/income").status == here.call("GET", "models/income/versions/1").status == 404


def test_versions_that_are_registered_at_the_same_time_have_different_numbers(here: Here, one: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: register(here, one)["version"], range(8)))
    assert sorted(made, key=int) == [str(number) for number in range(3, 11)]


def test_every_form_of_a_source_is_registered_by_its_place(here: Here, one: str) -> None:
    number = experiment(here, "other")
    body = {"experiment_id": number, "name": "tree", "source_run_id": one}
    model = asked(here, "POST", "logged-models", body)["model"]["info"]["model_id"]
    root, known = f"ExperimentRun/dcid.{one}", here.workspace.id
    for source, path in (
        (f"runs:/{one}/model", f"{root}/model"),
        (f"models:/{model}", f"{root}/tree"),
        ("models:/income/1", f"{root}/model"),
        (f"azureml://jobs/{one}/outputs/artifacts/paths/a/b", f"{root}/a/b"),
        (f"azureml://127.0.0.1:1/mlflow/v2.0{known}/experiments/1/runs/{one}/artifacts/model", f"{root}/model"),
        ("azureml://artifacts/LocalUpload/261126T101112-a/model", "LocalUpload/261126T101112-a/model"),
    ):
        version = register(here, one, source=source)
        assert version["source"] == source
        found = here.call("GET", f"models/income/versions/{version['version']}").json["properties"]["modelUri"]
        assert found.endswith(f"/datastores/workspaceartifactstore/paths/{path}"), source
    assert register(here, one, source=f"models:/{model}")["model_id"] == model


@pytest.mark.parametrize(
    "source",
    ["file:///etc/passwd", "s3://bucket/a", "models:/income/9", "models:/m-1", "mlflow-artifacts:/", "runs:/nowhere/a",
     "mlflow-artifacts:/ExperimentRun/../../a", "https://example.org/a"],
)  # fmt: skip
@pytest.mark.usefixtures("one")
def test_a_source_that_leads_elsewhere_is_refused(here: Here, source: str) -> None:
    answer = mlflow(here, "POST", "mlflow/model-versions/create", {"name": "income", "source": source})
    assert refusal(answer) in ((400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST"))
    assert versions(here, filter="name = 'income'") == ["2", "1"]


def test_refusals_have_mlflows_codes(here: Here, one: str) -> None:
    missing, invalid = (404, "RESOURCE_DOES_NOT_EXIST"), (400, "INVALID_PARAMETER_VALUE")
    for method, path, body, expected in (
        ("POST", "registered-models/create", {"name": "income"}, (400, "RESOURCE_ALREADY_EXISTS")),
        ("POST", "registered-models/create", {"name": "a b"}, invalid),
        ("POST", "registered-models/create", {}, invalid),
        ("DELETE", "registered-models/delete", {"name": "nowhere"}, missing),
        ("PATCH", "registered-models/update", {"name": "nowhere"}, missing),
        ("POST", "model-versions/create", {"name": "nowhere", "source": f"runs:/{one}/model"}, missing),
        ("POST", "model-versions/create", {"name": "income"}, invalid),
        ("DELETE", "model-versions/delete", {"name": "income", "version": "9"}, missing),
        ("POST", "registered-models/alias", {"name": "income", "alias": "a", "version": "9"}, missing),
    ):
        assert refusal(mlflow(here, method, f"mlflow/{path}", body)) == expected, (path, body)
    assert refusal(mlflow(here, "GET", "mlflow/model-versions/search", filter="name ~ 'a'")) == invalid
