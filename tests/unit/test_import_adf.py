"""`import-adf`: Data Factory's pipelines become entries that load, and nothing is dropped without a word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.services import ClassicTarget, NewTarget
from tests.support.data_factory import (
    ARM_ID,
    MODEL,
    PATCH,
    SCORING,
    STORAGE,
    TRAINING,
    Import,
    Json,
    blob,
    pipeline,
    secure,
    service,
    v1,
    v2,
    v2_batch,
    v2_update,
)


def exported() -> Json:
    """A whole factory as the portal exports it: an ARM template with parameters for what is secret or differs."""

    def resource(kind: str, artefact: Mapping[str, Any]) -> Json:
        name = f"[concat(parameters('factoryName'), '/{artefact['name']}')]"
        return {"name": name, "type": f"Microsoft.DataFactory/factories/{kind}", "properties": artefact["properties"]}

    files = v2(
        v2_batch(globalParameters={"Note": "[[kept]", "Query": "[concat('a', uniqueString('b'))]"}),
        v2_update(model="Income [trained model]"),
    )
    training = service(
        "trainingEndpoint",
        mlEndpoint="[parameters('trainingEndpoint_mlEndpoint')]",
        apiKey=secure("[parameters('trainingEndpoint_apiKey')]"),
    )
    trigger = {"name": "Weekly", "properties": {"type": "ScheduleTrigger", "pipelines": [], "typeProperties": {}}}
    return {
        "$schema": "http://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "factoryName": {"type": "string"},
            "trainingEndpoint_apiKey": {"type": "secureString", "defaultValue": "TRAINKEY=="},
            "trainingEndpoint_mlEndpoint": {"type": "string", "defaultValue": f"{TRAINING}/jobs"},
        },
        "variables": {"factoryId": "[concat('Microsoft.DataFactory/factories/', parameters('factoryName'))]"},
        "resources": [
            resource("pipelines", files["pipeline.json"]),
            resource("linkedServices", training),
            resource("linkedServices", files["new.json"]),
            resource("linkedServices", STORAGE),
            resource("triggers", trigger),
        ],
    }


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_a_version_1_pipeline_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of(v1())

    found = outcome.filled()["income-pipeline"]
    assert outcome.code == 0
    assert found.blobs == "income/*/*.csv"
    assert found.training.address == TRAINING
    assert (found.training.input, found.training.model, found.training.evaluation) == ("census", "output2", "output1")
    assert found.training.parameters == {"Account name": "mystore", "Number of trees": "8"}
    assert (found.training.waiting, found.training.running) == (7200, 7200)
    assert found.training.key.reveal() == "value-of-TRAINING_ENDPOINT_KEY"
    (target,) = found.targets
    assert isinstance(target, ClassicTarget)
    assert (target.address, target.resource, target.scoring.address) == (PATCH, MODEL, SCORING)
    assert target.key.reveal() == target.scoring.key.reveal() == "value-of-UPDATABLE_SCORING_ENDPOINT_KEY"


def test_a_version_2_pipeline_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of(v2())

    found = outcome.filled()["income"]
    assert found.blobs == "income/november.csv"
    assert found.training.address == TRAINING
    assert (found.training.model, found.training.evaluation) == ("output1", "output2")
    assert found.training.running == 36 * 3600
    (target,) = found.targets
    assert isinstance(target, NewTarget)
    assert (target.id, target.asset) == (ARM_ID, MODEL)
    assert target.address == "https://management.azure.com"
    assert target.scoring.address.endswith("/subscriptions/1122/services/n1")


def test_an_exported_factory_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of({"arm_template.json": exported()})

    found = outcome.filled()["income"]
    assert found.training.address == TRAINING
    assert found.training.parameters == {"Note": "[kept]", "Query": "filled"}
    assert [target.name for target in found.targets] == ["update"]
    assert "globalParameters.Query: an expression" in outcome.said
    assert "arm_template.json: 'Weekly': ScheduleTrigger: no counterpart here" in outcome.said


def test_a_parameters_file_gives_the_template_its_values_but_no_secret(imported: Import) -> None:
    values = {
        "factoryName": {"value": "myfactory"},
        "TRAININGENDPOINT_MLENDPOINT": {"value": f"{SCORING}9/jobs"},
        "trainingEndpoint_apiKey": {"value": "TRAINKEY=="},
    }
    schema = "https://schema.management.azure.com/schemas/2015-01-01/deploymentParameters.json#"

    outcome = imported.of({"template.json": exported(), "parameters.json": {"$schema": schema, "parameters": values}})

    assert outcome.entries["income"]["training"]["address"] == f"{SCORING}9"


def test_a_secure_parameter_of_a_template_is_never_put_in(imported: Import) -> None:
    template = exported()
    train = template["resources"][0]["properties"]["activities"][0]
    train["typeProperties"]["globalParameters"] = {"Note": "[parameters('trainingEndpoint_apiKey')]"}

    outcome = imported.of({"template.json": template})

    assert outcome.entries["income"]["training"]["parameters"] == {"Note": "${FILL_IN_NOTE}"}


def test_version_1_templates_nest_short_types_in_the_factory(imported: Import) -> None:
    kinds = {"pipeline.json": "datapipelines", "data.json": "datasets", "model.json": "datasets"}
    inside = [
        {"type": kinds.get(file, "datasets" if "format" in json.dumps(body) else "linkedservices"), **body}
        for file, body in v1().items()
    ]
    template = {"resources": [{"name": "f", "type": "Microsoft.DataFactory/datafactories", "resources": inside}]}

    outcome = imported.of({"template.json": template})

    assert outcome.filled()["income-pipeline"].blobs == "income/*/*.csv"


def test_the_report_says_which_setting_takes_which_key_and_what_to_fill_in(imported: Import) -> None:
    said = imported.of(v2()).said

    assert "TRAINING_ENDPOINT_KEY: training.json: linked service 'trainingEndpoint': apiKey" in said
    assert "NEW_ENDPOINT_KEY: new.json: linked service 'newEndpoint': apiKey" in said
    assert "pipelines.income.gate.rules: ${FILL_IN_RULE}: " in said
    assert "gate.baseline" in said
    assert "pipelines.income.proof.rows: ${FILL_IN_ROWS_FILE}: " in said
    assert "container 'labeled' of linked service 'StorageLinkedService'" in said
    assert f"servicePrincipalId: the app's identity takes its place; make it Contributor on {ARM_ID}" in said


def test_an_entry_that_is_not_filled_in_does_not_load(imported: Import, tmp_path: Path) -> None:
    outcome = imported.of(v2())
    (tmp_path / "pipelines.yaml").write_text(outcome.out, "utf-8")
    settings = Settings({"TRAINING_ENDPOINT_KEY": "k", "NEW_ENDPOINT_KEY": "k"})

    with pytest.raises(Exception, match=r"\.gate\.rules\[0\]: Missing setting: FILL_IN_RULE"):
        load_pipelines(tmp_path / "pipelines.yaml", settings)


def test_each_update_activity_of_a_model_is_a_target(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(), v2_update("first"), v2_update("second", to="classic")))

    targets = outcome.filled()["income"].targets
    assert [(type(target), target.name) for target in targets] == [(NewTarget, "first"), (ClassicTarget, "second")]
    assert targets[1].address == PATCH, "the full stop at the end is trimmed"


def test_the_same_model_of_the_same_endpoint_is_a_target_once(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(), v2_update("first"), v2_update("second")))

    assert [target.name for target in outcome.filled()["income"].targets] == ["first"]
    assert "activity 'second': updates the same model of the same endpoint as pipeline.json: activity 'first'" in (
        outcome.said
    )


def test_each_batch_execution_is_an_entry_with_the_updates_of_its_model(imported: Import) -> None:
    outcome = imported.of(
        v2(v2_batch("men"), v2_batch("women"), v2_update("a", "out/women.ilearner", to="classic"),
           v2_update("b", "out/men.ilearner"))
    )  # fmt: skip

    found = outcome.filled()
    assert {name: [target.name for target in entry.targets] for name, entry in found.items()} == {
        "income-men": ["b"],
        "income-women": ["a"],
    }


def test_two_models_of_one_experiment_are_two_entries(imported: Import) -> None:
    outputs = {"a": blob("out/a.ilearner"), "b": blob("out/b.ilearner"), "c": blob("out/c.csv")}
    outcome = imported.of(
        v2(
            v2_batch(webServiceOutputs=outputs),
            v2_update("u1", "out/a.ilearner"),
            v2_update("u2", "out/b.ilearner", model="Other [trained model]"),
        )
    )

    found = {name: (entry.training.model, entry.training.evaluation) for name, entry in outcome.filled().items()}
    assert found == {"income-train-a": ("a", "c"), "income-train-b": ("b", "c")}
    assert "webServiceOutputs.b: the entry takes the model of 'a', not it" in outcome.said
    assert "activity 'train': gives 2 models, each an entry; each entry pays its own training" in outcome.said


def test_an_output_folder_gives_the_model_that_lies_in_it(imported: Import) -> None:
    batch = v2_batch(webServiceOutputs={"o1": blob("out/models"), "o2": blob("out/tables")})

    outcome = imported.of(v2(batch, v2_update(takes="out/tables/model.ilearner")))

    assert outcome.entries["income"]["training"]["model"] == "o2"


def test_the_very_file_comes_before_a_folder_and_the_own_pipeline_before_another(imported: Import) -> None:
    outputs = {"o1": blob("out"), "o2": blob("out/model.ilearner")}
    files = v2(v2_batch(webServiceOutputs=outputs), v2_update(takes="out/model.ilearner", to="classic"))
    other = pipeline("Other", v2_batch(webServiceOutputs=outputs), v2_update("new", takes="out/model.ilearner"))

    entries = imported.of({**files, "other.json": other}).entries

    assert {name: entry["training"]["model"] for name, entry in entries.items()} == {"income": "o2", "other": "o2"}
    assert [entry["targets"][0]["name"] for entry in entries.values()] == ["update", "new"]
